"""A thousand plain rules over ten types of event against ten rules: the step alone, batches of 50,000 events."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa

from bench.measure import Line, cores, fresh
from citywatch.engine.step import Step
from citywatch.event import SHIPPED_TYPES, STORED, batch_schema
from citywatch.rules.load import load_rules
from citywatch.settings import Settings

BATCH = 50_000
BATCHES = 8
_CLOCK = 1_800_000_000_000_000

# Predicates as people write them, none of which holds for more than a few events in a hundred thousand.
_SHAPES = (
    "plate = 'K{n}' AND plate_confidence >= 0.9",
    "device_id = 'dev-{n}' AND battery < 10",
    "violation_code = {n} AND precinct = {m}",
    "precinct = {m} AND value > 99.{n:03d}",
    "label = 'kind-{n}' AND confidence > 0.{m:02d}5",
    "speed_kmh > 119.{n:03d} AND borough = 'Queens'",
    "plate LIKE 'Z{n}%' AND plate_state <> 'NY'",
    "temperature BETWEEN 60.{n:03d} AND 61",
    "severity = 5 AND device_id IN ('dev-{n}', 'dev-x{n}')",
    "data->>'note' = 'word {n}'",
)


def bench(scratch: Path) -> Iterator[Line]:
    """The same batches for both sets of rules; the best of the later batches, as the first one warms up."""
    batches = [_batch(i) for i in range(BATCHES)]
    few, many = (_seconds(scratch, count, batches) for count in (10, 1000))
    yield Line(
        "1,000 plain rules over 10 types against 10 rules, batches of 50,000",
        f"{many / few:.1f} times ({few * 1000:.0f} ms and {many * 1000:.0f} ms a batch)",
        "under 5 times",
        "3 times",
        many / few < 5,
    )


def _seconds(scratch: Path, count: int, batches: list[pa.Table]) -> float:
    directory = fresh(scratch / f"rules-{count}")
    (directory / "rules.yaml").write_text("---\n".join(_rule(i) for i in range(count)), "utf-8")
    settings = Settings()
    ruleset = load_rules([directory], settings, run_tests=False)
    took = []
    with duckdb.connect() as con:
        con.execute(f"SET threads = {cores()}")
        step = Step(con, ruleset, settings)
        for batch in batches:
            began = time.perf_counter()
            con.execute("BEGIN")
            step.advance(batch, _CLOCK)
            con.execute("COMMIT")
            took.append(time.perf_counter() - began)
    return min(took[1:])


def _rule(i: int) -> str:
    where = _SHAPES[(i + i // 10) % 10].format(n=i, m=i % 77)  # the first ten are of every kind, as all are
    return f"""title: Rule {i}
id: b2000000-0000-4000-8000-{i:012d}
name: rule_{i}
status: experimental
level: low
logsource: {{category: {SHIPPED_TYPES[i % 10]}}}
where: {where}
"""


def _batch(number: int) -> pa.Table:
    """Events of all ten types with values in all fields that the predicates read; the others are NULL."""
    values = {
        "seq": f"{number * BATCH} + i",
        "id": f"'{number}-' || i",
        "source": "'bench'",
        "type": f"({list(SHIPPED_TYPES)})[1 + i % 10]",
        "time": f"make_timestamptz({_CLOCK} - 60_000_000 + i * 1000)",
        "received_at": f"make_timestamptz({_CLOCK} - 60_000_000 + i * 1000)",
        "time_precision": "'second'",
        **dict.fromkeys(("late", "stale", "backfill"), "false"),
        "plate": "'K' || hash(i) % 50000",
        "plate_confidence": "0.9",
        "plate_state": "'NY'",
        "device_id": "'dev-' || hash(i) % 5000",
        "battery": "50",
        "violation_code": "hash(i) % 99",
        "precinct": "hash(i + 1) % 77",
        "value": "hash(i) % 99",
        "label": "'kind-' || hash(i) % 9",
        "confidence": "0.5",
        "speed_kmh": "hash(i) % 100",
        "borough": "'Queens'",
        "temperature": "20",
        "severity": "hash(i) % 6",
        "data": "json_object('note', 'word ' || i, 'value', i % 99)",
        **dict.fromkeys(("ident_hi", "ident_lo", "fingerprint"), f"{number * BATCH} + i"),
    }
    columns = ", ".join(f'CAST({values.get(name, "NULL")} AS {sql}) AS "{name}"' for name, sql in STORED)
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        table: pa.Table = con.sql(f"SELECT {columns} FROM range({BATCH}) AS numbers(i)").to_arrow_table()
    return table.cast(batch_schema())
