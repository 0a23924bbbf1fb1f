"""The page on capacity has what its program computes, and that is what its figures say."""

from __future__ import annotations

import math

import pytest

from bench.capacity import FIGURES, GB, LOADS, PAGE, TB, Figure, needs, written


def test_the_page_has_the_tables_of_today() -> None:
    page = PAGE.read_text("utf-8")
    assert written(page) == page, "write it anew: python -m bench.capacity"
    assert all(f"{load:,} GB a day" in page for load in LOADS)


def test_two_hundred_gigabytes_a_day_worked_out_by_hand() -> None:
    of = needs(200)
    assert of.messages == 666_666_667
    assert of.mean == pytest.approx(7_716, abs=1)
    assert of.peak == pytest.approx(23_148, abs=1)
    assert of.runs == math.ceil(23_148 / FIGURES["run_rate"].value)
    assert of.cassandra_nodes == math.ceil(3 * 23_148 / FIGURES["cassandra_rate"].value)
    assert of.kafka_bytes / TB == pytest.approx(200 / 300 * 318 * 3 * 3 * GB / TB, rel=1e-3)
    assert of.archive_bytes / TB == pytest.approx(666.67e6 * (89 + 36) * 365 * 3 / TB, rel=1e-3)
    assert of.datanodes == math.ceil(of.archive_bytes / (4 * TB * 0.7))


def test_more_cores_bring_what_twice_as_many_were_seen_to_bring() -> None:
    def executors(gain: float, cores: int) -> int:
        given = {"detect_gain": Figure(gain, "", ""), "cores": Figure(cores, "", ""), "peak": Figure(30, "", "")}
        return needs(200, {**FIGURES, **given}).executors

    peak, rate = 231_481, FIGURES["detect_rate"].value
    assert executors(1.4, 8) == math.ceil(peak / (rate * 1.4 * 1.4))
    assert executors(1.4, 2) == executors(1, 8) == math.ceil(peak / rate)
    assert executors(2, 8) == math.ceil(peak / (rate * 4))


def test_ten_times_the_load_needs_at_most_ten_times_of_everything() -> None:
    one, ten = needs(200), needs(2_000)
    for name in ("runs", "executors", "brokers", "datanodes", "cassandra_nodes"):
        few, many = getattr(one, name), getattr(ten, name)
        assert few <= many <= 10 * few, name
    assert ten.state_bytes == pytest.approx(10 * one.state_bytes)


def test_a_quicker_machine_needs_fewer_of_them_and_never_fewer_than_the_copies() -> None:
    quick = {**FIGURES, "kafka_rate": Figure(1e9, "", ""), "run_rate": Figure(1e9, "", ""), "disk": Figure(1e6, "", "")}
    of = needs(200, quick)
    assert (of.runs, of.brokers, of.datanodes) == (1, 3, 3)
