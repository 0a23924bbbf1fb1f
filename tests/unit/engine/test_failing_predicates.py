"""A predicate that fails on an event is not true there; it is counted, and nothing else suffers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from citywatch.engine.step import Step
from citywatch.event import batch_schema
from citywatch.rules.load import load_rules
from citywatch.settings import SECOND, Settings

START = 1_780_000_000_000_000
RULES = """
title: More than one
id: 6a0f1c52-6a0f-4c52-9d2e-0c5f3f6d1a31
name: more
status: experimental
where: CAST(data->>'n' AS INTEGER) > 1
---
title: More than two
id: 6a0f1c52-6a0f-4c52-9d2e-0c5f3f6d1a32
name: yet_more
status: experimental
where: CAST(data->>'n' AS INTEGER) > 2
---
title: Any plate
id: 6a0f1c52-6a0f-4c52-9d2e-0c5f3f6d1a33
name: any_plate
status: experimental
where: plate IS NOT NULL
"""


def batch_of(numbers: list[str]) -> pa.Table:
    rows: list[dict[str, Any]] = [
        {
            "seq": n, "id": str(n), "source": "s", "type": "note", "time": START + n * SECOND,
            "received_at": START + n * SECOND, "late": False, "stale": False, "backfill": False,
            "plate": "K1", "data": f'{{"n":"{number}"}}',
        }
        for n, number in enumerate(numbers)
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=batch_schema())


def test_it_is_not_true_there_and_counted_and_all_else_is_as_ever(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(RULES, "utf-8")
    settings = Settings()
    step = Step(duckdb.connect(), load_rules([tmp_path], settings, run_tests=False), settings)
    facts = step.advance(batch_of(["1", "two", "2", "3", "99999999999"]), START + 10 * SECOND).to_pylist()
    found = sorted((fact["rule"], int(fact["first_seen"].timestamp()) - START // SECOND) for fact in facts)
    assert found == [*(("any_plate", n) for n in range(5)), ("more", 2), ("more", 3), ("yet_more", 3)]
    assert sorted(step.errors.values()) == [2, 2]
    again = step.advance(batch_of(["7"]).set_column(0, "seq", [[10]]), START + 20 * SECOND)
    assert sorted(map(str, again["rule"].to_pylist())) == ["any_plate", "more", "yet_more"]
