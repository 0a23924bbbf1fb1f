"""`citywatch report` and `citywatch sql`: named questions, and any question in SQL."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import click

from citywatch.cli.options import TRUTH_FILE, anywhere_option, bounds, person
from citywatch.errors import ReportError, UsageError

if TYPE_CHECKING:
    import pyarrow as pa

    from citywatch.analytics.archive import Archive, Read
    from citywatch.analytics.question import Answer, Asked, Question
    from citywatch.settings import Settings
    from citywatch.stores.desk import Desk

KEY_FILE = "pseudonyms.key"
MOST = 1_000_000_000
"""Rows at most that `--top` asks for."""

_FORMATS = click.Choice(["table", "json", "csv", "html"])
format_option = click.option("--format", "form", type=_FORMATS, default="table", show_default=True, help="Form.")


def question_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What may be asked beside the name: keywords of `Words`."""
    options = (
        format_option,
        click.option("--top", type=click.IntRange(1, MOST), metavar="N", help="Only the N first."),
        click.option("--from", "start", help="Only from then on: 2026-05-01, 2026-05-01T12:00, RFC 3339, 2h (ago)."),
        click.option("--to", "end", help="Only before then."),
        click.option("--type", "types", multiple=True, help="Count events of this type; `violations` = with a code."),
        click.option("--by", metavar="FIELD", help="For each value of this field."),
        click.option("--truth", type=click.Path(path_type=Path), help="What `simulate` planted, for report detection."),
    )
    for option in reversed(options):
        command = option(command)
    return command


class Words(TypedDict):
    """The options of a report, as they were given."""

    form: str
    top: int | None
    start: str | None
    end: str | None
    types: tuple[str, ...]
    by: str | None
    truth: Path | None


@click.command()
@click.argument("name", required=False)
@anywhere_option
@question_options
def report(*, name: str | None, data: Path | str, **words: Unpack[Words]) -> None:
    """Answer the named question from history; without a name, list the questions."""
    from citywatch.analytics.question import question

    if name is None:
        _list()
        return
    if words["truth"] is None and question(name).takes_truth and isinstance(data, Path):
        planted = data / TRUTH_FILE
        words["truth"] = planted if planted.exists() else None
    with open_anywhere(data, words["truth"], name, words["types"]) as opened:
        answer(opened, name, data, **words)


def answer(opened: tuple[Archive, Desk | None], name: str, data: Path | str, **words: Unpack[Words]) -> None:
    """Ask what is opened the named question, and print what it says."""
    from citywatch.analytics.period import Period
    from citywatch.analytics.question import Asked, question
    from citywatch.cli.opened import record_reading

    (archive, desk), asking = opened, question(name)
    period = Period(*bounds(words["start"], words["end"], archive.zone))
    asked = Asked(period, words["types"], words["by"], words["top"], words["truth"] is not None)
    found = asking.answer(archive, asked)
    if words["form"] != "html":  # which shows pseudonyms
        record_reading(desk, f"report {name}", found.rows.column_names)
    _write(archive, asking, asked, found, form=words["form"], data=data)


@click.command()
@click.argument("query")
@anywhere_option
@format_option
def sql(query: str, data: Path | str, form: str) -> None:
    """Ask history in SQL: the views events, alerts and codes, to read only."""
    if form == "html":
        raise UsageError("sql answers as table, json or csv", hint="a report has a page: `citywatch report`")
    from citywatch.analytics.freely import ask_freely

    readable = [data / "history", data / "log"] if isinstance(data, Path) else [data]
    with open_anywhere(data) as (archive, desk):
        answer = ask_freely(archive, query, readable=readable)
        if desk is not None:
            desk.audit(person(), f"sql {query}"[:1000])
        _write_plain(archive, "sql", answer, form)


def _list() -> None:
    from citywatch.analytics.question import questions

    width = max(map(len, questions()))
    for name, asking in questions().items():
        click.echo(f"{name.ljust(width)}  {asking.title}")


@contextmanager
def open_archive(data: Path, truth: Path | None = None) -> Iterator[tuple[Archive, Desk | None]]:
    """History and desk of a data directory, for a while. Raises StoreError where there is none."""
    from citywatch.analytics.archive import Archive
    from citywatch.cli.elsewhere import connected
    from citywatch.stores.desk import Desk
    from citywatch.stores.directory import DataDirectory
    from citywatch.stores.history import History

    directory = DataDirectory(data).require()
    with connected() as con:
        History(data).create_view(con, "events")
        desk = Desk(directory.desk, create=False) if directory.desk.exists() else None
        try:
            read: dict[str, Read] = {
                "alerts": lambda columns: _alerts(desk, columns),
                "rejected": lambda _: _rejected(desk),
                "population": lambda _: _population(data / "population.csv"),
                "truth": lambda _: truth_of(truth, directory.settings()),
            }
            yield Archive(con, directory.settings().zone, read), desk
        finally:
            if desk is not None:
                desk.close()


def open_anywhere(
    data: Path | str, truth: Path | None = None, name: str = "sql", types: tuple[str, ...] = ()
) -> AbstractContextManager[tuple[Archive, Desk | None]]:
    """The same of a data directory or of what is kept elsewhere, which has no desk.

    `name` and `types` are what is to be asked. Raises UsageError where that is not kept there.
    """
    if isinstance(data, Path):
        return open_archive(data, truth)
    from citywatch.cli.elsewhere import open_elsewhere

    return open_elsewhere(data, name, types, lambda settings: truth_of(truth, settings))


def _alerts(desk: Desk | None, columns: Sequence[str]) -> pa.RecordBatchReader:
    """Columns of the alerts as they are read: those of a year do not fit into memory at once."""
    import pyarrow as pa

    from citywatch.analytics.archive import ALERT

    types: dict[str, pa.DataType] = {
        **dict.fromkeys(("VARCHAR", "JSON"), pa.string()),
        "TIMESTAMPTZ": pa.timestamp("us", tz="UTC"),
        "BIGINT": pa.int64(),
        "DOUBLE": pa.float64(),
        "BOOLEAN": pa.int8(),
    }
    schema = pa.schema({name: types[ALERT[name]] for name in columns})
    read = desk.columns(columns) if desk is not None else iter(())
    batches = (
        pa.record_batch([pa.array(part[field.name], field.type) for field in schema], schema=schema) for part in read
    )
    return pa.RecordBatchReader.from_batches(schema, batches)


def _rejected(desk: Desk | None) -> pa.Table:
    import pyarrow as pa

    records = desk.rejected() if desk is not None else iter(())
    rows = [(record["source"], record["reason"], record["last_seen"]) for record in records]
    source, reason, seen = zip(*rows, strict=True) if rows else ((), (), ())
    times = pa.array(seen, pa.timestamp("us", tz="UTC"))
    return pa.table(
        {"source": pa.array(source, pa.string()), "reason": pa.array(reason, pa.string()), "received_at": times}
    )


def truth_of(file: Path | None, settings: Settings) -> pa.Table:
    """What was planted, and until when each alert is `due`: those that wait for silence come after late events."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from citywatch.analytics.truth import read_truth

    table = read_truth(file or Path())
    wait = pa.scalar(timedelta(microseconds=settings.lateness + settings.disorder))
    return table.append_column("due", pc.add(table["finish"], wait))


def _population(file: Path) -> pa.Table:
    """The inhabitants of each ZIP code, as the city's people wrote them down; none without the file."""
    import pyarrow as pa
    from pyarrow import csv

    types: dict[str, pa.DataType] = {"zip": pa.string(), "population": pa.int64()}
    schema = pa.schema(types)
    if not file.exists():
        return schema.empty_table()
    try:
        options = csv.ConvertOptions(column_types=schema, include_columns=schema.names)
        return csv.read_csv(file, convert_options=options)
    except pa.ArrowException as error:
        raise ReportError(f"{file} cannot be read: {error}", hint="its columns are zip,population") from error


def _write(archive: Archive, asking: Question, asked: Asked, answer: Answer, *, form: str, data: Path | str) -> None:
    if form == "table":
        from rich.console import Console

        from citywatch.analytics.render.terminal import print_answer

        print_answer(asking.title, answer, Console(), asking.exclusions)
    elif form == "html":
        from citywatch.analytics.render.page import Frame, page
        from citywatch.analytics.render.pseudonyms import KEY_BYTES, read_key
        from citywatch.analytics.tally import where_sql

        key = read_key(data / KEY_FILE) if isinstance(data, Path) else secrets.token_bytes(KEY_BYTES)
        frame = Frame(archive.zone, key, archive.span(where_sql(asking.completed(asked))))
        click.echo(page(asking, asked, answer, frame), nl=False)
    else:
        _write_plain(archive, asking.name, answer, form)
        for left in answer.excluded if form == "csv" else ():
            click.echo(f"left out: {left.rows} {left.reason}", err=True)


def _write_plain(archive: Archive, name: str, answer: Answer, form: str) -> None:
    from citywatch.analytics.render.machine import write_csv, write_json

    if form == "json":
        write_json(archive.con, name, answer, sys.stdout.buffer)
    elif form == "csv":
        write_csv(answer, sys.stdout)
    else:
        from rich.console import Console

        from citywatch.analytics.render.terminal import print_answer

        print_answer("", answer, Console())
