"""`citywatch rules`: list, write, check, test, explain and back-test rules."""

from __future__ import annotations

import json
import sys
import tempfile
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

from citywatch.cli.options import bounds, data_option
from citywatch.errors import RuleError, RuleErrors, UsageError
from citywatch.settings import Settings
from citywatch.stores.directory import DataDirectory

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from citywatch.rules.model import Rule, Ruleset

_BATCH = 50_000

_TEMPLATE = """\
# yaml-language-server: $schema=rule.schema.json
title: {title}
id: {id}
name: {name}
status: experimental                  # test = evaluated, never notified; stable = notified
level: medium                         # informational, low, medium, high, critical
description: What happens in the world, and why a person should know.
logsource: {{category: {type}}}
where: needs_human
suppression: {{duration: 1h, group-by: [device_id]}}
runbook: What to do, step by step.
falsepositives: [what looks like it and is not]
tests:
  - name: fires
    defaults: {{device_id: d1}}
    events: [{{at: 0s, needs_human: true}}]
    expect: [{{at: 0s, group: {{device_id: d1}}, count: 1}}]
  - name: does not fire
    events: [{{at: 0s, device_id: d1, needs_human: false}}]
    expect: []
"""

rules_option = click.option(
    "--rules",
    "given",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Rules directory or file; several may be given. Default: those shipped, and rules/ in the data directory.",
)
paths_argument = click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="[PATH]...")


def _formats(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return click.option("--format", "form", type=click.Choice(names), default=names[0], show_default=True, help="Form.")


@click.group()
def rules() -> None:
    """List, write, check, test, explain and back-test rules."""


def _directories(given: Sequence[Path], data: Path) -> list[Path]:
    from citywatch.rules.load import shipped

    return list(given) or [shipped(), *([data / "rules"] if (data / "rules").is_dir() else [])]


def _load(given: Sequence[Path], data: Path, *, run_tests: bool = False) -> tuple[Ruleset, Settings]:
    from citywatch.rules.load import load_rules

    settings = DataDirectory(data).settings()
    return load_rules(_directories(given, data), settings, run_tests=run_tests), settings


@rules.command("list")
@paths_argument
@rules_option
@data_option
@_formats("table", "ndjson")
def list_(paths: tuple[Path, ...], given: tuple[Path, ...], data: Path, form: str) -> None:
    """List rules: those shipped and one's own, or those of PATH."""
    ruleset, _ = _load([*paths, *given], data)
    rows = [
        {
            "name": rule.name,
            "level": rule.level.value,
            "status": rule.status.value,
            "type": rule.correlation.type.value if rule.correlation else "plain",
            "alerts": rule.alerts,
            "title": rule.title,
            "id": rule.id,
            "version": rule.version,
            "file": str(rule.place),
        }
        for rule in ruleset.rules
    ]
    if form == "ndjson":
        for row in rows:
            click.echo(json.dumps(row, ensure_ascii=False))
    else:
        _print_table([{key: str(row[key]) for key in ("name", "level", "status", "type", "title")} for row in rows])


@rules.command()
@click.argument("name")
@click.option("--rules", "directory", type=click.Path(path_type=Path), help="Where to write; default rules/ in --data.")
@click.option("--type", "type_", default="drone.violation", show_default=True, help="Event type it looks at.")
@data_option
def new(name: str, directory: Path | None, type_: str, data: Path) -> None:
    """Write a rule to start from: it loads, and its tests pass."""
    file = (directory or data / "rules") / f"{name}.yaml"
    if not name.isidentifier():
        raise UsageError(f"{name!r} cannot be the name of a rule and its file", hint="use letters, digits and _")
    if file.exists():
        raise UsageError(f"{file} is there already", hint="choose another name")
    from citywatch.rules.schema import rule_schema

    file.parent.mkdir(parents=True, exist_ok=True)
    title = name.replace("_", " ").capitalize()
    file.write_text(_TEMPLATE.format(title=title, id=uuid.uuid4(), name=name, type=type_), "utf-8")
    (file.parent / "rule.schema.json").write_text(json.dumps(rule_schema(), indent=1), "utf-8")
    click.echo(file)
    click.echo(f"edit it, then: citywatch rules test {file}", err=True)


@rules.command()
@paths_argument
@rules_option
@data_option
def check(paths: tuple[Path, ...], given: tuple[Path, ...], data: Path) -> None:
    """Load rules as the engine does, their tests included, and say all that is wrong, each with file:line."""
    try:
        ruleset, _ = _load([*paths, *given], data, run_tests=True)
    except RuleErrors as errors:
        for error in errors.errors:
            click.echo(str(error), err=True)
        raise SystemExit(1) from errors
    tests = sum(len(rule.tests) for rule in ruleset.rules)
    click.echo(f"{len(ruleset.rules)} rules load, {tests} tests pass", err=True)


@rules.command()
@paths_argument
@rules_option
@click.option("--rule", "names", multiple=True, help="Only this rule; may be given several times.")
@data_option
def test(paths: tuple[Path, ...], given: tuple[Path, ...], names: tuple[str, ...], data: Path) -> None:
    """Run the tests inside rules, each on the engine."""
    from citywatch.rules.load import load_rules
    from citywatch.rules.testing import outcomes

    ruleset = load_rules(_directories([*paths, *given], data), Settings(), run_tests=False)
    chosen = [_named(ruleset, name) for name in names] or list(ruleset.rules)
    failed = 0
    for outcome in outcomes(ruleset, chosen):
        failed += not outcome.passed
        click.echo(f"{'ok  ' if outcome.passed else 'FAIL'} {outcome.rule.name}: {outcome.test.name}")
        if not outcome.passed:
            click.echo(f"     {outcome.error()}")
    total = sum(len(rule.tests) for rule in chosen)
    click.echo(f"{total - failed} of {total} tests pass", err=True)
    if failed:
        raise SystemExit(1)


@rules.command()
def schema() -> None:
    """Print the JSON Schema of a rule, for editors."""
    from citywatch.rules.schema import rule_schema

    click.echo(json.dumps(rule_schema(), indent=1))


@rules.command()
@click.argument("rule")
@click.argument("event")
@rules_option
@data_option
@_formats("text", "json")
def explain(rule: str, event: str, given: tuple[Path, ...], data: Path, form: str) -> None:
    """Say why RULE did or did not fire for EVENT.

    EVENT is SOURCE/ID or an id in history, a file with one CloudEvent as JSON, or - for standard input.
    """
    from citywatch.rules.explain import explain as explained

    ruleset, settings = _load(given, data)
    with _history(data) as con:
        found = _event(con, event, data, ruleset, settings)
        made = explained(con, found, _named(ruleset, rule), ruleset, settings, until=_clock(con))
    if form == "json":
        findings = [{"what": f.what, "holds": f.holds, "words": f.words} for f in made.findings]
        click.echo(json.dumps({"rule": rule, "fires": made.fires, "verdict": made.verdict, "findings": findings}))
        return
    click.echo(f"{rule}: {made.verdict}")
    for finding in made.findings:
        mark = {True: "yes", False: "no", None: ""}[finding.holds]
        click.echo(f"  {mark:3}  {finding.what}: {finding.words}")


@rules.command()
@click.argument("wanted", nargs=-1, required=True, metavar="RULES...")
@click.option("--from", "start", help="Only events received since: 2026-05-01, RFC 3339, 2h (ago).")
@click.option("--to", "end", help="Only events received until; there the clock stands. Default: the last receipt.")
@rules_option
@data_option
@_formats("table", "ndjson")
def backtest(
    *, wanted: tuple[str, ...], start: str | None, end: str | None, given: tuple[Path, ...], data: Path, form: str
) -> None:
    """Say what RULES would have raised over history: files or directories of rules, or names of rules."""
    from citywatch.rules.backtest import backtest as tested

    ruleset, settings = _wanted(wanted, given, data)
    since, last = bounds(start, end, settings.zone)
    with _history(data) as con:
        until = _clock(con) if last is None else last
        facts = tested(_batches(con, ruleset, since, until), ruleset, settings, until)
    if form == "ndjson":
        for fact in facts.to_pylist():
            click.echo(json.dumps(_alert(fact), ensure_ascii=False))
    else:
        _print_table(_by_day(facts.to_pylist(), settings.zone))
    click.echo(f"{len(facts)} alerts", err=True)


def _wanted(wanted: Sequence[str], given: Sequence[Path], data: Path) -> tuple[Ruleset, Settings]:
    """The rules that paths hold and names mean."""
    from dataclasses import replace

    paths = [Path(text) for text in wanted if Path(text).exists()]
    names = [text for text in wanted if not Path(text).exists()]
    ruleset, settings = _load(list(given) if names else paths, data)
    if not names:
        return ruleset, settings
    if paths:
        raise UsageError("name either paths or rules", hint=f"there is no file {names[0]}")
    return replace(ruleset, rules=tuple(_named(ruleset, name) for name in names)), settings


def _named(ruleset: Ruleset, name: str) -> Rule:
    from citywatch.rules.problems import nearest

    for rule in ruleset.rules:
        if name in (rule.name, rule.id):
            return rule
    raise RuleError(f"there is no rule {name!r}", hint=nearest(name, [rule.name for rule in ruleset.rules]))


@contextmanager
def _history(data: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with the view `events`; empty when there is no data directory."""
    import duckdb

    from citywatch.event import STORED
    from citywatch.stores.history import History

    with tempfile.TemporaryDirectory() as spill, duckdb.connect(config={"temp_directory": spill}) as con:
        con.execute("SET TimeZone = 'UTC'")
        if (data / "FORMAT").exists():
            History(data).create_view(con)
        else:
            columns = ", ".join(f'CAST(NULL AS {sql}) AS "{name}"' for name, sql in STORED)
            con.execute(f"CREATE TEMP VIEW events AS SELECT {columns} WHERE false")
        yield con


def _clock(con: duckdb.DuckDBPyConnection) -> int:
    ((clock,),) = con.execute("SELECT coalesce(epoch_us(max(received_at)), 0) FROM events").fetchall()
    return int(clock)


def _event(con: duckdb.DuckDBPyConnection, wanted: str, data: Path, ruleset: Ruleset, settings: Settings) -> pa.Table:
    """One event, from history or as given."""
    from citywatch.event import STORED

    if wanted == "-" or Path(wanted).is_file():
        raw = sys.stdin.buffer.read() if wanted == "-" else Path(wanted).read_bytes()
        return _parsed(raw, data, ruleset, settings)
    names = ", ".join(f'"{name}"' for name, _ in STORED)
    named = f"SELECT {names} FROM events WHERE source || '/' || id = $1 OR id = $1 LIMIT 2"
    found = con.sql(named, params=[wanted]).to_arrow_table()
    if len(found) == 1:
        return _as_batch(found)
    if len(found):
        one, two = (f"{row['source']}/{row['id']}" for row in found.to_pylist())
        raise UsageError(f"several events have the id {wanted!r}", hint=f"write {one} or {two}")
    raise UsageError(f"there is no event {wanted!r} in history", hint="name SOURCE/ID, a file, or - for standard input")


def _parsed(raw: bytes, data: Path, ruleset: Ruleset, settings: Settings) -> pa.Table:
    """The event that a JSON text is, through the same parser as every source, placed as it would be there."""
    import pyarrow as pa

    from citywatch.cli.hosting import load, places
    from citywatch.mappings.parse import Parser
    from citywatch.records.chunk import Chunk, Format, Origin, records_schema

    try:
        line = json.dumps(json.loads(raw)).encode()
    except ValueError as error:
        raise UsageError(f"the event is not JSON: {error}") from error
    records = pa.table({"line": [1], "raw": [line]}, schema=records_schema())
    known = places(DataDirectory(data), ruleset, settings.zone)
    parser = Parser(settings, load(data), gazetteer=known)
    parsed = parser.parse(Chunk(Origin("the event"), Format.JSON, records))
    if len(parsed.events) != 1:
        reasons = parsed.rejected["reason"].to_pylist()
        raise UsageError(f"the event is refused: {reasons[0]}" if reasons else "not one event")
    return _as_batch(parsed.events)


def _as_batch(table: pa.Table) -> pa.Table:
    from citywatch.event import batch_schema

    return table.select(batch_schema().names).cast(batch_schema())


def _batches(con: duckdb.DuckDBPyConnection, ruleset: Ruleset, since: int | None, until: int) -> Iterator[pa.Table]:
    """Events of the period in the order of a bounded run, without types that no rule looks at."""
    import pyarrow as pa

    from citywatch.event import STORED
    from citywatch.rules.backtest import ORDER
    from citywatch.rules.syntax import literal

    names = ", ".join(f'"{name}"' for name, _ in STORED)
    conditions = [f"epoch_us(received_at) <= {until}"]
    if since is not None:
        conditions.append(f"epoch_us(received_at) >= {since}")
    selections = [s for r in ruleset.rules for s in (r.correlation.bases if r.correlation else [r.selection]) if s]
    types = sorted({type_ for selection in selections for type_ in selection.types})
    if types and all(selection.types for selection in selections):
        conditions.append(f"type IN ({', '.join(map(literal, types))})")
    relation = con.sql(f"SELECT {names} FROM events WHERE {' AND '.join(conditions)} ORDER BY {ORDER}")
    for batch in relation.to_arrow_reader(_BATCH):
        yield _as_batch(pa.Table.from_batches([batch]))


def _alert(fact: dict[str, Any]) -> dict[str, Any]:
    """A fact as JSON, in the form of `alerts list`, as far as a back-test knows it."""
    made = {name: value for name, value in fact.items() if name not in {"silent", "inconclusive"}}
    for name in ("group", "values", "evidence"):
        made[name] = json.loads(made[name])
    for name in ("first_seen", "last_seen"):
        made[name] = made[name].strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return made


def _by_day(facts: list[dict[str, Any]], zone: str) -> list[dict[str, str]]:
    """Rule, day in the city, number of alerts, the keys with most."""
    days: Counter[tuple[str, str]] = Counter()
    keys: dict[tuple[str, str], Counter[str]] = {}
    for fact in facts:
        at = (fact["rule"], fact["first_seen"].astimezone(ZoneInfo(zone)).date().isoformat())
        days[at] += 1
        group = ", ".join(f"{name} {value}" for name, value in json.loads(fact["group"]).items())
        keys.setdefault(at, Counter())[group] += fact["count"]
    return [
        {
            "rule": rule,
            "day": day,
            "alerts": str(count),
            "top keys (matches)": "; ".join(f"{key or 'all'} ({n})" for key, n in keys[rule, day].most_common(3)),
        }
        for (rule, day), count in sorted(days.items())
    ]


def _print_table(rows: list[dict[str, str]]) -> None:
    if not rows:
        return
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in rows[0]}
    for row in [{name: name for name in widths}, *rows]:
        click.echo("  ".join(row[name].ljust(width) for name, width in widths.items()).rstrip())
