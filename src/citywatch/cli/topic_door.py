"""A topic of Kafka in place of the door that `citywatch send` knows: records are read here, and their events sent."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

from citywatch import errors
from citywatch.cli.topics import Writer, refuse_rows, shape_of, topic_of
from citywatch.connections.kafka import configuration
from citywatch.records.chunk import Origin
from citywatch.sender.door import Answer, TooLargeError, UnreachableError
from citywatch.sender.problems import SendError, WrongUsageError
from citywatch.settings import Settings

_INGEST = "/api/v1/ingest/"
_PATIENCE_S = 15.0


class TopicDoor:
    """Where records are sent to; see `citywatch.sender.door.Door`.

    Parameters
    ----------
    to
        Address of the topic. Raises UsageError.
    file
        Where the records come from, by name.
    mapping
        What the records are; empty for CloudEvents.
    shape
        Older system in whose shape events are written; None = as they are.
    """

    tells_the_key = False

    def __init__(self, to: str, file: Path, mapping: str, shape: str | None) -> None:
        from citywatch.connections.kafka.producing import Producing
        from citywatch.mappings.load import load_mappings
        from citywatch.mappings.parse import Parser

        address = topic_of(to, shape)
        self._topic = address.topics[0]
        self._origin = Origin(str(file), replay=False)
        written = shape_of(shape) if shape else None
        refuse_rows(written)
        self._writer = Writer(Parser(Settings(), load_mappings()), written, mapping or None)
        given = configuration.properties(address.configuration)
        self._producing = Producing(address.servers, given, patience=_PATIENCE_S)

    def counts(self, mapping: str) -> bool:
        """Whether records get their ids from their content, so that identical ones have to be counted."""
        from citywatch.mappings.load import load_mappings

        found = [one for one in load_mappings() if one.name == mapping]
        if not found:
            raise SendError(f"there is no mapping {mapping!r}", "see `citywatch mappings list`")
        return found[0].uses("content_id")

    def post(self, path: str, body: bytes, headers: dict[str, str], records: int) -> Answer:  # noqa: ARG002 - Kafka does not count them
        """The acknowledgement of a batch of `records`. Raises UnreachableError or SendError."""
        from citywatch.connections.kafka.producing import UnwrittenError
        from citywatch.sources.http import bodies

        said = {name.lower(): value for name, value in headers.items()}
        read = bodies.foreign if unquote(path).startswith(_INGEST) else bodies.events
        try:
            chunk = bodies.counted(read(said, body, self._origin), bodies.ordinals(said))
            written = self._writer.written(chunk)
            refused = self._producing.write(self._topic, written.messages)
        except errors.TooLargeError as error:
            raise TooLargeError from error
        except (bodies.BodyError, errors.MappingError) as error:
            raise SendError(str(error), "look at --mapping and at the first lines of the file") from error
        except UnwrittenError as error:
            if error.lasting:
                failed = WrongUsageError if error.usage else SendError
                raise failed(f"{self._topic} at {error}", error.hint) from error
            raise UnreachableError(f"{self._topic} at {error}") from error
        rejected = written.refused + [(written.rows[number], why) for number, why in refused.items()]
        return Answer(len(written.messages) - len(refused), 0, rejected)

    def close(self) -> None:
        """Nothing is under way: every batch was waited for."""
