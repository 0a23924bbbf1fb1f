"""Following the alerts: each is printed, and where it goes on is remembered, also when it ends in between."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from citywatch.cli import tail
from citywatch.cli.tail import Tail
from citywatch.stores.desk import Desk
from citywatch.stores.desk.database import now_us

from .facts import fact, table

WAIT_S = 60.0


@contextmanager
def followed(data: Path, news: threading.Event | None = None) -> Iterator[Tail]:
    stop = threading.Event()
    with Desk(data / "desk.sqlite") as desk:
        watch = Tail(desk, cursor="test", zone="UTC", form="ndjson")
        thread = threading.Thread(target=watch.follow, args=[stop, news])
        thread.start()
        try:
            yield watch
        finally:
            stop.set()
            if news is not None:
                news.set()
            thread.join()


def raised(data: Path, name: int) -> None:
    with Desk(data / "desk.sqlite") as desk:
        desk.put_facts(table([fact(name, first_seen=now_us())]))


def printed(watch: Tail, count: int) -> bool:
    until = time.monotonic() + WAIT_S
    while watch.printed < count and time.monotonic() < until:
        time.sleep(0.01)
    return watch.printed == count


def test_the_place_is_remembered_at_the_end_however_short_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "KEEP_EVERY", 1000.0)
    with followed(tmp_path) as watch:
        raised(tmp_path, 1)
        assert printed(watch, 1)
    with followed(tmp_path) as watch:
        raised(tmp_path, 2)
        assert printed(watch, 1)
    with Desk(tmp_path / "desk.sqlite") as desk:
        assert desk.cursor("test") == 2


def test_the_place_is_remembered_from_time_to_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "KEEP_EVERY", 0.0)
    with followed(tmp_path) as watch, Desk(tmp_path / "desk.sqlite") as desk:
        raised(tmp_path, 1)
        assert printed(watch, 1)
        until = time.monotonic() + WAIT_S
        while not desk.cursor("test") and time.monotonic() < until:
            time.sleep(0.01)
        assert desk.cursor("test") == 1


def test_who_is_told_of_news_need_not_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "WAKE_EVERY", 1000.0)
    news = threading.Event()
    with followed(tmp_path, news) as watch:
        raised(tmp_path, 1)
        news.set()
        assert printed(watch, 1)
        raised(tmp_path, 2)
        news.set()
        assert printed(watch, 2)
