"""Whatever a topic of rejected records brings: it is one that can be tried again, or is counted as none."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citywatch.cli.refusals import read_back
from tests.unit.desk.test_told_by_others import ANYTHING, POISON

RECORD: dict[str, Any] = {"id": "ab", "source": "t/0", "line": 3, "reason": "not JSON", "mapping": None}
RECORD |= {"first_seen": 1_700_000_000_000_000, "size": 4, "raw": "{ no"}


def test_a_record_comes_back_with_its_bytes() -> None:
    assert read_back(json.dumps(RECORD).encode()) == (RECORD, b"{ no")
    binary = {**RECORD, "raw_base64": base64.b64encode(b"\xff" * 4).decode()}
    assert read_back(json.dumps(binary).encode()) == (binary, b"\xff" * 4)


@pytest.mark.parametrize("number", range(len(POISON)))
def test_what_is_none_is_none(number: int) -> None:
    assert read_back(POISON[number]) is None


@given(field=st.sampled_from(sorted(RECORD)), value=ANYTHING)
def test_one_with_anything_in_a_field_is_fit_to_be_tried_again_or_none(field: str, value: Any) -> None:
    found = read_back(json.dumps({**RECORD, field: value}).encode())
    if found is not None:
        record, raw = found
        assert all(isinstance(record[name], str) and record[name].encode() is not None for name in ("id", "source"))
        assert record["line"] is None or isinstance(record["line"], int)
        assert isinstance(record["first_seen"], int)
        assert len(raw) == record["size"]
