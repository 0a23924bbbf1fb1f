"""`citywatch backup` beside a `citywatch up` that takes events in: with what came after it, it is the whole again."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.running import PATIENCE, Running, citywatch, counts, stored
from tests.unit.sender.sent import event

RULE = """
title: A drone says that it is low
id: 00000000-0000-4000-8000-000000000001
name: low
status: experimental
level: high
logsource: {category: drone.position}
where: battery < 10
"""
BATCH, FIRST, LAST = 20, 15, 5
"""Events of a request; requests before the backup begins and after it has ended."""


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Running]:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "low.yaml").write_text(RULE)
    running = Running(tmp_path / "data")
    running.start()
    yield running
    running.stop()
    assert "Traceback" not in "".join(running.said)


class Sender(threading.Thread):
    """Posts batches until it is told that the backup is there, and then some more."""

    def __init__(self, up: Running) -> None:
        super().__init__(daemon=True)
        self.lines: list[str] = []
        self.under_way = threading.Event()
        self.saved = threading.Event()
        self.error: BaseException | None = None
        self._up = up

    def run(self) -> None:
        try:
            self._send(FIRST)
            self.under_way.set()
            while not self.saved.is_set():
                self._send(1)
            self._send(LAST)
        except BaseException as error:
            self.error = error
        finally:
            self.under_way.set()

    def _send(self, requests: int) -> None:
        for _ in range(requests):
            begin = len(self.lines)
            lines = [event(n, data={"battery": n % 100, "device_id": f"d{n}"}) for n in range(begin, begin + BATCH)]
            answer = self._up.post("\n".join(lines))
            assert answer == (202, {"accepted": BATCH, "duplicates": 0, "rejected": []})
            self.lines += lines


def test_a_backup_of_a_running_city_and_the_file_that_was_sent_are_the_whole_city(up: Running, tmp_path: Path) -> None:
    sender = Sender(up)
    sender.start()
    assert sender.under_way.wait(PATIENCE)
    before = len(sender.lines)
    citywatch("backup", str(tmp_path / "saved"), data=up.data)
    after = len(sender.lines)
    sender.saved.set()
    sender.join(PATIENCE)
    assert sender.error is None and not sender.is_alive()
    up.stop()
    assert ids(up.data) == list(range(len(sender.lines)))

    restored = tmp_path / "restored"
    citywatch("restore", str(tmp_path / "saved"), data=restored)
    held = ids(restored)
    assert held == list(range(len(held)))
    assert FIRST * BATCH <= before <= len(held) <= after + BATCH < len(sender.lines)
    assert not list((up.data / "tmp").glob("snapshot-*"))

    file = tmp_path / "sent.ndjson"
    file.write_text("".join(f"{line}\n" for line in sender.lines))
    for new in (len(sender.lines) - len(held), 0):
        words = ("run", str(file), "--once", "--rules", str(tmp_path / "rules"))
        summary = json.loads(citywatch(*words, data=restored)[-1])
        assert (summary["events"], summary["duplicates"]) == (new, len(sender.lines) - new)
        assert summary["rejected"] == 0
    assert counts(restored)["conflicts"] == 0
    assert ids(restored) == list(range(len(sender.lines)))
    assert alerted(restored) == alerted(up.data) == [n for n in range(len(sender.lines)) if n % 100 < 10]


def ids(data: Path) -> list[int]:
    """Of what was sent, ascending; what a slow machine says of itself is not among it."""
    return sorted(int(found["id"]) for found in stored(data) if found["source"] == "drone/4")


def alerted(data: Path) -> list[int]:
    """Ids of the events that alerts rest on, ascending, as often as they do."""
    alerts: list[dict[str, Any]] = [
        json.loads(line) for line in citywatch("alerts", "list", "--format", "ndjson", data=data)
    ]
    return sorted(itertools.chain.from_iterable([int(e["id"]) for e in alert["evidence"]] for alert in alerts))
