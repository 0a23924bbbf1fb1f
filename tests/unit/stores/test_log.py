"""The log: accepted events, each once, whatever was torn, joined or listed while it changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from citywatch.errors import StoreError
from citywatch.event import batch_schema
from citywatch.stores import durable
from citywatch.stores import log as log_module
from citywatch.stores.log import Counts, Footer, Log

from .events import START, batch

FOOTER = Footer(clock=START, counts=Counts(events=3, duplicates=2))


def filled(directory: Path, sizes: list[int]) -> Log:
    log, first = Log(directory), 1
    for size in sizes:
        log.append(batch([START + n for n in range(size)], first), FOOTER)
        first += size
    return log


def numbers(log: Log, above: int = 0) -> list[int | None]:
    return [n for segment in log.segments(above) for n in log.read(segment, above).column("seq").to_pylist()]


def test_a_batch_comes_back_as_it_was_written(tmp_path: Path) -> None:
    events = batch([START, START + 1], first=5, zones=[["school"], None], lat=[40.7, None], violation_code=[46, None])
    segment = Log(tmp_path).append(events, FOOTER)
    assert Log(tmp_path).read(segment).equals(events)
    assert Log(tmp_path).read(segment).schema.equals(batch_schema())
    assert Log(tmp_path).footer(segment) == FOOTER


def test_only_the_columns_and_events_that_are_asked_for_are_read(tmp_path: Path) -> None:
    log = filled(tmp_path, [3])
    table = log.read(log.segments()[0], above=2, columns=["seq", "ident_hi"])
    assert table.column_names == ["seq", "ident_hi"]
    assert table.column("seq").to_pylist() == [3]


def test_segments_after_a_number_start_with_the_one_that_holds_the_next(tmp_path: Path) -> None:
    log = filled(tmp_path, [3, 3, 3])
    assert [segment.first for segment in log.segments(above=4)] == [4, 7]
    assert numbers(log, above=4) == [5, 6, 7, 8, 9]
    assert log.segments(above=9) == []


def test_a_joined_segment_replaces_the_small_ones_at_once_and_they_stay_for_a_while(tmp_path: Path) -> None:
    log = filled(tmp_path, [1] * log_module.JOIN_AT)
    assert log.join_small(above=0) is not None
    assert len(log.segments()) == 1
    assert numbers(log) == list(range(1, log_module.JOIN_AT + 1))
    assert log.remove_covered(published=0) == 0
    assert len(list(tmp_path.iterdir())) == log_module.JOIN_AT + 1
    assert log.remove_covered(published=0, grace_s=-1) == log_module.JOIN_AT
    assert numbers(log) == list(range(1, log_module.JOIN_AT + 1))


@pytest.mark.parametrize("moment", [0, 1])
def test_what_is_appended_while_joined_segments_are_removed_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    log = filled(tmp_path, [1] * log_module.JOIN_AT)
    log.join_small(above=0)
    listed, looks = Log._found, 0

    def found(self: Log) -> list[log_module.Segment]:
        nonlocal looks
        if looks == moment:
            self.append(batch([START], first=log_module.JOIN_AT + 1), FOOTER)
        looks += 1
        return list(listed(self))

    monkeypatch.setattr(Log, "_found", found)
    assert log.remove_covered(published=0, grace_s=-1) == log_module.JOIN_AT
    assert numbers(log) == list(range(1, log_module.JOIN_AT + 2))


def test_few_small_segments_are_left_alone(tmp_path: Path) -> None:
    assert filled(tmp_path, [1] * (log_module.JOIN_AT - 1)).join_small(above=0) is None


@pytest.mark.parametrize(
    ("first", "begin"), [(log_module.JOIN_AT, 1), (log_module.JOIN_AT + 1, log_module.JOIN_AT + 2)]
)
def test_what_was_joined_is_joined_again_when_as_much_has_come(tmp_path: Path, first: int, begin: int) -> None:
    joined = filled(tmp_path, [first] + [1] * log_module.JOIN_AT).join_small(above=0)
    assert joined is not None
    assert (joined.first, joined.last) == (begin, first + log_module.JOIN_AT)


def test_a_large_segment_ends_a_run_of_small_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "SMALL_ROWS", 5)
    log = filled(tmp_path, [1, 9] + [1] * log_module.JOIN_AT)
    joined = log.join_small(above=0)
    assert joined is not None
    assert joined.first == 11


def test_a_missing_segment_is_an_error_that_names_the_events(tmp_path: Path) -> None:
    log = filled(tmp_path, [2, 2, 2])
    log.segments()[1].path.unlink()
    with pytest.raises(StoreError, match="events 3 to 4"):
        log.segments()


def test_a_damaged_segment_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    log = filled(tmp_path, [2])
    segment = log.segments()[0]
    segment.path.write_bytes(b"PAR1 no more")
    with pytest.raises(StoreError, match=segment.path.name):
        log.read(segment)


def test_a_torn_segment_is_nothing_and_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = filled(tmp_path, [2])

    def torn(*_: object, **__: object) -> None:
        raise OSError("the power went")

    with monkeypatch.context() as without_power:
        without_power.setattr(Path, "replace", torn)
        without_power.setattr(Path, "unlink", torn)
        with pytest.raises(StoreError, match="power"):
            log.append(batch([START], first=3), FOOTER)
    assert numbers(log) == [1, 2]
    assert durable.remove_torn(tmp_path) == 1
    assert len(list(tmp_path.iterdir())) == 1
