"""Whenever the power goes while an image is kept, it is there whole or not at all, and can be sent again."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from citywatch.settings import Settings
from citywatch.stores.desk import Desk
from citywatch.stores.directory import DataDirectory
from citywatch.stores.gallery import Gallery
from citywatch.stores.media import Media
from citywatch.stores.pictures import clean
from tests.e2e.forks import FORKS
from tests.e2e.power import Power
from tests.unit.stores.pictures import picture


def receive(data: Path, at: int, torn: bool) -> None:
    """What the forked process does."""
    Power(data / "trace", at, torn=torn).plug_in()
    Gallery(DataDirectory(data)).receive("i1", picture())
    os._exit(0)


def received(data: Path, at: int = 0, *, torn: bool = False) -> int:
    process = FORKS.Process(target=receive, args=(data, at, torn))
    process.start()
    process.join(60)
    assert process.exitcode is not None
    return int(process.exitcode)


def city(directory: Path) -> Path:
    DataDirectory(directory).prepare(Settings())
    with Desk(directory / "desk.sqlite"):
        return directory


@pytest.mark.parametrize("torn", [False, True], ids=["after each moment", "in each write"])
def test_a_stop_at_any_moment_leaves_an_image_whole_or_away(tmp_path: Path, torn: bool) -> None:
    whole = city(tmp_path / "whole")
    assert received(whole) == 0
    moments = Counter(line == "write" for line in (whole / "trace").read_text().splitlines())[torn]
    assert moments >= (1 if torn else 6)
    expected = clean(picture(), limit=10_000_000).content
    for at in range(1, moments + 1):
        data = city(tmp_path / f"stopped {at}")
        assert received(data, at, torn=torn) != 0, f"was not stopped at {at}"
        with Media(data / "media") as media:
            kept = media.find("i1")
            assert kept is None or kept.read() == expected
        assert received(data) == 0
        assert Gallery(DataDirectory(data)).find("i1").read() == expected
        with Desk(data / "desk.sqlite") as desk:
            # Told once, or twice with the same event, which the engine takes once.
            assert len({text for _, text in desk.take_inbox()}) == 1
