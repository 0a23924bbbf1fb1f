"""Events and engines for the tests of the host."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from citywatch.engine.embedded import Engine
from citywatch.mappings.parse import Parser
from citywatch.records.chunk import Chunk, Format, Origin, Parsed, records_schema
from citywatch.rules.load import load_rules
from citywatch.rules.model import Ruleset
from citywatch.settings import Settings
from citywatch.stores.desk import Desk
from citywatch.stores.history import History
from citywatch.triage import Choice

START = datetime(2026, 1, 5, 12, tzinfo=UTC)
NO_RULES = Ruleset(())

PLATES = """
title: A plate is read
id: 00000000-0000-4000-8000-000000000001
name: plate_read
status: experimental
level: low
logsource: {category: anpr.read}
where: plate IS NOT NULL
"""

THREE = """
title: Three reads of a plate
id: 00000000-0000-4000-8000-000000000002
name: three_reads
status: experimental
level: high
logsource: {category: anpr.read}
correlation: {type: event_count, group-by: [plate], timespan: 10m, condition: {gte: 3}}
"""


DEVICES = """
title: Many reads in all
id: 00000000-0000-4000-8000-000000000003
name: many_reads
status: experimental
level: low
logsource: {category: anpr.read}
where: plate IS NOT NULL
correlation: {type: event_count, group-by: [], timespan: 10m, condition: {gte: 2}}
"""


def moment(second: float) -> str:
    return (START + timedelta(seconds=second)).isoformat().replace("+00:00", "Z")


def micros(second: float) -> int:
    return int((START + timedelta(seconds=second)).timestamp()) * 1_000_000 + int(second * 1e6) % 1_000_000


def event(n: int | str, second: float, received: float | None = None, **data: Any) -> str:
    """A CloudEvent as text, received at once unless it says otherwise."""
    at = moment(second if received is None else received)
    head = {"specversion": "1.0", "id": str(n), "source": "camera", "type": "anpr.read"}
    return json.dumps({**head, "time": moment(second), "receivedat": at, "data": data})


def chunk(texts: Sequence[str], name: str = "day.ndjson", *, replay: bool = True) -> Chunk:
    raw = [text.encode() for text in texts]
    records = pa.table([range(1, len(raw) + 1), raw], schema=records_schema())
    return Chunk(Origin(name, replay=replay), Format.JSON, records)


def parsed(texts: Sequence[str], name: str = "day.ndjson") -> Parsed:
    return Parser(Settings()).parse(chunk(texts, name))


class File:
    """A source of given records."""

    def __init__(self, *chunks: Chunk, name: str = "day.ndjson") -> None:
        self.name = name
        self._chunks = chunks

    def chunks(self) -> Any:
        return iter(self._chunks)


def rules(directory: Path, *documents: str) -> Ruleset:
    directory.mkdir(exist_ok=True)
    (directory / "rules.yaml").write_text("---\n".join(documents), "utf-8")
    return load_rules([directory], Settings(), run_tests=False)


def engine(data: Path, ruleset: Ruleset = NO_RULES, **options: Any) -> Engine:
    return Engine(data, ruleset, options.pop("settings", Settings()), **options)


def run(data: Path, *texts: str, ruleset: Ruleset = NO_RULES) -> Any:
    """A bounded run over one file."""
    with engine(data, ruleset) as host:
        return host.run_bounded([File(chunk(texts))], [Parser(Settings()).parse])


def stored(data: Path, columns: str = "id") -> list[Any]:
    """A column (or several) of all events by sequence number."""
    with duckdb.connect() as con:
        History(data).create_view(con)
        rows = con.execute(f"SELECT {columns} FROM events ORDER BY seq").fetchall()
    return [row[0] if len(row) == 1 else row for row in rows]


def alerts(data: Path) -> list[dict[str, Any]]:
    with Desk(data / "desk.sqlite") as desk:
        return [json.loads(line) for line in desk.lines(Choice())]
