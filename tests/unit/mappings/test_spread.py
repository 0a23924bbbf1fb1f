"""Messages that become many events, each with its whole message, take a bounded amount of memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from citywatch.errors import TooLargeError
from citywatch.mappings import parse as parsing
from citywatch.mappings import spread
from citywatch.records.chunk import Chunk, Parsed, Placing
from citywatch.records.piecewise import piecewise
from tests.unit.mappings.intake import NOW, chunk, cloudevent, micros, parser, reasons


def read(*plates: int, camera: str = "gate") -> list[str]:
    """Messages of a plate reader with so many plates each."""
    return [
        json.dumps({
            "data_type": "alpr_results", "camera_id": camera, "epoch_time": 1777636800123,
            "results": [{"plate": f"K{n}"} for n in range(count)],
        })
        for count in plates
    ]  # fmt: skip


@pytest.fixture
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    """So little may be made at once that few records are too much."""
    monkeypatch.setattr(parsing, "MOST", 5_000)


def ids(parts: list[tuple[Chunk, Parsed]]) -> list[str]:
    return [str(id_) for _, parsed in parts for id_ in parsed.events["id"].to_pylist()]


def test_also_a_small_message_with_thousands_of_items_is_too_much() -> None:
    line = '{"data_type":"alpr_results","epoch_time":1777636800123,"results":[' + ",".join(["{}"] * 5_400) + "]}"
    assert len(line) < 16 << 10
    assert reasons(parser(mapped=True).parse(chunk([line]))) == [
        f"5,400 events of a message of {len(line):,} bytes are too many: send it in parts"
    ]


def test_a_message_of_a_million_values_is_not_even_counted() -> None:
    line = '{"Frame":[{"@UtcTime":"2026-05-01T12:00:00Z","Object":[' + ",".join(["{}"] * 1_000_100) + "]}]}"
    parsed = parser(mapped=True).parse(chunk([line, cloudevent()]))
    assert reasons(parsed) == ["more than 1,000,000 values are too many for one message: send it in parts"]
    assert len(parsed.events) == 1


def test_objects_of_a_frame_do_not_hold_each_other() -> None:
    """Twenty thousand small objects are refused, and counting them takes no more than they do."""
    script = """
import resource
resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
from tests.unit.mappings.test_spread import chunk, parser, reasons
line = '{"Frame":[{"Object":[' + ",".join(["{}"] * 20_000) + "]}]}"
assert len(reasons(parser(mapped=True).parse(chunk([line])))) == 1
"""
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd()), "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
    subprocess.run([sys.executable, "-c", script], check=True, env=environment, timeout=300)


@pytest.mark.usefixtures("little")
def test_too_many_events_at_once_are_made_in_parts_of_which_each_record_is_in_one() -> None:
    lines = [*read(3, 3, 2, 3), "no JSON", *read(3), cloudevent(), *read(1, 3)]
    with pytest.raises(TooLargeError, match="together"):
        parser(mapped=True).parse(chunk(lines))
    parts = list(piecewise(parser(mapped=True).parse, chunk(lines)))
    assert len(parts) > 2
    assert sum(len(parsed.events) for _, parsed in parts) == 19
    assert [reason for _, parsed in parts for reason in reasons(parsed)] == ["not JSON"]


@pytest.mark.usefixtures("little")
def test_identical_records_have_the_same_ids_in_parts_as_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = read(3, 3, 3, 3, 2, 2, 3)
    parts = list(piecewise(parser(mapped=True).parse, chunk(lines)))
    monkeypatch.undo()
    whole = parser(mapped=True).parse(chunk(lines))
    assert ids(parts) == whole.events["id"].to_pylist()
    assert len(set(ids(parts))) == 19


def test_what_is_not_too_much_for_one_record_is_none_for_a_chunk_of_one() -> None:
    assert spread.LARGEST <= spread.MOST


@pytest.mark.usefixtures("little")
def test_only_with_the_last_part_is_a_log_read_further() -> None:
    whole = chunk(read(3, 3, 3, 3, 3))
    stamps = np.array([micros(NOW) + n for n in range(5)])
    placing = Placing(("t/0", "t/1"), np.array([0, 1, 0, 1, 1]), np.array([], np.int64), stamps, {"t/0": 3, "t/1": 7})
    placed = Chunk(whole.origin, whole.format, whole.records, placing=placing, ordinals=np.zeros(5, np.int64))
    parts = list(piecewise(parser(mapped=True).parse, placed))
    placings = [part.placing for part, _ in parts if part.placing is not None]
    assert [one.reached for one in placings] == [{}] * (len(parts) - 1) + [placing.reached]
    assert [n for one in placings for n in one.part.tolist()] == [0, 1, 0, 1, 1]
    assert [n for one in placings for n in one.arrived.tolist()] == stamps.tolist()
