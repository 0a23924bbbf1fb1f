"""From matches to alerts: all matches of one rule version, key and bucket are one alert, which only grows."""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from citywatch.alert import EVIDENCE_LIMIT, facts_schema
from citywatch.engine.evaluator import Evaluator, Evidence, Matches
from citywatch.engine.groups import PlainGroups
from citywatch.engine.incoming import Events
from citywatch.engine.open_alerts import OPEN_ALERT, Ident, OpenAlert, Order, alert_id
from citywatch.engine.outages import Outage
from citywatch.engine.planned import Planned
from citywatch.engine.runs import Keys
from citywatch.engine.state import State, shown_sql
from citywatch.engine.streams import Names
from citywatch.engine.words import EVENT_WORDS, reason
from citywatch.event import batch_schema
from citywatch.rules.model import Correlation, CorrelationType, Rule

_OPEN_EVIDENCE = pa.schema([pa.field("id", pa.string()), pa.field("texts", pa.list_(pa.string()))])

_SHOWN = shown_sql(f"SELECT *, seq AS ref, epoch_us(time) AS t, {EVENT_WORDS} AS words FROM shown_rows", "words")
"""What alerts show of events of the batch, and what there is to say about each."""


class Changes(NamedTuple):
    """Ids of the alerts that a batch has changed in the state, of those whose evidence it has, of those forgotten."""

    changed: Sequence[str] = ()
    evidence: Sequence[str] = ()
    gone: Sequence[str] = ()


class AlertBook:
    """The open alerts, and what a batch changes in them."""

    def __init__(self, state: State, rules: Iterable[Rule], *, grace: int, silent: bool) -> None:
        """`grace`: how long after the end of a bucket of a plain rule late events may still fall into it, µs."""
        self._state = state
        self._rules = {rule.name: rule for rule in rules}
        self._grace = grace
        self._silent = silent
        self._open: dict[Ident, OpenAlert] = {}
        self._expiries: list[tuple[int, Ident]] = []
        self._fresh: dict[str, dict[Ident, OpenAlert]] = {}
        self._changed: dict[Ident, OpenAlert] = {}
        self._texts: dict[Ident, list[str]] = {}
        self._described: dict[str, dict[Ident, OpenAlert]] = {}
        self._outages = state.outages()
        self._shown = Planned(state.con, "shown", batch_schema(), _SHOWN)
        self._keep = Planned(state.con, "keep_alert", OPEN_ALERT, "INSERT INTO open_alert FROM keep_alert_rows")
        self._keep_evidence = Planned(
            state.con, "keep_evidence", _OPEN_EVIDENCE, "INSERT INTO open_evidence FROM keep_evidence_rows"
        )
        self._kept: set[str] = set()
        """Ids of the alerts that are in the state's table."""
        self.changes = Changes()
        """What the last batch has changed."""
        self._load()

    def _load(self) -> None:
        for (body,) in self._state.con.execute("SELECT body FROM open_alert").fetchall():
            alert = OpenAlert.from_body(body)
            rule = self._rules.get(alert.rule)
            if rule and rule.version == alert.version:
                self._remember(alert)
                self._kept.add(alert.id)
                if rule.correlation:
                    self._fresh.setdefault(alert.rule, {})[alert.ident] = alert

    def _remember(self, alert: OpenAlert) -> None:
        self._open[alert.ident] = alert
        heapq.heappush(self._expiries, (alert.expiry, alert.ident))

    # Correlations

    def fold(self, rule: Rule, matches: Matches, names: Names) -> None:
        """Add matches of a correlation, sorted by (k, at, source, id)."""
        if not len(matches):
            return
        bucket = matches.at // rule.suppression
        edge = (matches.k[1:] != matches.k[:-1]) | (bucket[1:] != bucket[:-1])
        starts = np.flatnonzero(np.concatenate(([True], edge)))
        ends = np.append(starts[1:], len(matches))
        firsts = matches.take(starts)
        columns = (
            firsts.k,
            bucket[starts],
            firsts.t,
            firsts.at,
            firsts.ref,
            firsts.stream,
            matches.at[ends - 1],
            ends - starts,
        )
        for k, b, t, at, ref, stream, last, n in zip(*(c.tolist() for c in columns), strict=True):
            ident = Ident(rule.name, k, b)
            alert = self._open.get(ident)
            if alert is None:
                alert = OpenAlert(rule.name, rule.version, k, b, (b + 1) * rule.suppression, silent=self._silent)
                self._remember(alert)
            if not alert.count or self._earlier(alert, at, ref, names):
                alert.first_t, alert.first_at, alert.first_ref, alert.stream = t, at, ref, stream
                self._described.setdefault(rule.name, {})[ident] = alert
            alert.last_at = max(alert.last_at, last) if alert.count else last
            alert.count += n
            self._changed[ident] = alert

    @staticmethod
    def _earlier(alert: OpenAlert, at: int, ref: int, names: Names) -> bool:
        """Whether a match comes before the alert's first one, by (match time, source, id)."""
        if at != alert.first_at or ref == alert.first_ref:
            return at < alert.first_at
        row = names(np.array([ref])).to_pylist()[0]
        return (row["source"], row["id"]) < alert.first[1:]

    def look_again(self, rule: Rule, touched: Keys, before: int) -> None:
        """Describe again the alerts whose first match may have got more evidence: not settled, key touched."""
        fresh = self._fresh.get(rule.name)
        if not fresh:
            return
        for ident in [i for i, alert in fresh.items() if alert.first_t < before]:
            del fresh[ident]
        if fresh and len(touched):
            keys = np.array([alert.key for alert in fresh.values()], np.uint64)
            for (ident, alert), hit in zip(fresh.items(), np.isin(keys, touched).tolist(), strict=True):
                if hit:
                    self._described.setdefault(rule.name, {})[ident] = alert

    def describe(self, evaluators: Iterable[Evaluator]) -> None:
        """Work out place, evidence, values and reason of the alerts whose first match is new or may have changed."""
        parts = [
            _Description.of(evaluator, list(self._described.pop(evaluator.rule.name).values()))
            for evaluator in evaluators
            if evaluator.rule.name in self._described
        ]
        if not parts:
            return
        refs = np.unique(np.concatenate([refs for part in parts for refs in (part.firsts.ref, part.evidence.ref)]))
        events = {row["ref"]: row for row in self._state.events(refs).to_pylist()}
        self._name_keys([(alert, part.rule) for part in parts for alert in part.alerts if not alert.id])
        for part in parts:
            for alert, others, values in part.rows():
                self._describe(alert, part.rule, [events[r] for r in {*others, alert.first_ref}], values)

    def _describe(self, alert: OpenAlert, rule: Rule, rows: list[dict[str, Any]], values: dict[str, Any]) -> None:
        def order(row: dict[str, Any]) -> Order:
            return (row["t"], row["source"], row["id"])

        first = next(row for row in rows if row["ref"] == alert.first_ref)
        rest = sorted((row for row in rows if row["ref"] != alert.first_ref), key=order)[: EVIDENCE_LIMIT - 1]
        shown = sorted([first, *rest], key=order)
        entries = [order(row) for row in shown]
        if entries == alert.entries and values == alert.values and order(first) == alert.first:
            return
        alert.first, alert.entries, alert.values = order(first), entries, values
        alert.lat, alert.lon, alert.address = first["lat"], first["lon"], first["address"]
        before = rest[0]["data"] if rest else None
        alert.reason = reason(rule.correlated, json.loads(alert.group), values, first["data"], before)
        alert.inconclusive = self._inconclusive(rule, alert)
        self._texts[alert.ident] = [row["text"] for row in shown]
        self._changed[alert.ident] = alert
        self._fresh.setdefault(rule.name, {})[alert.ident] = alert

    def _name_keys(self, alerts: list[tuple[OpenAlert, Rule]]) -> None:
        """Give new alerts the text of their key and their id."""
        if not alerts:
            return
        asked = pa.table(
            {
                "stream": pa.array([a.stream for a, _ in alerts], pa.int32()),
                "ref": pa.array([a.first_ref for a, _ in alerts], pa.int64()),
                "k": pa.array([a.key for a, _ in alerts], pa.uint64()),
            }
        )
        texts = self._state.keys(asked)
        for alert, rule in alerts:
            _name(alert, rule, texts[alert.stream, alert.first_ref, alert.key])

    def _inconclusive(self, rule: Rule, alert: OpenAlert) -> bool:
        """Whether the window of a match that waited for silence overlaps a time in which nothing was heard."""
        correlation = rule.correlation
        if correlation is None or correlation.type not in (CorrelationType.ABSENCE, CorrelationType.FLATLINE):
            return False
        return any(_blinds(outage, alert, correlation) for outage in self._outages)

    def blinded(self) -> dict[Outage, int]:
        """Outages that alerts of this batch overlap, and how many open alerts each makes doubtful."""
        new = [alert for alert in self._changed.values() if alert.inconclusive and not alert.silent]
        doubtful = [alert for alert in self._open.values() if alert.inconclusive] if new else []
        found: dict[Outage, int] = {}
        for outage in self._outages:
            if any(_blinds(outage, alert, self._rules[alert.rule].correlated) for alert in new):
                found[outage] = sum(_blinds(outage, a, self._rules[a.rule].correlated) for a in doubtful)
        return found

    # Plain rules with a suppression

    def fold_plain(self, found: Iterable[tuple[Rule, pa.Table]], events: Events) -> None:
        """Add the events of a batch that plain rules hold for: by rule ref, t, late, key (JSON text)."""
        groups = [(rule, PlainGroups.of(rule, rows, events.names)) for rule, rows in found]
        if not groups:
            return
        refs = np.unique(np.concatenate([g.ref[g.shown()] for _, g in groups]))
        shown = {row["ref"]: row for row in self._shown.ask(events(refs)).to_pylist()}
        for rule, g in groups:
            for start, end in zip(g.starts.tolist(), g.ends.tolist(), strict=True):
                rows = [shown[ref] for ref in g.ref[start : min(end, start + EVIDENCE_LIMIT)].tolist()]
                alert = self._plain_alert(rule, g.texts[int(g.k[start])], int(g.bucket[start]))
                alert.late = bool(g.late[start:end].all()) and (alert.late or not alert.count)
                last = int(g.t[end - 1])
                alert.last_at = max(alert.last_at, last) if alert.count else last
                self._show(alert, rows)
                alert.count += end - start
                self._changed[alert.ident] = alert

    def _plain_alert(self, rule: Rule, text: str, bucket: int) -> OpenAlert:
        ident = Ident(rule.name, text, bucket)
        alert = self._open.get(ident)
        if alert is None:
            expiry = (bucket + 1) * rule.suppression + self._grace
            alert = OpenAlert(rule.name, rule.version, text, bucket, expiry, silent=self._silent)
            _name(alert, rule, text)
            self._remember(alert)
        return alert

    def _show(self, alert: OpenAlert, found: list[dict[str, Any]]) -> None:
        """Merge a plain rule's earliest match events of the batch into its evidence."""
        new = {(row["t"], row["source"], row["id"]): row for row in found}
        if not alert.count or min(new) < alert.first:
            first = new[min(new)]
            alert.first, alert.first_at, alert.first_t = min(new), first["t"], first["t"]
            alert.lat, alert.lon, alert.address = first["lat"], first["lon"], first["address"]
            alert.reason = first["words"]
        entries = sorted([*alert.entries, *new])[:EVIDENCE_LIMIT]
        if entries == alert.entries:
            return
        kept = dict(zip(alert.entries, self._stored_texts(alert), strict=True)) if alert.entries else {}
        self._texts[alert.ident] = [kept[e] if e in kept else new[e]["text"] for e in entries]
        alert.entries = entries

    def _stored_texts(self, alert: OpenAlert) -> list[str]:
        if alert.ident in self._texts:
            return self._texts[alert.ident]
        rows = self._state.con.execute("SELECT texts FROM open_evidence WHERE id = ?", [alert.id]).fetchall()
        return list(rows[0][0]) if rows else []

    # What a batch leaves

    def finish(self, watermark: int) -> pa.Table:
        """Write the changed alerts to the state, forget those that cannot grow any more, and return the facts."""
        changed = list(self._changed.values())
        described = [self._changed[ident].id for ident in self._texts]
        texts = self._write(changed) if changed else {}
        facts = self._facts(changed, texts)
        self._changed, self._texts = {}, {}
        self.changes = Changes([a.id for a in changed], described, self._expire(watermark))
        return facts

    def _write(self, changed: list[OpenAlert]) -> dict[str, list[str]]:
        """Replace the rows of changed alerts; returns the evidence of all of them, by id."""
        con = self._state.con
        texts = {self._changed[i].id: t for i, t in self._texts.items()}
        known = pa.table({"id": pa.array([a.id for a in changed if a.id in self._kept], pa.string())})
        if len(known):
            con.register("known", known)
            con.register("described", pa.table({"id": pa.array(list(texts), pa.string())}))
            con.execute("DELETE FROM open_alert WHERE id IN (FROM known)")
            con.execute("DELETE FROM open_evidence WHERE id IN (FROM known) AND id IN (FROM described)")
        self._keep.write(pa.Table.from_pylist([a.row() for a in changed], OPEN_ALERT))
        if texts:
            rows = [{"id": id_, "texts": shown} for id_, shown in texts.items()]
            self._keep_evidence.write(pa.Table.from_pylist(rows, _OPEN_EVIDENCE))
        if len(texts) < len(changed):
            others = con.execute("SELECT id, texts FROM open_evidence SEMI JOIN known USING (id)").fetchall()
            texts |= {id_: t for id_, t in others if id_ not in texts}
        self._kept.update(a.id for a in changed)
        return texts

    def _facts(self, changed: list[OpenAlert], texts: dict[str, list[str]]) -> pa.Table:
        def row(a: OpenAlert) -> dict[str, Any]:
            rule = self._rules[a.rule]
            own = {
                n: getattr(a, n)
                for n in (
                    "id",
                    "rule",
                    "group",
                    "count",
                    "late",
                    "lat",
                    "lon",
                    "address",
                    "reason",
                    "inconclusive",
                    "silent",
                )
            }
            return own | {
                "rule_id": rule.id,
                "rule_version": a.version,
                "title": rule.title,
                "level": rule.level.value,
                "status": rule.status.value,
                "first_seen": a.first_at,
                "last_seen": a.last_at,
                "values": json.dumps(a.values),
                "evidence": f"[{','.join(texts.get(a.id, []))}]",
            }

        rows = [row(a) for a in changed]
        arrays = []
        for f in facts_schema():
            values = [r[f.name] for r in rows]
            arrays.append(
                pa.array(values, pa.int64()).cast(f.type) if pa.types.is_timestamp(f.type) else pa.array(values, f.type)
            )
        return pa.Table.from_arrays(arrays, schema=facts_schema())

    def _expire(self, watermark: int) -> list[str]:
        """Forget the alerts whose bucket the watermark has passed; returns their ids."""
        gone = []
        while self._expiries and self._expiries[0][0] <= watermark:
            ident = heapq.heappop(self._expiries)[1]
            if alert := self._open.pop(ident, None):
                self._fresh.get(ident.rule, {}).pop(ident, None)
                gone.append(alert.id)
        self._kept.difference_update(gone)
        if gone:
            self._state.con.register("gone", pa.table({"id": gone}))
            self._state.con.execute(
                "DELETE FROM open_alert WHERE id IN (FROM gone); DELETE FROM open_evidence WHERE id IN (FROM gone)"
            )
        return gone


@dataclass(slots=True)
class _Description:
    """Alerts of one rule whose first match is to be described, and what the rule says about these matches."""

    rule: Rule
    alerts: list[OpenAlert]
    firsts: Matches
    evidence: Evidence
    values: list[dict[str, Any]]

    @classmethod
    def of(cls, evaluator: Evaluator, alerts: list[OpenAlert]) -> _Description:
        firsts = Matches(
            np.array([a.key for a in alerts], np.uint64),
            *(
                np.array([getattr(a, n) for a in alerts], np.int64)
                for n in ("first_t", "first_at", "first_ref", "stream")
            ),
        )
        return cls(evaluator.rule, alerts, firsts, evaluator.evidence(firsts), evaluator.values(firsts))

    def rows(self) -> Iterable[tuple[OpenAlert, list[int], dict[str, Any]]]:
        """(alert, refs of its evidence, values)."""
        others: list[list[int]] = [[] for _ in self.alerts]
        for owner, ref in zip(self.evidence.owner.tolist(), self.evidence.ref.tolist(), strict=True):
            others[owner].append(ref)
        return zip(self.alerts, others, self.values, strict=True)


def _blinds(outage: Outage, alert: OpenAlert, correlation: Correlation) -> bool:
    """Whether the silence that an alert is about overlaps a time in which nothing was heard."""
    return outage.blinds(correlation, alert.first_at, alert.first[1])


def _name(alert: OpenAlert, rule: Rule, text: str) -> None:
    key = json.loads(text)
    names = rule.correlation.group_names if rule.correlation else rule.group_names
    alert.group = json.dumps(dict(zip(names, key, strict=True)), ensure_ascii=False, separators=(",", ":"))
    alert.id = alert_id(rule.id, rule.version, key, alert.bucket)


def joined(tables: Sequence[pa.Table]) -> pa.Table:
    """Facts of one batch as one table."""
    return pa.concat_tables([facts_schema().empty_table(), *tables]).combine_chunks()
