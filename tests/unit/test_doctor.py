"""What `citywatch doctor` says of the disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from citywatch.cli.doctor import directory
from citywatch.cli.finding import Finding
from citywatch.settings import Settings
from citywatch.stores.directory import DataDirectory

MIB, GIB = 1 << 20, 1 << 30


@pytest.mark.parametrize(
    ("left", "state", "said"),
    [
        ((30 * GIB, GIB), "ok", "30.0 GiB free, and 1.0 GiB kept back"),
        ((3 * MIB, 16 * MIB), "note", "3 MiB free, and 16 MiB kept back"),
        ((-2 * MIB, 16 * MIB), "bad", "0 MiB free, and 16 MiB kept back"),
    ],
)
def test_little_room_on_the_disk_is_told_before_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: tuple[int, int], state: str, said: str
) -> None:
    DataDirectory(tmp_path).prepare(Settings())
    monkeypatch.setattr(DataDirectory, "free", lambda _: left)
    (found,) = (finding for finding in directory(tmp_path) if "kept back" in finding.what)
    assert found == Finding(state, said, found.next)
    assert ("free some space" in found.next) is (state != "ok")
