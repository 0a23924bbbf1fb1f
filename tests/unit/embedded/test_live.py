"""The engine while it listens: one door for many, real time on the clock, rules that change, outages noted."""

from __future__ import annotations

import itertools
import json
import sqlite3
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest

from citywatch.engine.embedded import Summary, doors, live
from citywatch.engine.embedded.gathering import SOME
from citywatch.engine.embedded.intake import Accepted, Receipt, Submission
from citywatch.errors import CapacityError, CitywatchError, DiskFullError
from citywatch.mappings.parse import Parser
from citywatch.records.chunk import Chunk, Parsed
from citywatch.settings import Settings
from citywatch.stores.desk import Desk
from citywatch.stores.directory import DataDirectory

from .city import PLATES, THREE, File, alerts, chunk, engine, event, micros, parsed, rules, run, stored

GONE = """
title: A plate is gone
id: 00000000-0000-4000-8000-000000000003
name: gone
status: experimental
level: medium
logsource: {category: anpr.read}
correlation: {type: flatline, group-by: [plate], timespan: 20s}
"""


class Watch:
    """A clock on the wall that is set by hand."""

    def __init__(self, second: float) -> None:
        self.second = second

    def __call__(self) -> int:
        return micros(self.second)


def test_a_receipt_says_what_became_of_a_submission(tmp_path: Path) -> None:
    with engine(tmp_path) as host:
        assert host.submit(parsed([event(1, 0), event(2, 100), "x"])) == Receipt(2, 0, 0, 1, first=1, last=2)
        again = host.submit(parsed([event(2, 100), event(1, 0, plate="K"), event(3, 30, 101)]))
    assert again == Receipt(1, 2, 1, 0, late=1, first=3, last=3)


def test_many_threads_send_at_once_and_every_event_is_kept_once(tmp_path: Path) -> None:
    receipts: list[Receipt] = []
    with engine(tmp_path) as host:

        def send(sender: int) -> None:
            # Half of what a thread sends, its neighbour sends as well.
            for start in range(sender * 20, sender * 20 + 40, 5):
                part = parsed([event(n, n) for n in range(start, start + 5)], str(sender))
                receipts.append(host.submit(part))

        threads = [threading.Thread(target=send, args=(sender,)) for sender in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(stored(tmp_path), key=int) == [str(n) for n in range(140)]
    assert sum(receipt.accepted for receipt in receipts) == 140
    assert sum(receipt.duplicates for receipt in receipts) == 100


def test_too_much_waiting_is_refused_and_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doors, "WAITING_ROWS", 1)
    gate, inside = threading.Event(), threading.Event()

    def commit(submissions: Any) -> list[Receipt]:
        inside.set()
        assert gate.wait(60)
        return [Receipt(1, 0, 0, 0) for _ in submissions]

    door = doors.Door(commit)
    first = door.enter([Submission(parsed([event(1, 0), event(2, 0)]), "s")])[0]
    assert inside.wait(60)
    with pytest.raises(CapacityError, match="waiting already"):
        door.enter([Submission(parsed([event(3, 0)]), "s")])
    gate.set()
    assert first.result(60).accepted == 1
    door.close()
    with pytest.raises(CapacityError, match="stopping"):
        door.enter([Submission(parsed([event(4, 0)]), "s")])


def test_a_failed_commit_is_an_error_for_everybody_who_waited() -> None:
    def commit(_: Any) -> list[Receipt]:
        raise CitywatchError("the disk is gone")

    door = doors.Door(commit)
    waiting = door.enter([Submission(parsed([event(1, 0)]), "s")])[0]
    with pytest.raises(CitywatchError, match="gone"):
        waiting.result(60)
    door.close()


def test_silence_is_known_when_real_time_has_passed(tmp_path: Path) -> None:
    watch = Watch(0)
    with engine(tmp_path / "data", rules(tmp_path / "rules", GONE), now=watch) as host:
        parse = Parser(Settings(), clock=watch).parse
        camera = host.live("camera")
        with camera.busy():
            camera.submit(parsed([event(1, 0, plate="K1")]))
            watch.second = 1000
            host.tick(parse)
            host.drain()
            assert alerts(tmp_path / "data") == [], "something is still being read"
        host.tick(parse)
        host.drain()
    assert [alert["group"] for alert in alerts(tmp_path / "data")] == [{"plate": "K1"}]


def test_a_source_that_lags_holds_the_clock(tmp_path: Path) -> None:
    with engine(tmp_path) as host:
        quick, slow = host.live("quick"), host.live("slow", quiet=3600)
        slow.submit(parsed([event(1, 0)]))
        quick.submit(parsed([event(2, 1000)]))
        slow.submit(parsed([event(3, 1)]))
        assert host.status()["clock"] == micros(1)
        host.forget("slow")
        quick.submit(parsed([event(4, 1001)]))
        assert host.status()["clock"] == micros(1001)
    assert stored(tmp_path, "backfill") == [False] * 4


def test_the_clock_is_kept_also_where_only_real_time_moved_it(tmp_path: Path) -> None:
    watch = Watch(0)
    with engine(tmp_path, now=watch) as host:
        host.live("camera").submit(parsed([event(1, 0)]))
        watch.second = 500
        host.tick(Parser(Settings()).parse)
        host.drain()
    with engine(tmp_path) as host:
        assert host.status()["clock"] == micros(500)


def test_rules_are_replaced_while_events_come(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with engine(data, rules(tmp_path / "a", PLATES)) as host:
        host.submit(parsed([event(n, n, plate="K1") for n in range(2)]))
        host.replace_rules(rules(tmp_path / "b", THREE))
        host.submit(parsed([event(3, 3, plate="K1")]))
        host.drain()
    assert sorted(alert["rule"] for alert in alerts(data)) == ["plate_read", "plate_read", "three_reads"]


def test_a_correction_made_at_the_desk_closes_the_alert_and_is_an_event(tmp_path: Path) -> None:
    data = tmp_path / "data"
    run(data, event(1, 0, plate="K1"), ruleset=rules(tmp_path / "rules", PLATES))
    text = event("c", 5).replace("anpr.read", "violation.corrected")
    corrected = '"data": {"corrects_source": "camera", "corrects_id": "1", "violation_code": 7}'
    with Desk(data / "desk.sqlite") as desk:
        desk.put_inbox([text.replace('"data": {}', corrected)])
    assert run(data, event(2, 1, plate="K2"), ruleset=rules(tmp_path / "rules", PLATES)).events == 1
    assert stored(data, "type") == ["anpr.read", "anpr.read", "violation.corrected"]
    assert [alert["outcome"] for alert in alerts(data)] == ["corrected", None]
    with Desk(data / "desk.sqlite") as desk:
        assert desk.take_inbox() == []


def test_what_people_say_today_does_not_end_the_reading_of_old_files(tmp_path: Path) -> None:
    run(tmp_path, event(1, 0))
    said = {"specversion": "1.0", "id": "today", "source": "people", "type": "note", "data": {}}
    with Desk(tmp_path / "desk.sqlite") as desk:
        desk.put_inbox([json.dumps(said)])
    run(tmp_path, event(2, 10))
    run(tmp_path, event(3, 20))
    assert stored(tmp_path, "id, backfill")[-1] == ("3", False)


def test_an_engine_that_was_away_says_so_and_silence_then_is_inconclusive(tmp_path: Path) -> None:
    data, ruleset, watch = tmp_path / "data", rules(tmp_path / "rules", GONE), Watch(0)
    with engine(data, ruleset, now=watch) as host:
        host.go_live(Parser(Settings(), clock=watch).parse)
        host.live("camera").submit(parsed([event(1, 0, plate="K1")]))
        host.drain()
    watch.second = 600
    with engine(data, ruleset, now=watch) as host:
        parse = Parser(Settings(), clock=watch).parse
        host.go_live(parse)
        host.live("camera")
        host.tick(parse)
        host.drain()
    assert "engine.outage" in stored(data, "type")
    assert sorted(alert["rule"] for alert in alerts(data)) == ["blind", "gone"]
    with sqlite3.connect(data / "desk.sqlite") as desk:
        assert desk.execute("SELECT inconclusive FROM facts ORDER BY inconclusive").fetchall() == [(0,), (1,)]


def test_a_source_out_of_reach_is_an_outage_while_the_others_go_on(tmp_path: Path) -> None:
    data, ruleset, watch = tmp_path / "data", rules(tmp_path / "rules", GONE), Watch(0)
    trouble: list[str] = []
    with engine(data, ruleset, now=watch) as host:
        parse = Parser(Settings(), clock=watch).parse
        broker = host.live("broker", trouble=lambda: trouble[0] if trouble else None)
        other = host.live("other")
        broker.submit(parsed([event(1, 0, plate="K1")]))
        host.tick(parse)
        trouble.append("cannot be reached")
        for watch.second in range(10, 120, 10):
            other.submit(parsed([event(watch.second, watch.second, plate="K2")]))
            host.tick(parse)
        assert host.status()["silent"] == {"broker": "cannot be reached"}
        trouble.clear()
        host.tick(parse)
        assert host.status()["silent"] == {}
        host.drain()
    told = stored(data, "subject, data ->> 'reason', data ->> 'until' IS NULL")
    assert [row for row in told if row[0]] == [
        ("broker", "cannot be reached", True),
        ("broker", "cannot be reached", False),
    ]
    assert sorted(alert["rule"] for alert in alerts(data)) == ["blind", "gone"]


def test_a_silence_that_lasts_when_the_engine_stops_ends_there(tmp_path: Path) -> None:
    watch = Watch(0)
    with engine(tmp_path, now=watch) as host:
        parse = Parser(Settings(), clock=watch).parse
        host.live("broker", trouble=lambda: "cannot be reached")
        for watch.second in range(0, 120, 10):
            host.tick(parse)
        host.drain()
    with engine(tmp_path, now=watch):
        pass
    with duckdb.connect(tmp_path / "engine.duckdb") as con:
        assert con.execute("SELECT feed, until_us IS NULL FROM silence").fetchall() == [("broker", False)]


def test_listening_to_sources_until_they_end(tmp_path: Path) -> None:
    with engine(tmp_path) as host:
        one = File(chunk([event(1, 0), "x"]), chunk([event(2, 1)]), name="one")
        two = File(chunk([event(3, 1), event(1, 0)]), name="two")
        listening = host.listen([(source, Parser(Settings()).parse) for source in (one, two)])
        listening.wait()
        host.drain()
        total = listening.summary(Summary())
    assert (total.read, total.events, total.duplicates, total.rejected) == (5, 3, 1, 1)


def test_no_thread_of_a_source_that_does_not_block_is_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_LEAVE_S", 20.0)
    told = threading.Event()

    class Endless(File):
        def chunks(self) -> Any:
            for n in itertools.count():
                yield chunk([event(n, 0)])
                told.set()
                time.sleep(0.1)

    with engine(tmp_path) as host:
        listening = host.listen([(Endless(name="endless"), Parser(Settings()).parse)])
        assert told.wait(60)
        listening.stop()
        listening.stop()
        assert not [thread.name for thread in threading.enumerate() if "endless" in thread.name]


def test_a_failing_source_is_an_error(tmp_path: Path) -> None:
    class Broken(File):
        def chunks(self) -> Any:
            raise CitywatchError("no such port")

    with engine(tmp_path) as host:
        listening = host.listen([(Broken(), Parser(Settings()).parse)])
        with pytest.raises(CitywatchError, match="no such port"):
            listening.wait()


def test_what_comes_next_is_parsed_meanwhile_and_never_safe_before_what_came_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, there, ahead = threading.Event(), threading.Event(), threading.Event()
    safe: list[int] = []

    class Log(File):
        trouble = None

        def chunks(self) -> Any:
            yield chunk([event(n, 0) for n in range(SOME)])
            assert asked.wait(60)
            yield chunk([event(1000 + n, 0) for n in range(SOME)])
            there.set()

        def committed(self, chunks: int) -> None:
            safe.append(chunks)

        def close(self) -> None:
            pass

    def parse(piece: Chunk) -> Parsed:
        if asked.is_set():
            ahead.set()
        asked.set()
        assert there.wait(60)
        return parser.parse(piece)

    def full_at_first(data: DataDirectory, needed: int) -> None:
        assert ahead.wait(60)
        full.append((list(safe), host.status()["events"]))
        if not said:
            raise DiskFullError("no space is left")

    parser = Parser(Settings())
    full: list[tuple[list[int], int]] = []
    said: list[str] = []
    with engine(tmp_path) as host:
        monkeypatch.setattr(type(host.data), "require_space", full_at_first)
        monkeypatch.setattr(live, "_FULL_S", 0.01)
        listening = host.listen([(Log(name="log"), parse)], said.append)
        listening.wait()
        assert full[:2] == [([], 0)] * 2, "what comes later is not safe before"
        assert (safe, listening.summary(Summary()).events, host.status()["events"]) == ([1, 1], 2 * SOME, 2 * SOME)
    assert said == ["log: waits, for no space is left", "log: goes on"]


def test_a_source_that_waits_for_room_can_be_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise DiskFullError("no space is left")

    with engine(tmp_path) as host:
        monkeypatch.setattr(type(host.data), "require_space", full)
        listening = host.listen([(File(chunk([event(1, 0)])), Parser(Settings()).parse)])
        while listening._listeners[0].full is None:
            time.sleep(0.01)
        listening.stop()
        listening.wait()
        assert (listening.summary(Summary()).events, host.status()["events"]) == (0, 0)


def test_when_events_come_fast_the_rules_rest_and_take_what_comes_meanwhile_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from citywatch.engine.embedded import stepping
    from citywatch.engine.embedded.steps import Steps

    sizes: list[int] = []
    advance = Steps.advance
    asleep, awake = threading.Event(), threading.Event()

    def noted(steps: Steps, accepted: Accepted) -> Any:
        sizes.append(len(accepted.events))
        return advance(steps, accepted)

    def rest(_: float) -> None:
        asleep.set()
        assert awake.wait(60)

    monkeypatch.setattr(Steps, "advance", noted)
    monkeypatch.setattr(stepping, "time", SimpleNamespace(sleep=rest, monotonic=lambda: 0.0))
    with engine(tmp_path / "data", rules(tmp_path / "rules", PLATES)) as host:
        host.drain()
        sizes.clear()
        host.submit(parsed([event(n, 0) for n in range(300)]))  # at a clock that stands still
        assert asleep.wait(60)
        for n in range(300, 310):
            host.submit(parsed([event(n, 0)]))
        awake.set()
        host.drain()
    assert [size for size in sizes if size] == [300, 10]


def test_a_slow_step_does_not_hold_up_those_who_send(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from citywatch.engine.embedded.steps import Steps

    advance = Steps.advance
    gate = threading.Event()
    stepped: list[Accepted] = []

    def slow(steps: Steps, accepted: Accepted) -> Any:
        gate.wait()
        stepped.append(accepted)
        return advance(steps, accepted)

    monkeypatch.setattr(Steps, "advance", slow)
    data = tmp_path / "data"
    with engine(data, rules(tmp_path / "rules", PLATES)) as host:
        try:
            for n in range(12):
                host.submit(parsed([event(n, n, plate="K1")]))
            assert stepped == []
        finally:
            gate.set()
        host.drain()
    assert len(alerts(data)) == 12
