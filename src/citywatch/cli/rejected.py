"""`citywatch rejected`: look at what could not be read, and try again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from citywatch.cli.options import data_option, person
from citywatch.errors import CitywatchError, SourceError, StoreError, UsageError
from citywatch.wording import printable

if TYPE_CHECKING:
    from citywatch.cli.hosting import Host
    from citywatch.engine.embedded.bounded import Parse
    from citywatch.records.chunk import Chunk, Parsed
    from citywatch.stores.desk import Desk

_SHOWN = ("id", "source", "line", "reason", "raw", "size", "mapping", "count")
_SHORT = 60
_PORTION = 20_000
_PORTION_BYTES = 1 << 25

HTTP = "http/"
"""How the names of sources begin that are doors of the console; the rest is the mapping, or `events`."""

_CLOUDEVENTS = "cloudevents"


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
            click.echo(json.dumps(shown, ensure_ascii=False) if form == "ndjson" else _line(printable(shown)))


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
@click.option("--from", "source", metavar="kafka://…", help="Those of a topic of rejected records, whole.")
@click.option("--to", metavar="kafka://…", help="Send the events to a topic; default: to this data directory.")
def replay(
    *, ids: tuple[str, ...], data: Path, mapping: str | None, encoding: str | None, source: str | None, to: str | None
) -> None:
    """Read rejected records again, all or those with an ID: after a mapping was mended, with --mapping or --encoding.

    Records that can be read now become events as if their file were read again; the others stay rejected.
    """
    from citywatch.cli.hosting import Host

    with _desk(data) as desk:
        host = Host(data, mapping=mapping)
        told = _told(source, ids) if source else None
        records = told.records if told else desk.rejected(_resolved(desk.rejected(replayed=True), ids))
        raw = told.raw.__getitem__ if told else desk.rejected_raw
        replayed, parse, decoded = Replayed(), host.parser(), _decoder(encoding)
        portions = _portions(replayed.counted(_not_too_long(records)))
        tried = (_tried(raw, portion, parse, decoded, named=mapping is not None) for portion in portions)
        parts = replayed.noted(chain.from_iterable(tried))
        summary = _send(to, parts) if to else _hand_in(host, desk, parts)
        desk.mark_replayed(replayed.read)
        desk.audit(person(), f"rejected replay of {replayed.records}")
    click.echo(json.dumps({**replayed.told(), **summary}))


class Replayed:
    """What became of the records while they pass by: there may be millions."""

    def __init__(self) -> None:
        self.records = 0
        self.read: list[str] = []

    def counted(self, records: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """The records that are tried."""
        for record in records:
            self.records += 1
            yield record

    def noted(self, tried: Iterable[tuple[list[str], Parsed]]) -> Iterator[Parsed]:
        """Events of records that were read again; keeps the ids of those of which nothing is refused any more."""
        for ids, parsed in tried:
            refused = set() if parsed.refused is None else set(parsed.refused.tolist())
            self.read += [record for row, record in enumerate(ids) if row not in refused]
            yield parsed

    def told(self) -> dict[str, int]:
        """The counts, for a person."""
        return {"replayed": self.records, "read": len(self.read), "rejected": self.records - len(self.read)}


class Told(NamedTuple):
    """Records that a topic tells of, as the desk has them, and their bytes by id."""

    records: list[dict[str, Any]]
    raw: dict[str, bytes]


def _told(source: str, ids: Sequence[str]) -> Told:
    """What a topic of rejected records holds now: all, or those whose id begins as one of `ids`."""
    from citywatch.cli.refusals import TOPIC, read_back
    from citywatch.connections.kafka.address import parse
    from citywatch.connections.kafka.configuration import properties, require

    address = parse(source, ("config",), TOPIC)
    require()
    from citywatch.connections.kafka.spans import Spans

    with Spans(address.servers, properties(address.configuration)) as topics:
        spans = [span for topic in address.topics for span in topics.whole(topic)]
        values = [message.value() or b"" for span in spans for part in topics.read(span) for message in part]
    read = [found for found in map(read_back, values) if found is not None]
    if len(read) < len(values):
        click.echo(f"citywatch: {len(values) - len(read):,} messages hold no whole rejected record", err=True)
    records = {record["id"]: record for record, _ in read}
    chosen = _resolved(iter(records.values()), ids)
    raw = {record["id"]: content for record, content in read}
    return Told([record for id_, record in records.items() if chosen is None or id_ in chosen], raw)


def _resolved(records: Iterator[dict[str, Any]], ids: Sequence[str]) -> list[str] | None:
    """Full ids by their unique beginnings; None = all."""
    if not ids:
        return None
    known = [record["id"] for record in records]
    found = []
    for text in ids:
        fitting = [record for record in known if record.startswith(text)]
        if len(fitting) != 1:
            number = "no rejected record" if not fitting else f"{len(fitting)} rejected records"
            raise StoreError(f"{number} with an id that begins with {text}", hint="see `citywatch rejected list`")
        found += fitting
    return found


def _not_too_long(records: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The records without those that no reader takes, which are named and stay as they are."""
    from citywatch.records.lines import LONGEST

    for record in records:
        if record["size"] <= LONGEST:
            yield record
        else:
            click.echo(f"citywatch: {record['id'][:12]} stays: it is longer than {LONGEST:,} bytes", err=True)


def _portions(records: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Records that are read again together: so many as a machine holds, however long they are."""
    portion, size = list[dict[str, Any]](), 0
    for record in records:
        portion.append(record)
        size += record["size"]
        if len(portion) == _PORTION or size > _PORTION_BYTES:
            yield portion
            portion, size = [], 0
    if portion:
        yield portion


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


def _tried(
    raw_of: Callable[[str], bytes],
    records: Sequence[dict[str, Any]],
    parse: Parse,
    decoded: Callable[[bytes], bytes],
    *,
    named: bool,
) -> Iterator[tuple[list[str], Parsed]]:
    """The records read again, by source, with their ids. What cannot be tried again is said, and stays as it is."""
    from citywatch.records.piecewise import piecewise

    raws = [(record, decoded(raw_of(record["id"]))) for record in records]
    forms = sorted(((_form(r["source"], raw), r["id"], r, raw) for r, raw in raws), key=lambda form: form[:2])
    for form, group in groupby(forms, key=lambda form: form[0]):
        rows = [(record, raw) for *_, record, raw in group]
        try:
            before = 0
            for part, parsed in piecewise(parse, _chunk(form, rows, named=named)):
                yield [record["id"] for record, _ in rows[before : before + len(part.records)]], parsed
                before += len(part.records)
        except CitywatchError as error:
            click.echo(f"citywatch: {len(rows)} records of {form.source} cannot be tried again: {error}", err=True)


class Form(NamedTuple):
    """What records have in common that can be read together; `header` stands before a row that came over HTTP."""

    source: str
    json: bool
    header: bytes


def _form(source: str, raw: bytes) -> Form:
    json_ = _looks_json(raw)
    headed = source.startswith(HTTP) and not json_ and b"\n" in raw
    return Form(source, json_, raw.partition(b"\n")[0] if headed else b"")


def _chunk(form: Form, rows: Sequence[tuple[dict[str, Any], bytes]], *, named: bool) -> Chunk:
    """Records of one source as a chunk of a file that came when they first did; over HTTP they come now, once more.

    `named`: a person has named the mapping; otherwise it is the one whose door they came to.
    """
    import pyarrow as pa

    from citywatch.records.chunk import Chunk, Format, Origin, records_schema
    from citywatch.records.csv_rows import read_header
    from citywatch.sources import open_source

    skip = len(form.header) + 1 if form.header else 0
    columns = {"line": [record["line"] or 0 for record, _ in rows], "raw": [raw[skip:] for _, raw in rows]}
    table = pa.table(columns, schema=records_schema())
    door = form.source.removeprefix(HTTP) if form.source.startswith(HTTP) else ""
    arrived = min(record["first_seen"] for record, _ in rows)
    origin = Origin(form.source, arrived=arrived, replay=not door)
    mapping = None if named or not door else _CLOUDEVENTS if door == "events" else door
    if form.json:
        return Chunk(origin, Format.JSON, table, mapping=mapping)
    if door:
        header = read_header(form.header) if form.header else None
        names, delimiter = (header.names, header.delimiter) if header else (None, _delimiter(rows))
        return Chunk(origin, Format.CSV, table, names, delimiter=delimiter, mapping=mapping)
    # The names of the columns stand in the file only, which has to be still there.
    first = next(iter(open_source(form.source)[0].chunks()), None)
    if first is None:
        raise SourceError(f"{form.source} is empty", hint="the names of the columns were in it")
    return Chunk(origin, first.format, table, first.header, delimiter=first.delimiter)


def _delimiter(rows: Sequence[tuple[dict[str, Any], bytes]]) -> str:
    """What separates the columns of rows that have no header."""
    from citywatch.records.csv_rows import DELIMITERS

    return max(DELIMITERS, key=lambda delimiter: sum(raw.count(delimiter.encode()) for _, raw in rows))


def _looks_json(raw: bytes) -> bool:
    return raw.lstrip()[:1] in (b"{", b"[")


def _send(to: str, parsed: Iterable[Parsed]) -> dict[str, int]:
    """Send the events to a topic, each under its device. Raises CitywatchError when it does not take one of them."""
    from citywatch.cli.topics import keys, patiently, topic_of
    from citywatch.connections.kafka.configuration import properties
    from citywatch.records.cloudevent import cloudevents

    address, sent = topic_of(to, None), 0
    from citywatch.connections.kafka.producing import Outgoing, Producing

    with Producing(address.servers, properties(address.configuration)) as producing:
        for part in parsed:
            pairs = zip(keys(part.events), cloudevents(part.events), strict=True)
            messages = [Outgoing(key, text.encode()) for key, text in pairs]
            if unwritten := patiently(producing, address.topics[0], messages):
                why = f"{address.topics[0]} does not take {len(unwritten):,} events: {next(iter(unwritten.values()))}"
                raise CitywatchError(why, hint="all records stay rejected; what was sent is known when it comes again")
            sent += len(messages)
    return {"sent": sent}


def _hand_in(host: Host, desk: Desk, parsed: Iterable[Parsed]) -> dict[str, int]:
    """Give the events to the engine: to the one that is running, through the desk, or to one made for this.

    What is rejected again stands on the desk already.
    """
    from citywatch.records.chunk import Parsed

    events = (Parsed(part.events, part.rejected.slice(0, 0), part.origin) for part in parsed)
    if host.directory.busy():
        from citywatch.records.cloudevent import cloudevents

        sent = 0
        for part in events:
            desk.put_inbox(cloudevents(part.events))
            sent += part.events.num_rows
        return {"sent": sent}
    with host.engine() as engine:
        summary = engine.run_parsed(events)
    return {"events": summary.events, "duplicates": summary.duplicates, "alerts": summary.alerts}
