"""The quick look at the kinds of values leaves no doubt out that the slow one has."""

from __future__ import annotations

import json
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from citywatch.mappings.cloudevents import odd_sql
from citywatch.mappings.drafts import known
from citywatch.mappings.kinds import doubts
from citywatch.records.columns import Mask

FIELDS = ("lat", "plate", "precinct", "behavior_score", "needs_human", "behaviors", "value", "label")
NUMBERS = st.one_of(
    st.integers(-(10**20), 10**20),
    st.integers(-99_999, 99_999),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([1e3, 1e-7, 1.5e300, 0.1, -0.0]),
)
TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(['":', '"lat":true', '\\":"', "[", "1e5", 'a"b', "é", "\\", "\x00", '","', "x" * 40, "{}"]),
)
LEAVES = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS)
VALUES = st.one_of(
    LEAVES,
    st.lists(LEAVES, max_size=3),
    st.dictionaries(st.sampled_from([*FIELDS, "inner"]), LEAVES, max_size=3),
)
OBJECTS = st.dictionaries(st.one_of(st.sampled_from([*FIELDS, "note"]), TEXTS.filter(bool)), VALUES, max_size=6)


@pytest.fixture(scope="module")
def con() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(config={"threads": 1})


def both(con: duckdb.DuckDBPyConnection, records: list[dict[str, Any]]) -> tuple[Mask, Mask]:
    """What the quick look and the slow one say of records, as they come out of DuckDB."""
    raw = pa.table({"raw": [json.dumps({"data": record}) for record in records]})
    con.register("chunk", raw)
    query = """SELECT CAST(data AS VARCHAR) AS data, json_keys(data) AS keys
      FROM (SELECT from_json(raw, '{"data": "JSON"}').data AS data FROM chunk)"""
    found = con.sql(query).to_arrow_table()
    keys = found["keys"].to_pylist()
    quick = doubts(found["data"].combine_chunks(), np.arange(len(records)), keys)
    fields = known({key for names in keys for key in names or ()})
    con.register("found", found)
    slow = con.sql(f"SELECT {odd_sql(fields)} AS odd FROM found").to_arrow_table()["odd"].to_numpy()
    return quick, slow


@settings(deadline=None)
@given(st.lists(OBJECTS, min_size=1, max_size=8))
def test_what_the_slow_look_doubts_the_quick_one_doubts_too(
    con: duckdb.DuckDBPyConnection, records: list[dict[str, Any]]
) -> None:
    quick, slow = both(con, records)
    assert not (slow & ~quick).any(), [r for r, missed in zip(records, slow & ~quick, strict=True) if missed]


def test_values_as_machines_write_them_leave_no_doubt(con: duckdb.DuckDBPyConnection) -> None:
    plain = {
        "lat": 40.71234,
        "plate": "K1",
        "precinct": -12,
        "needs_human": False,
        "value": None,
        "note": {},
        "label": "e5",
    }
    quick, slow = both(con, [plain, plain | {"lat": 41}, {}])
    assert not quick.any()
    assert not slow.any()


@pytest.mark.parametrize(
    "wrong",
    [
        {"lat": "40.7"},
        {"lat": True},
        {"lat": 1e300},
        {"plate": ["K1"]},
        {"precinct": 3.7},
        {"precinct": 12345},
        {"needs_human": 1},
        {"needs_human": "true"},
        {"label": {}},
        {"note": '":', "lat": 1},
        {"note": {"lat": "x"}},
    ],
)
def test_a_value_of_another_kind_is_doubted(con: duckdb.DuckDBPyConnection, wrong: dict[str, Any]) -> None:
    quick, _ = both(con, [{"lat": 40.7}, wrong, {"plate": "K1"}])
    assert quick.tolist() == [False, True, False]
