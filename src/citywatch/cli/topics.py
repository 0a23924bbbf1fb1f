"""Topics of Kafka as a place to send to: events as they are, or in an older system's shape."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from citywatch.cli.log import say
from citywatch.connections.kafka import configuration
from citywatch.connections.kafka.address import EVENTS, Address, parse
from citywatch.errors import CitywatchError, UsageError
from citywatch.records.columns import listed

if TYPE_CHECKING:
    import pyarrow as pa

    from citywatch.connections.kafka.producing import Outgoing, Producing
    from citywatch.mappings.model import Mapping as Shape
    from citywatch.mappings.parse import Parser
    from citywatch.records.chunk import Chunk, Parsed
    from citywatch.records.columns import Positions

_PAUSE_S = 1.0
_DEVICE = ("device_id", "drone_id", "camera_id", "sensor_id", "source")

OLDER: Mapping[str, str] = {"prestacop": "drone_topic", "safety-watcher": "users"}
"""Topics of the older systems, where an address names none."""


def topic_of(to: str, shape: str | None) -> Address:
    """The one topic behind an address. Raises UsageError."""
    address = parse(to, ("config",), OLDER.get(shape or "", EVENTS))
    if len(address.topics) != 1:
        raise UsageError(f"{to!r} names several topics, and one is written to", hint="call once for each")
    configuration.require()
    return address


def shape_of(name: str) -> Shape:
    """The mapping whose shape events can be written in: one that is shipped, or a file of one's own.

    Raises UsageError, or MappingError with the line of what is wrong in the file.
    """
    from citywatch.mappings.load import load_mappings, read_mapping, shipped

    file = Path(name) if name.endswith(".yaml") else shipped() / f"{name}.yaml"
    mapping = read_mapping(file) if file.is_file() else None
    if mapping is None or mapping.returns is None:
        known = ", ".join(sorted(other.name for other in load_mappings() if other.returns is not None))
        raise UsageError(f"events cannot be written as {name!r}", hint=f"known: {known}, or the file of a mapping")
    return mapping


def refuse_rows(shape: Shape | None) -> None:
    """Raises UsageError for a shape whose lines mean nothing without the header above them: messages come alone."""
    if shape is not None and shape.returns is not None and shape.returns.header is not None:
        raise UsageError(
            f"rows of {shape.name} need their header above them, and a topic has no place for it",
            hint="write them into a file, and send that with --mapping",
        )


class Written(NamedTuple):
    """Messages, the row of the record that each is of, and (row, reason) of the records of which none is."""

    messages: list[Outgoing]
    rows: list[int]
    refused: list[tuple[int, str]]


class Writer:
    """Makes messages of chunks of records: the key is the device, so that a device's order holds.

    Parameters
    ----------
    parser
        Reads the records.
    shape
        An older system's; None = events as they are.
    mapping
        What the records are taken for; None = they are CloudEvents, or known by their fields.
    """

    def __init__(self, parser: Parser, shape: Shape | None, mapping: str | None = None) -> None:
        self._parser, self._shape, self._mapping = parser, shape, mapping

    def written(self, chunk: Chunk) -> Written:
        """The messages of a chunk, in the order of its records, and what became of the others."""
        from citywatch.connections.kafka.producing import Outgoing

        parsed = self._parser.parse(chunk, self._mapping)
        found = Written([], [], _refused(parsed))
        events = zip(_rows(parsed.rows), keys(parsed.events), self._values(parsed, chunk), strict=True)
        for row, key, value in events:
            if value is None:
                found.refused.append((row, f"{self._shape.name if self._shape else ''} has no word for such an event"))
            else:
                found.messages.append(Outgoing(key, value.encode()))
                found.rows.append(row)
        return found

    def _values(self, parsed: Parsed, chunk: Chunk) -> Sequence[str | None]:
        from citywatch.mappings.render import render
        from citywatch.records.cloudevent import cloudevents

        if self._shape is not None:
            return listed(render(parsed.events, self._shape))
        if self._mapping is not None or parsed.rows is None:
            return cloudevents(parsed.events)
        raws = listed(chunk.records["raw"].take(parsed.rows))
        return [raw.decode().rstrip("\r\n") for raw in raws]


def _rows(rows: Positions | None) -> list[int]:
    return [] if rows is None else rows.tolist()


def _refused(parsed: Parsed) -> list[tuple[int, str]]:
    return list(zip(_rows(parsed.refused), listed(parsed.rejected["reason"]), strict=True))


def keys(events: pa.Table) -> list[str]:
    """The device of each event, else what it is about, else its source."""
    columns = [events.column(name).to_pylist() for name in ("device_id", "subject", "source")]
    return [device or subject or source for device, subject, source in zip(*columns, strict=True)]


def key_of(line: str) -> str | None:
    """The device that a message of any shape is of, else its source; None where it names neither."""
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict):
        return None
    data = said.get("data")
    parts = [data, said] if isinstance(data, dict) else [said]
    return next((str(part[name]) for name in _DEVICE for part in parts if part.get(name)), None)


def patiently(producing: Producing, topic: str, messages: Sequence[Outgoing]) -> dict[int, str]:
    """Write messages, again while nobody answers; what Kafka will never take, by number. Raises CitywatchError."""
    from citywatch.connections.kafka.producing import UnwrittenError

    while True:
        try:
            return producing.write(topic, messages)
        except UnwrittenError as error:
            if error.lasting:
                failed = UsageError if error.usage else CitywatchError
                raise failed(f"{topic} at {error}", hint=error.hint or None) from error
            say(f"{topic} at {error}; trying again")
            time.sleep(_PAUSE_S)
