"""Write the reference pages of the docs from the code: `make docs`. A test keeps them fresh."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields
from itertools import groupby
from pathlib import Path
from typing import Any

import click

from citywatch import event
from citywatch.analytics.question import Question, questions
from citywatch.cli import COMMANDS, cli
from citywatch.notify import NOTIFIERS, UNROUTED, notifier
from citywatch.notify.options import DURATION, RATE, REQUIRED, Option
from citywatch.notify.routes import ROUTE_KEYS
from citywatch.rules.load import load_rules, shipped
from citywatch.rules.model import Correlation, Rule
from citywatch.settings import DAY, HOUR, MINUTE, SECOND, Settings
from citywatch.stores.cassandra.tables import PARTS, SLOTS, TABLES
from scripts import http_api

REFERENCE = Path(__file__).resolve().parents[1] / "docs" / "reference"
_NOTE = "<!-- Written by `make docs` from the code: change it there. -->"
_BAR = "\\|"  # a bar inside of a table's cell


def page(name: str) -> str:
    """The text of a generated page, by its file's name."""
    return "\n".join([_NOTE, "", *PAGES[name]()]).rstrip() + "\n"


def _command_line() -> Iterator[str]:
    yield from (
        "# The command line",
        "",
        "Words go to stderr, data to stdout. Exit codes: 0 fine, 1 it failed, 2 wrong usage.",
        "Every command knows `--help`.",
        "",
    )
    context = click.Context(cli, info_name="citywatch")
    for name in COMMANDS:
        command = cli.get_command(context, name)
        if command is None:
            raise LookupError(f"citywatch {name} is listed, and there is no such command")
        yield from _command(command, click.Context(command, info_name=name, parent=context))


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    yield f"## {context.command_path}"
    yield ""
    yield command.get_short_help_str(400) if isinstance(command, click.Group) else _unwrapped(command.help or "")
    yield ""
    if isinstance(command, click.Group) and not command.invoke_without_command:
        for name in command.list_commands(context):
            if (child := command.get_command(context, name)) is not None and not child.hidden:
                yield from _command(child, click.Context(child, info_name=name, parent=context))
        return
    yield f"    {' '.join([context.command_path, *command.collect_usage_pieces(context)])}"
    yield ""
    yield from _options(command, context)


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    records = [
        (" / ".join(filter(None, record[0].split(" / "))), record[1])
        for parameter in command.get_params(context)
        if "--help" not in parameter.opts and (record := parameter.get_help_record(context)) is not None
    ]
    if records:
        yield from _table(("option", "meaning"), [(f"`{option}`", meaning) for option, meaning in records])


def _unwrapped(text: str) -> str:
    """Help text as Markdown: the terminal's marks (`\\b`) out, paragraphs kept."""
    return "\n\n".join(" ".join(part.replace("\b", "").split()) for part in text.strip().split("\n\n"))


def _events() -> Iterator[str]:
    yield "# Fields of an event"
    yield ""
    yield (
        "An event is a CloudEvents 1.0 JSON object. The attributes stand at its top, all other fields in `data`. All "
        "may be absent but `id`, `source` and `type`. Fields that are not listed here stay in `data`: a rule reaches "
        "them as `data->>'name'`. *Derived* fields are computed, never read."
    )
    yield ""
    for group, columns in groupby(event.COLUMNS, key=lambda column: column.group):
        yield f"## {group.capitalize()}"
        yield ""
        rows = [(f"`{c.name}`", c.sql, c.meaning + (" (derived)" if c.derived else "")) for c in columns]
        yield from _table(("field", "SQL type", "meaning"), rows)
    yield "## Types of event"
    yield ""
    yield "These are sent by the shipped mappings and simulators. Any other type is accepted as it is."
    yield ""
    yield ", ".join(f"`{name}`" for name in event.SHIPPED_TYPES)


def _settings() -> Iterator[str]:
    yield "# Settings"
    yield ""
    yield (
        "They stand in `citywatch.toml` in the data directory, each also in the environment as `CITYWATCH_<KEY>` (in "
        "upper case), which wins. Durations are written `60s`, `5m`, `2h`, `1d`, `1w`. Those marked *fixed* decide "
        "which alerts there are: a data directory keeps the values it was made with, and a run with others is refused."
    )
    yield ""
    rows = [
        (f"`{f.name}`", _value(f), f.metadata["meaning"] + (" (*fixed*)" if f.metadata.get("fixed") else ""))
        for f in fields(Settings)
    ]
    yield from _table(("setting", "default", "meaning"), rows)


def _value(field: Any) -> str:
    if field.metadata.get("unit"):
        return f"`{_duration(field.default)}`"
    return f"`{field.default}`" if isinstance(field.default, int | str) else ""


def _duration(microseconds: int) -> str:
    for unit, size in (("d", DAY), ("h", HOUR), ("m", MINUTE), ("s", SECOND)):
        if microseconds % size == 0:
            return f"{microseconds // size}{unit}"
    return f"{microseconds // 1000}ms"


def _reports() -> Iterator[str]:
    yield "# Reports"
    yield ""
    yield (
        "`citywatch report NAME --data DIR [--format table|json|csv|html]` answers a question from history, in the "
        "city's local time. Every answer names and counts the rows that it left out."
    )
    yield ""
    for question in questions().values():
        yield from _report(question)


def _report(question: Question) -> Iterator[str]:
    yield f"## {question.name}"
    yield ""
    yield f"{question.title}. {question.definition}"
    yield ""
    yield from _table(("column", "meaning"), [(f"`{name}`", text) for name, text in question.columns.items()])
    if question.types:
        otherwise = "" if question.fixed_types else " unless `--type` says otherwise"
        yield f"Counts `{'`, `'.join(question.types)}`{otherwise}."
        yield ""
    if question.by:
        yield f"`--by` takes `{'`, `'.join(question.by)}`."
        yield ""
    if question.exclusions:
        yield (
            "Left out, and counted: " + "; ".join(f"*{why}*: {what}" for why, what in question.exclusions.items()) + "."
        )
        yield ""


def _shipped_rules() -> Iterator[str]:
    yield "# Shipped rules"
    yield ""
    yield (
        "Without `--rules` these are used, and those in `rules/` of the data directory beside them. Rules with status "
        "*test* are evaluated and stored, and call nobody."
    )
    yield ""
    for rule in load_rules([shipped()], Settings(), run_tests=False).rules:
        yield from _rule(rule)


def _rule(rule: Rule) -> Iterator[str]:
    kind = rule.correlation.type if rule.correlation else "plain"
    yield f"## {rule.name}"
    yield ""
    yield f"**{rule.title}** ({rule.level}, {rule.status}, {kind}). {' '.join(rule.description.split())}"
    yield ""
    if rule.correlation:
        yield _window(rule.correlation, rule.name)
        yield ""
    if rule.source:
        yield f"```sql\n{rule.source.strip()}\n```"
        yield ""
    if rule.runbook:
        yield f"What to do: {' '.join(rule.runbook.split())}"
        yield ""
    if rule.falsepositives:
        yield f"Known to be wrong about: {', '.join(rule.falsepositives)}."
        yield ""


def _window(correlation: Correlation, rule: str) -> str:
    keys = ", ".join(f"`{name}`" for name in correlation.group_names) or "all events together"
    named = [f"`{name}`" for name in correlation.base_names if name and name != rule]
    base = " of " + " and ".join(named) if named else ""
    wanted = "".join(f", {operator} {number}" for operator, number in correlation.condition)
    field = f" of `{correlation.field}`" if correlation.field else ""
    return f"`{correlation.type}`{field}{base} by {keys} within {_duration(correlation.timespan)}{wanted}."


def _routes() -> Iterator[str]:
    yield "# Routes"
    yield ""
    yield (
        "`routes.yaml` in the data directory says who is told of which alerts. `citywatch up` delivers, and reads the "
        "file again when it is saved; one that does not load is said with its lines, and the routes before it stay. "
        "`citywatch notify new` writes one to begin with, and `routes.schema.json` for editors."
    )
    yield ""
    keys = {
        "page": "address of the console, for links in messages",
        "notifiers": "those who can be told, by name: their type and its options",
        "routes": "a list of routes",
    }
    yield from _table(("key", "meaning"), [(f"`{name}`", meaning) for name, meaning in keys.items()])
    yield from ("## A route", "")
    yield (
        "All routes are looked at. An alert takes each whose conditions all hold; a condition that is absent holds. A "
        "receiver that several routes lead to is told once, by the one that tells it first. Times of the week are "
        "written `22:00-06:00`, `mon-fri 08:00-18:00` or `sat-sun`; one that ends on the next day belongs to the day "
        "on which it begins. Where clocks are put forward or back, too, it is what they show that counts."
    )
    yield ""
    yield from _table(("key", "meaning"), [(f"`{name}`", meaning) for name, meaning in ROUTE_KEYS.items()])
    for name in NOTIFIERS:
        if name not in UNROUTED:
            yield from _notifier(name)


def _notifier(name: str) -> Iterator[str]:
    made = notifier(name)
    yield from (f"## type: {name}", "", f"{_unwrapped(made.__doc__ or '')}", "")
    rows = [(f"`{o.name}`", o.form.words, _default(o), o.meaning) for o in made.OPTIONS]
    if made.RATE:
        rows.append(
            ("`at_most`", RATE.words, f"`{made.RATE}`", "messages in a time; critical alerts have as many again")
        )
    yield from _table(("option", "written", "default", "meaning"), rows)


def _default(option: Option) -> str:
    default = option.default
    if default is REQUIRED:
        return "*required*"
    if default in (None, (), ""):
        return ""
    return f"`{_duration(default) if option.form is DURATION else default}`"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(' '.join(cell.split()).replace('|', _BAR) for cell in row)} |"
    yield ""


def _cassandra() -> Iterator[str]:
    yield from (
        "# Tables in Cassandra",
        "",
        "What [`--store`](../how-to/store-in-cassandra.md) fills. Each table is made for one question, whose answer",
        "lies in one partition, or in a few that are known beforehand; `citywatch cassandra tables` prints their CQL.",
        f"Days, parts of a day ({24 // PARTS} hours each, from 0) and months (their first day) are UTC; `slot` is the",
        f"first digit of the alert's id, so that the alerts of a day are in {SLOTS} partitions.",
        "",
    )
    yield from _table(
        ("table", "question", "primary key", "plates and persons"),
        [(f"`{t.name}`", t.question, f"`({t.key})`", "yes" if t.private else "") for t in TABLES],
    )
    yield from (
        "## Bounds of partitions",
        "",
        "A partition should stay below 100 MB. Rows at the most, times a long row,",
        "uncompressed:",
        "",
    )
    yield from _table(
        ("table", "rows at the most", "why so many", "a long row, bytes", "partition, MB"),
        [
            (f"`{t.name}`", f"{t.most[0]:,}", t.most[1], f"{t.row_bytes:,}", f"{t.most[0] * t.row_bytes / 1e6:,.1f}")
            for t in TABLES
        ],
    )
    yield from ("## CQL", "", "```sql")
    yield from (f"-- {table.question}\n{table.cql};\n" for table in TABLES)
    yield "```"


PAGES: dict[str, Callable[[], Iterable[str]]] = {
    "command-line.md": _command_line,
    "cassandra.md": _cassandra,
    "events.md": _events,
    "settings.md": _settings,
    "reports.md": _reports,
    "routes.md": _routes,
    "http-api.md": http_api.lines,
    "shipped-rules.md": _shipped_rules,
}
"""File -> what writes its lines."""


def main() -> None:
    """Write all pages."""
    for name in PAGES:
        (REFERENCE / name).write_text(page(name), "utf-8")


if __name__ == "__main__":
    main()
