"""More than fits, into a real `citywatch up`: senders are told before anything is lost, each event is there once."""

from __future__ import annotations

import base64
import itertools
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import narrow
from tests.e2e.running import PATIENCE, Running, counts
from tests.unit.sender.sent import event
from tests.unit.stores.pictures import picture

SENDERS, LEAST = 8, 10


@pytest.fixture
def full(tmp_path: Path) -> Path:
    """The file that says that the disk is full; it is not there yet."""
    return tmp_path / "full"


@pytest.fixture
def up(tmp_path: Path, full: Path) -> Iterator[Running]:
    running = Running(tmp_path / "data", program=[sys.executable, narrow.__file__, str(full)])
    running.start()
    yield running
    running.stop()
    assert "Traceback" not in "".join(running.said)


def test_who_is_told_to_come_again_comes_again_and_every_event_is_there_once(up: Running) -> None:
    numbers, refused = itertools.count(), itertools.count()
    pauses: set[float] = set()
    sent: list[int] = []
    enough = threading.Event()
    end = time.monotonic() + PATIENCE

    def deliver(mine: list[int]) -> None:
        """Post until it is taken."""
        while True:
            status, headers, answer = up.answered("\n".join(map(event, mine)))
            if status == 202:
                assert answer == {"accepted": len(mine), "duplicates": 0, "rejected": []}
                return
            assert (status, answer["status"]) == (429, 429), answer
            assert headers["Content-Type"] == "application/problem+json"
            pauses.add(float(headers["Retry-After"]))
            if next(refused) >= LEAST:
                enough.set()
            time.sleep(float(headers["Retry-After"]))

    def send() -> None:
        while not enough.is_set() and time.monotonic() < end:
            mine = [next(numbers) for _ in range(10)]
            deliver(mine)
            sent.extend(mine)

    threads = [threading.Thread(target=send) for _ in range(SENDERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert enough.is_set(), f"only {next(refused)} requests were refused"
    assert pauses == {1.0}
    assert ids(up) == sorted(sent) == list(range(len(sent)))
    up.stop()
    total = counts(up.data)
    assert (total["duplicates"], total["rejected"]) == (0, 0)


def test_a_full_disk_takes_nothing_of_a_message_and_all_of_it_when_there_is_room(up: Running, full: Path) -> None:
    image = base64.b64encode(picture()).decode()
    messages = [event(1), event(2, data={"image": image})]
    full.touch()
    for message in messages:
        status, headers, problem = up.answered(message)
        assert (status, problem["status"], headers["Retry-After"]) == (507, 507, None), problem
        assert "nothing was accepted" in problem["detail"]
    assert (images(up.data), ids(up)) == ([], [])
    full.unlink()
    for message in messages:
        assert up.post(message) == (202, {"accepted": 1, "duplicates": 0, "rejected": []})
    assert (len(images(up.data)), ids(up)) == (1, [1, 2])


def ids(up: Running) -> list[int]:
    """Of what was sent, ascending."""
    return sorted(int(found["id"]) for found in up.events())


def images(data: Path) -> list[Path]:
    """The files of images, without their index."""
    return [path for path in (data / "media").glob("*/*") if path.is_file()]
