"""What many leave at once is parsed together and committed together, and each hears of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from citywatch.engine.embedded import Engine, gathering
from citywatch.engine.embedded.bounded import Parse
from citywatch.engine.embedded.gathering import Gathering, apart, together
from citywatch.errors import CapacityError, DiskFullError, MappingError
from citywatch.mappings.load import load_mappings
from citywatch.mappings.parse import Parser
from citywatch.records.chunk import Chunk, Format, Origin, Outcome, Parsed, faults_schema, records_schema
from citywatch.settings import Settings
from citywatch.sources.http.bodies import counted, foreign
from citywatch.stores.desk import Desk
from tests.unit.embedded.city import engine, event, micros, stored

EVENTS = Origin("http/events", replay=False)


def chunk(*texts: str, faults: Sequence[str] = (), origin: Origin = EVENTS, mapping: str = "cloudevents") -> Chunk:
    read = [{"line": number, "raw": text.encode()} for number, text in enumerate(texts, start=1)]
    records = pa.Table.from_pylist(read, schema=records_schema())
    lost = [{"line": len(texts) + 1 + n, "reason": reason, "raw": reason.encode()} for n, reason in enumerate(faults)]
    table = pa.Table.from_pylist(lost, schema=faults_schema()) if lost else None
    return Chunk(origin, Format.JSON, records, faults=table, mapping=mapping)


class Gate:
    """A parser that waits until it is let go, so that others can gather; it notes how many records it is given."""

    def __init__(self, parse: Parse | None = None) -> None:
        self.open, self.inside = threading.Event(), threading.Event()
        self.calls: list[int] = []
        self._parse = parse or Parser(Settings(), load_mappings()).parse

    def __call__(self, chunk: Chunk) -> Parsed:
        self.calls.append(len(chunk.records))
        self.inside.set()
        assert self.open.wait(20)
        return self._parse(chunk)


@contextmanager
def gathered(data: Path, parse: Parse) -> Iterator[tuple[Engine, Gathering]]:
    with engine(data) as host:
        gathers = Gathering(host, "http", parse)
        try:
            yield host, gathers
        finally:
            gathers.stop()


def test_what_waits_is_one_chunk_and_each_sender_hears_of_its_own(tmp_path: Path) -> None:
    gate = Gate()
    with gathered(tmp_path, gate) as (_, gathers):
        first = gathers.enter(chunk(event(0, 0)))
        assert gate.inside.wait(20)
        waiting = [
            gathers.enter(chunk(event(1, 0), "no JSON", event(2, 0))),
            gathers.enter(chunk(event(1, 0), faults=["torn", "worn"])),
            gathers.enter(chunk("[]", faults=["lost"])),
            gathers.enter(chunk()),
            gathers.enter(chunk(event(0, 0), event(3, 0))),
        ]
        gate.open.set()
        assert first.result(20) == Outcome(1, 0)
        assert [outcome.result(20) for outcome in waiting] == [
            Outcome(2, 0, ((1, "not JSON"),)),
            Outcome(0, 1, ((1, "torn"), (2, "worn"))),
            Outcome(0, 0, ((0, "not a JSON object with keys"), (1, "lost"))),
            Outcome(0, 0),
            Outcome(1, 1),
        ]
    assert gate.calls == [1, 7]
    assert stored(tmp_path) == ["0", "1", "2", "3"]
    with Desk(tmp_path / "desk.sqlite") as desk:
        assert desk.rejected_count() == 5


def test_the_parser_rests_until_enough_waits_or_it_is_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, calls = [0.0], list[int]()
    parser = Parser(Settings()).parse

    def slow(chunk: Chunk) -> Parsed:
        now[0] += 1000.0
        calls.append(len(chunk.records))
        return parser(chunk)

    monkeypatch.setattr(gathering, "time", SimpleNamespace(monotonic=lambda: now[0]))
    for name, value in {"BRIEF_REST_S": 10_000.0, "_LONG_REST_S": 10_000.0, "SOME": 3}.items():
        monkeypatch.setattr(gathering, name, value)
    with gathered(tmp_path, slow) as (_, gathers):
        assert gathers.enter(chunk(event(0, 0))).result(20) == Outcome(1, 0)
        few, more = gathers.enter(chunk(event(1, 0))), gathers.enter(chunk(event(2, 0), event(3, 0)))
        assert (few.result(20), more.result(20)) == (Outcome(1, 0), Outcome(2, 0))
        left = gathers.enter(chunk(event(4, 0)))
    assert left.result(20) == Outcome(1, 0)
    assert calls == [1, 3, 1]


def test_ids_of_content_are_those_of_each_request_by_itself(tmp_path: Path) -> None:
    def drones(body: bytes, known: dict[int, int] | None = None) -> Chunk:
        read = foreign({"content-type": "text/csv"}, body, Origin("http/prestacop", replay=False))
        return counted(replace(read, mapping="prestacop"), known)

    header, row = b"drone_id,plate_id,address,time,violation_code\n", b"4,K1,1 Main St,10/21/2020 0309A,46\n"
    gate = Gate()
    with gathered(tmp_path, gate) as (_, gathers):
        gathers.enter(chunk(event(0, 0)))
        assert gate.inside.wait(20)
        waiting = [
            gathers.enter(drones(header + row + row)),
            gathers.enter(drones(header + row)),
            gathers.enter(drones(header + row, {0: 1})),
            gathers.enter(drones(header + row, {0: 2})),
        ]
        gate.open.set()
        told = [outcome.result(20) for outcome in waiting]
    assert [(outcome.accepted, outcome.duplicates) for outcome in told] == [(2, 0), (0, 1), (0, 1), (1, 0)]
    assert gate.calls == [1, 5]


def test_chunks_that_are_not_alike_are_parsed_apart(tmp_path: Path) -> None:
    gate = Gate()
    tickets = Origin("http/nyc-tickets", replay=False)
    with gathered(tmp_path, gate) as (_, gathers):
        gathers.enter(chunk(event(0, 0)))
        assert gate.inside.wait(20)
        good = gathers.enter(chunk(event(1, 0)))
        unknown = foreign({"content-type": "text/csv"}, b"a,b\n1,2\n", tickets)
        bad = gathers.enter(replace(unknown, mapping="nyc-tickets"))
        also_good = gathers.enter(chunk(event(2, 0)))
        gate.open.set()
        assert good.result(20) == also_good.result(20) == Outcome(1, 0)
        with pytest.raises(MappingError, match="lacks"):
            bad.result(20)


def test_what_breaks_the_parser_hurts_only_its_own_sender(tmp_path: Path) -> None:
    parser = Parser(Settings()).parse

    def fragile(chunk: Chunk) -> Parsed:
        if any(b"poison" in raw.as_py() for raw in chunk.records["raw"]):
            raise RuntimeError("poisoned")
        return parser(chunk)

    gate = Gate(fragile)
    with gathered(tmp_path, gate) as (_, gathers):
        gathers.enter(chunk(event(0, 0)))
        assert gate.inside.wait(20)
        waiting = [gathers.enter(chunk(event(n, 0, note="poison" if n == 2 else "fine"))) for n in (1, 2, 3)]
        gate.open.set()
        assert waiting[0].result(20) == waiting[2].result(20) == Outcome(1, 0)
        with pytest.raises(RuntimeError, match="poisoned"):
            waiting[1].result(20)
        assert gathers.enter(chunk(event(4, 0))).result(20) == Outcome(1, 0)


@pytest.mark.parametrize(("limit", "value"), [("WAITING_ROWS", 1), ("WAITING_BYTES", 300)])
def test_too_much_waiting_is_refused_and_loses_nothing(
    limit: str, value: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate()
    monkeypatch.setattr(gathering, limit, value)
    with gathered(tmp_path, gate) as (_, gathers):
        told = [gathers.enter(chunk(event(0, 0)))]
        assert gate.inside.wait(20)
        told.append(gathers.enter(chunk(event(1, 0), event(2, 0))))  # what comes first may be of any size
        with pytest.raises(CapacityError, match="waiting already"):
            gathers.enter(chunk(event(3, 0)))
        gate.open.set()
        assert [outcome.result(20).accepted for outcome in told] == [1, 2]
        assert gathers.enter(chunk(event(3, 0))).result(20) == Outcome(1, 0)
    assert stored(tmp_path) == ["0", "1", "2", "3"]


def test_a_full_disk_is_told_to_each_and_room_helps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with gathered(tmp_path, Parser(Settings()).parse) as (host, gathers):
        with monkeypatch.context() as full:
            full.setattr(host.data, "free", lambda: (0, 1))
            for n in range(2):
                with pytest.raises(DiskFullError):
                    gathers.enter(chunk(event(n, 0))).result(20)
        assert gathers.enter(chunk(event(0, 0))).result(20) == Outcome(1, 0)


def test_at_the_end_what_was_left_is_still_taken_in_and_nothing_more(tmp_path: Path) -> None:
    with engine(tmp_path) as host:
        gathers = Gathering(host, "http", Parser(Settings()).parse)
        left = gathers.enter(chunk(event(0, 0)))
        gathers.stop()
        with pytest.raises(CapacityError, match="stopping"):
            gathers.enter(chunk(event(1, 0)))
        assert left.result(20) == Outcome(1, 0)
        assert host.status()["sources"] == []


def test_the_clock_waits_for_what_is_being_read_and_then_follows_real_time(tmp_path: Path) -> None:
    now = [micros(0)]
    gate = Gate(Parser(Settings(), clock=lambda: now[0]).parse)
    with engine(tmp_path, now=lambda: now[0]) as host:
        gathers = Gathering(host, "http", gate)
        left = gathers.enter(chunk(event(0, 0)))
        assert gate.inside.wait(20)
        now[0] += 1000
        host.tick(gate)
        assert host.status()["clock"] < now[0] - 1000
        gate.open.set()
        left.result(20)
        gathers.stop()
        assert host.status()["clock"] == now[0]
        now[0] += 1000
        another = Gathering(host, "another", gate)
        host.tick(gate)
        assert host.status()["clock"] == now[0]
        another.stop()


def test_each_hears_of_its_own_whatever_the_order_of_the_events() -> None:
    """A mapping with several kinds of events gives them kind by kind."""
    chunks = [chunk(event(0, 0), "no JSON", event(1, 0)), chunk(), chunk(event(2, 0), faults=["torn"])]
    whole = Parser(Settings()).parse(together(chunks))
    assert whole.rows is not None
    order = [2, 0, 1]
    mixed = replace(whole, events=whole.events.take(order), rows=whole.rows[order])
    assert apart(mixed, np.array([False, True, True]), chunks) == [
        Outcome(2, 0, ((1, "not JSON"),)),
        Outcome(0, 0),
        Outcome(0, 1, ((1, "torn"),)),
    ]
