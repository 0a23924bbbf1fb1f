"""What is known of the end of a partition, and when it is not known any more."""

from __future__ import annotations

import time

import pytest

from citywatch.sources.kafka.partitions import PAUSE_S, Key, Partition, Partitions

KEY: Key = ("events", 0)


@pytest.fixture
def read_to_its_end() -> Partitions:
    partitions = Partitions()
    partitions.assign({KEY: Partition("c", heard=9, safe=9)}, {KEY})
    partitions.look()
    partitions.ended(KEY, 9)
    return partitions


def later(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + seconds)


def nothing_is_left(partitions: Partitions) -> bool:
    return (partitions.parts() or {})["events/0"].ended


def test_nothing_is_left_of_a_partition_that_is_looked_at_all_the_time(
    read_to_its_end: Partitions, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        assert nothing_is_left(read_to_its_end)
        later(monkeypatch, PAUSE_S / 2)
        read_to_its_end.look()
    assert read_to_its_end.doubtful() == []


@pytest.mark.parametrize("seconds", [PAUSE_S * 2, -PAUSE_S * 2])
def test_after_a_pause_of_the_reader_nobody_knows_until_kafka_has_been_asked(
    read_to_its_end: Partitions, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    later(monkeypatch, seconds)
    assert not nothing_is_left(read_to_its_end), "whoever looks first: the clock does, or the reader"
    read_to_its_end.look()
    assert not nothing_is_left(read_to_its_end)
    assert read_to_its_end.doubtful() == [KEY]
    read_to_its_end.still_ended(KEY, 9)
    assert nothing_is_left(read_to_its_end)


def test_what_came_in_a_pause_of_the_reader_is_left(
    read_to_its_end: Partitions, monkeypatch: pytest.MonkeyPatch
) -> None:
    later(monkeypatch, PAUSE_S * 2)
    read_to_its_end.look()
    read_to_its_end.still_ended(KEY, 10)
    assert not nothing_is_left(read_to_its_end)
    assert read_to_its_end.doubtful() == []
    read_to_its_end.heard(KEY, 10)
    read_to_its_end.ended(KEY, 10)
    read_to_its_end.committed({KEY: 10})
    assert nothing_is_left(read_to_its_end)
