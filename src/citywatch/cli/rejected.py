"""`citywatch rejected`: look at what could not be read, and try again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from citywatch.cli.options import data_option, person
from citywatch.errors import CitywatchError, StoreError, UsageError

if TYPE_CHECKING:
    import pyarrow as pa

    from citywatch.cli.hosting import Host
    from citywatch.engine.embedded.bounded import Parse
    from citywatch.records.chunk import Chunk, Parsed
    from citywatch.stores.desk import Desk

_SHOWN = ("id", "source", "line", "reason", "raw", "size", "mapping", "count")
_SHORT = 60


@click.group()
def rejected() -> None:
    """List and replay what could not be read."""


@rejected.command("list")
@data_option
@click.option(
    "--format", "form", type=click.Choice(["table", "ndjson"]), default="table", show_default=True, help="Form."
)
@click.option("--source", help="Only from this source.")
def list_(*, data: Path, form: str, source: str | None) -> None:
    """Print rejected records with their line, the reason and the record as it came."""
    with _desk(data) as desk:
        desk.audit(person(), "rejected list")
        for record in desk.rejected(source=source):
            shown = {name: record[name] for name in _SHOWN}
            click.echo(json.dumps(shown, ensure_ascii=False) if form == "ndjson" else _line(shown))


def _desk(data: Path) -> Desk:
    from citywatch.stores.desk import Desk
    from citywatch.stores.directory import DataDirectory

    return Desk(DataDirectory(data).require().desk, create=False)


def _line(record: dict[str, Any]) -> str:
    place = f"{record['source']}:{record['line']}" if record["line"] is not None else record["source"]
    raw = " ".join(record["raw"].split())
    short = raw if len(raw) <= _SHORT else raw[: _SHORT - 1] + "…"
    return f"{record['id'][:12]}  {place}  {click.style(record['reason'], bold=True)}  {short}"


@rejected.command()
@click.argument("ids", nargs=-1, metavar="[ID]...")
@data_option
@click.option("--mapping", help="Mapping to read them with; else each is recognised by its fields.")
@click.option("--encoding", help="Encoding of those that are not UTF-8: cp1252 for files of older Windows.")
def replay(*, ids: tuple[str, ...], data: Path, mapping: str | None, encoding: str | None) -> None:
    """Read rejected records again, all or those with an ID: after a mapping was mended, with --mapping or --encoding.

    Records that can be read now become events as if their file were read again; the others stay rejected.
    """
    from citywatch.cli.hosting import Host

    with _desk(data) as desk:
        host = Host(data, mapping=mapping)
        records = _not_too_long(desk.rejected(_resolved(desk, ids)))
        parsed = list(_parsed(desk, records, host.parser(), _decoder(encoding)))
        summary = _hand_in(host, desk, parsed)
        still = {place for part in parsed for place in _places(part.rejected)}
        tried = {part.origin.name for part in parsed}
        read = [r["id"] for r in records if r["source"] in tried and (r["source"], r["line"] or 0) not in still]
        desk.mark_replayed(read)
        desk.audit(person(), f"rejected replay of {len(records)}")
    click.echo(
        json.dumps({"replayed": len(records), "read": len(read), "rejected": len(records) - len(read), **summary})
    )


def _resolved(desk: Desk, ids: Sequence[str]) -> list[str] | None:
    """Full ids by their unique beginnings; None = all."""
    if not ids:
        return None
    known = [record["id"] for record in desk.rejected(replayed=True)]
    found = []
    for text in ids:
        fitting = [record for record in known if record.startswith(text)]
        if len(fitting) != 1:
            number = "no rejected record" if not fitting else f"{len(fitting)} rejected records"
            raise StoreError(f"{number} with an id that begins with {text}", hint="see `citywatch rejected list`")
        found += fitting
    return found


def _not_too_long(records: Iterator[dict[str, Any]]) -> list[dict[str, Any]]:
    """The records without those that no reader takes, which are named and stay as they are."""
    from citywatch.records.lines import LONGEST

    short = []
    for record in records:
        if record["size"] <= LONGEST:
            short.append(record)
        else:
            click.echo(f"citywatch: {record['id'][:12]} stays: it is longer than {LONGEST:,} bytes", err=True)
    return short


def _decoder(encoding: str | None) -> Callable[[bytes], bytes]:
    """Makes UTF-8 of a record that is in another encoding. Raises UsageError."""
    try:
        b"a".decode(encoding or "utf-8")
    except (LookupError, UnicodeDecodeError) as error:
        raise UsageError(f"there is no encoding {encoding!r}", hint="try cp1252, of older Windows") from error

    def decoded(raw: bytes) -> bytes:
        for tried in ("utf-8", encoding or "utf-8"):
            try:
                return raw.decode(tried).encode()
            except UnicodeDecodeError:
                continue
        return raw

    return decoded


def _parsed(
    desk: Desk, records: Sequence[dict[str, Any]], parse: Parse, decoded: Callable[[bytes], bytes]
) -> Iterator[Parsed]:
    """The records read again, by source. What cannot be tried again is said, and stays as it is."""
    raws = [(record, decoded(desk.rejected_raw(record["id"]))) for record in records]
    forms = sorted(((r["source"], _looks_json(raw), r["id"], r, raw) for r, raw in raws), key=lambda form: form[:3])
    for (source, json_), group in groupby(forms, key=lambda form: form[:2]):
        rows = [(record, raw) for *_, record, raw in group]
        try:
            yield parse(_chunk(source, rows, json_=json_))
        except CitywatchError as error:
            click.echo(f"citywatch: {len(rows)} records of {source} cannot be tried again: {error}", err=True)


def _chunk(source: str, rows: Sequence[tuple[dict[str, Any], bytes]], *, json_: bool) -> Chunk:
    """Records of one source as a chunk of a file that came when they first did."""
    import pyarrow as pa

    from citywatch.records.chunk import Chunk, Format, Origin, records_schema
    from citywatch.sources import open_source

    lines = [record["line"] or 0 for record, _ in rows]
    table = pa.table({"line": lines, "raw": [raw for _, raw in rows]}, schema=records_schema())
    origin = Origin(source, arrived=min(record["first_seen"] for record, _ in rows))
    if json_:
        return Chunk(origin, Format.JSON, table)
    # The names of the columns stand in the file only, which has to be still there.
    first = next(open_source(source)[0].chunks())
    return Chunk(origin, first.format, table, first.header, delimiter=first.delimiter)


def _places(rejected: pa.Table) -> list[tuple[Any, Any]]:
    """(source, line) of each refusal."""
    return list(zip(rejected.column("source").to_pylist(), rejected.column("line").to_pylist(), strict=True))


def _looks_json(raw: bytes) -> bool:
    return raw.lstrip()[:1] in (b"{", b"[")


def _hand_in(host: Host, desk: Desk, parsed: Sequence[Parsed]) -> dict[str, int]:
    """Give the events to the engine: to the one that is running, through the desk, or to one made for this.

    What is rejected again stands on the desk already.
    """
    from citywatch.records.chunk import Parsed

    events = [Parsed(part.events, part.rejected.slice(0, 0), part.origin) for part in parsed]
    if host.directory.busy():
        from citywatch.records.cloudevent import cloudevents

        texts = [text for part in events for text in cloudevents(part.events)]
        desk.put_inbox(texts)
        return {"sent": len(texts)}
    with host.engine() as engine:
        summary = engine.run_parsed(events)
    return {"events": summary.events, "duplicates": summary.duplicates, "alerts": summary.alerts}
