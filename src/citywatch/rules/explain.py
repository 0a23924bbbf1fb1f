"""Why a rule did or did not fire for an event: each thing it asks, with what it found."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb
import pyarrow as pa

from citywatch.engine.derive import key_text
from citywatch.engine.open_alerts import alert_id
from citywatch.event import BY_NAME, batch_schema, derived_sql
from citywatch.rules.backtest import ORDER, backtest
from citywatch.rules.model import Correlation, CorrelationType, Rule, Ruleset, Selection
from citywatch.rules.syntax import Syntax, bare, conjuncts, literal, postorder, quoted
from citywatch.rules.testing import span
from citywatch.rules.window import Base, window_words
from citywatch.settings import Settings

_SHOWN = 10_000
_WAITS = (CorrelationType.ABSENCE, CorrelationType.FLATLINE)
_AT_ONCE = (CorrelationType.TEMPORAL, CorrelationType.TEMPORAL_ORDERED, CorrelationType.IMPOSSIBLE_TRAVEL)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that the rule asks. `holds` is None for what is only said."""

    what: str
    holds: bool | None
    words: str


@dataclass(slots=True)
class Explanation:
    """Whether the event is, or adds, a match, and what was found on the way."""

    rule: Rule
    fires: bool = False
    verdict: str = ""
    findings: list[Finding] = field(default_factory=list)

    def add(self, what: str, holds: bool | None, words: str) -> None:
        """Note a finding."""
        self.findings.append(Finding(what, holds, words))


def explain(
    con: duckdb.DuckDBPyConnection, event: pa.Table, rule: Rule, ruleset: Ruleset, settings: Settings, *, until: int
) -> Explanation:
    """Explain a rule and an event.

    Parameters
    ----------
    con
        A connection with a relation `events` of stored columns: what else has happened. It may be empty.
    event
        One row, `event.batch_schema()`.
    rule, ruleset, settings
        The rule; the rules, lists and zones it is loaded with; how it is evaluated.
    until
        Where the clock stands, µs.
    """
    scene = _Scene(con, event, rule, ruleset, settings)
    made = Explanation(rule)
    _explain_standing(scene, made)
    for base in scene.bases():
        _explain_base(scene, base, made)
    if rule.correlation and scene.base_of_event():
        for words in window_words(rule.correlation, scene.t, scene.base_rows()):
            made.add("window", None, words)
    _conclude(scene, made, until)
    return made


class _Scene:
    """The event among those near to it, as a table on the connection."""

    def __init__(
        self, con: duckdb.DuckDBPyConnection, event: pa.Table, rule: Rule, ruleset: Ruleset, settings: Settings
    ) -> None:
        self.rule = rule
        self.ruleset = ruleset
        self.settings = settings
        self.con = con
        self.con.execute("SET TimeZone = 'UTC'")
        self.t: int = event["time"].cast(pa.int64())[0].as_py()
        self.event: dict[str, Any] = event.to_pylist()[0]
        self._relation(event)

    def _relation(self, event: pa.Table) -> None:
        """Table `scene`: the event and what is near to it, with derived columns, list memberships and data as JSON."""
        con, t = self.con, self.t
        reach = (2 * self.rule.correlation.timespan + self.rule.correlation.max_gap) if self.rule.correlation else 0
        for name, table in self.ruleset.lists.items():
            con.register(f"list_{name}", table)
        con.register("the_event", event)
        same = f"source = {literal(self.event['source'])} AND id = {literal(self.event['id'])}"
        names = ", ".join(quoted(name) for name in batch_schema().names)
        near = f"epoch_us(time) BETWEEN {t - reach} AND {t + reach} AND NOT ({same})"
        derived = ", ".join(f"{sql} AS {name}" for name, sql in derived_sql(self.settings.zone).items())
        members = dict(pair for _, selection, _, _ in self.bases() for pair in selection.memberships)
        columns = ", ".join(["*", *(f"{sql} AS {quoted(name)}" for name, sql in members.items())])
        con.execute(
            f"CREATE OR REPLACE TEMP TABLE scene AS SELECT {columns} FROM ("
            f"SELECT * REPLACE (CAST(data AS JSON) AS data), {derived} "
            f"FROM (SELECT {names}, true AS explained FROM the_event "
            f"UNION ALL SELECT {names}, false FROM events WHERE {near}))"
        )

    def bases(self) -> list[tuple[str, Selection, str | None, tuple[str, ...]]]:
        """(name, selection, source of the predicate, fields of the key) of the rule itself, or of each it names."""
        correlation = self.rule.correlation
        if correlation is None:
            return [
                (self.rule.name, self.rule.selection or Selection((), None), self.rule.source, self.rule.group_names)
            ]
        own = correlation.base_names == (self.rule.name,)
        sources = [self.rule.source if own else self.ruleset[name].source for name in correlation.base_names]
        return list(zip(correlation.base_names, correlation.bases, sources, correlation.group_by, strict=True))

    def ask(self, sql: str) -> Any:
        """Value of an expression on the event; duckdb.Error where it fails."""
        return self.con.execute(f"SELECT {sql} FROM scene WHERE explained").fetchall()[0][0]

    def key(self, group_by: Sequence[str]) -> str:
        """The event's key as JSON."""
        return str(self.ask(key_text(group_by)))

    def base_of_event(self) -> bool:
        """Whether the event is a base event of the correlation."""
        return any(row.explained for row in self.base_rows())

    def base_rows(self) -> list[Base]:
        """Base events with a key of the event, in order."""
        rows: dict[tuple[int, str, str], Base] = {}
        correlation = self.rule.correlation
        for name, selection, _, group_by in self.bases() if correlation else ():
            key = self.key(group_by)
            if "null" in json.dumps([self.event.get(f) for f in group_by if not BY_NAME[f].derived]):
                continue
            for found in self._rows_of(selection, group_by, key, correlation):
                row = rows.setdefault(found[:3], Base(*found))
                row.flag = row.flag or found[6]
                row.rules.add(name)
        return [rows[order] for order in sorted(rows)]

    def _rows_of(
        self, selection: Selection, group_by: Sequence[str], key: str, correlation: Correlation | None
    ) -> list[Any]:
        whole = correlation is not None and correlation.type is CorrelationType.DWELL
        test = f"coalesce(TRY({selection.predicate or 'true'}), false)"
        value = quoted(correlation.field) if correlation and correlation.field else "NULL"
        types = f"type IN ({', '.join(map(literal, selection.types))})" if selection.types else "true"
        return self.con.execute(
            f"SELECT epoch_us(time), source, id, explained, CAST({value} AS VARCHAR), lat, {test}, lon FROM scene "
            f"WHERE {types} AND NOT late AND NOT stale AND ({test} OR {whole}) AND {key_text(group_by)} = ? "
            f"ORDER BY time, source, id LIMIT {_SHOWN}",
            [key],
        ).fetchall()

    def history(self, *, without: bool) -> pa.Table:
        """The scene as the step takes it in, with or without the event."""
        names = ", ".join("CAST(data AS VARCHAR) AS data" if n == "data" else quoted(n) for n in batch_schema().names)
        only = "WHERE NOT explained" if without else ""
        table = self.con.sql(f"SELECT {names} FROM scene {only} ORDER BY {ORDER}").to_arrow_table()
        return pa.table(table).cast(batch_schema())


def _explain_standing(scene: _Scene, made: Explanation) -> None:
    """What decides whether the event is looked at, at all."""
    event, rule = scene.event, scene.rule
    delay = span(max(0, round((event["received_at"] - event["time"]).total_seconds() * 1_000_000)))
    if rule.status == "deprecated":
        made.add("status", False, "deprecated: the rule does not run")
    elif not rule.alerts:
        made.add(
            "status", False, "a correlation names this rule and does not say generate: true, so it raises no alerts"
        )
    if event["stale"]:
        made.add("stale", False, f"received {delay} after it happened: history only")
    if event["backfill"]:
        made.add(
            "backfill", None, "came in behind the clock: history only when it came; looked at as in a back-test here"
        )
    if event["late"]:
        holds = False if rule.correlation else None
        words = "takes no part in a correlation" if rule.correlation else "the alert is marked late"
        made.add("late", holds, f"received {delay} after it happened: {words}")


def _explain_base(scene: _Scene, base: tuple[str, Selection, str | None, tuple[str, ...]], made: Explanation) -> None:
    """Type, each part of the predicate and the key, for one base."""
    name, selection, source, group_by = base
    prefix = f"{name}: " if scene.rule.correlation and len(scene.rule.correlation.bases) > 1 else ""
    type_ = scene.event["type"]
    if selection.types:
        holds = type_ in selection.types
        made.add(f"{prefix}type", holds, f"{type_} is {'' if holds else 'not '}one of {', '.join(selection.types)}")
    for shown, sql in _parts(scene, selection, source):
        holds, words = _evaluate(scene, sql)
        made.add(f"{prefix}where", holds, f"{shown}  is {words}")
    missing = [f for f in group_by if scene.rule.correlation and scene.ask(f"{quoted(f)} IS NULL")]
    shown = ", ".join(f"{f} = {_text(scene.ask(quoted(f)))}" for f in group_by) or "one for all"
    made.add(f"{prefix}key", not missing, f"{shown}{': NULL takes no part in a correlation' if missing else ''}")


def _parts(scene: _Scene, selection: Selection, source: str | None) -> list[tuple[str, str]]:
    """(as written, as run) of what must all be true."""
    if selection.predicate is None or source is None:
        return []
    syntax = Syntax(scene.con)
    written, run = (syntax.print(conjuncts(syntax.parse(text))) for text in (source, selection.predicate))
    return list(zip((_words(text) for text in written), run, strict=True))


def _words(text: str) -> str:
    """A printed part in the words of the language."""
    text = re.sub(r"contains\(list\(('(?:[^']|'')*')\), ([^(),]+)\)", r"\2 IN LIST(\1)", bare(text))
    return re.sub(r'"(value|time|label)"', r"\1", text.replace("in_zone(", "IN_ZONE("))


def _evaluate(scene: _Scene, sql: str) -> tuple[bool, str]:
    """(holds, value in words with the fields it came from)."""
    try:
        value = scene.ask(sql)
    except duckdb.Error as error:
        return False, f"an error: {str(error).splitlines()[0]}"
    tree = Syntax(scene.con).parse(sql)
    names = dict.fromkeys(n["column_names"][0] for n in postorder(tree) if n["class"] == "COLUMN_REF")
    used = ", ".join(f"{name} = {_text(scene.ask(quoted(name)))}" for name in names if name in BY_NAME)
    return value is True, f"{_text(value)}{f', with {used}' if used else ''}"


def _text(value: Any) -> str:
    if value is None:
        return "NULL"
    return json.dumps(value, ensure_ascii=False, default=str) if not isinstance(value, bool) else str(value).lower()


def _conclude(scene: _Scene, made: Explanation, until: int) -> None:
    """The verdict: what the step says with the event, and what without it."""
    rule = scene.rule
    alone = Ruleset((rule,), scene.ruleset.lists, scene.ruleset.zones)
    late = rule.correlation is not None and rule.correlation.type in _WAITS
    clock = max(until, _latest(scene.history(without=False)))
    with_, without = (
        {fact["id"]: fact for fact in backtest([scene.history(without=w)], alone, scene.settings, clock).to_pylist()}
        for w in (False, True)
    )
    at = scene.t + (rule.correlation.timespan if late and rule.correlation else 0)
    for id_, fact in with_.items():
        if matches := _gained(fact, without.get(id_), at):
            words = f"{matches} match{'es' if matches > 1 else ''} by this event, {fact['count']} in what was looked at"
            made.add("alert", True, f"{id_[:12]}: {words}: {fact['reason']}")
            made.fires = True
    lost = [i for i, f in without.items() if i not in with_ or f["count"] > with_[i]["count"]]
    if made.fires or all(finding.holds is not False for finding in made.findings):
        _explain_bucket(scene, at, made)
    if made.fires:
        made.verdict = "it fires"
    elif lost:
        made.verdict = "it does not fire; it keeps an alert from being raised"
    else:
        made.verdict = "it does not fire" + _waiting(scene, clock)


def _gained(fact: dict[str, Any], before: dict[str, Any] | None, at: int) -> int:
    """How many matches an alert has by the event, which can be a match at `at` (µs); one may replace another."""
    if before is None or fact["count"] != before["count"]:
        return max(0, int(fact["count"]) - (int(before["count"]) if before else 0))
    ends = {name: fact[name] for name in ("first_seen", "last_seen") if fact[name] != before[name]}
    return int(any(round(end.timestamp() * 1_000_000) == at for end in ends.values()))


def _explain_bucket(scene: _Scene, at: int, made: Explanation) -> None:
    """The period whose matches are one alert, and that alert's id."""
    rule = scene.rule
    if not rule.suppression:
        key, bucket = json.loads(scene.key(rule.group_names)), 0
        made.add("suppression", None, f"none, one alert for the event: {alert_id(rule.id, rule.version, key, 0)}")
        return
    bucket = at // rule.suppression
    group_by = scene.bases()[0][3]
    id_ = alert_id(rule.id, rule.version, json.loads(scene.key(group_by)), bucket)
    start = scene.con.execute("SELECT strftime(make_timestamp(?), '%Y-%m-%dT%H:%M:%SZ')", [bucket * rule.suppression])
    words = f"matches of {span(rule.suppression)} from {start.fetchall()[0][0]} are one alert: {id_}"
    made.add("suppression", None, words)


def _is_told_later(correlation: Correlation) -> bool:
    """Whether a match is only known when its window is complete."""
    if correlation.type in {CorrelationType.EVENT_COUNT, CorrelationType.VALUE_COUNT}:
        return any(operator not in {"gte", "gt"} for operator, _ in correlation.condition)
    return correlation.type not in _AT_ONCE


def _latest(events: pa.Table) -> int:
    """The latest receipt, µs."""
    return max(t for t in events["received_at"].cast(pa.int64()).to_pylist() if t is not None)


def _waiting(scene: _Scene, clock: int) -> str:
    """Why a match may still come."""
    correlation = scene.rule.correlation
    if correlation is None or not _is_told_later(correlation) or not scene.base_of_event():
        return ""
    known = scene.t + (correlation.timespan if correlation.type in _WAITS else 0)
    known += scene.settings.lateness + scene.settings.disorder
    if clock > known:
        return ""
    return f"; what waits for its window to be complete is decided after {span(known - clock)} more"
