"""The data directory keeps its promises: one writer, one format, its own settings, room on the disk."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from citywatch.errors import DataDirectoryBusyError, DataVersionError, DiskFullError, SettingError, StoreError
from citywatch.settings import MINUTE, Settings
from citywatch.stores import directory, durable
from citywatch.stores.directory import DataDirectory


def test_a_new_directory_keeps_the_settings_it_was_made_with(tmp_path: Path) -> None:
    data = DataDirectory(tmp_path / "data")
    data.prepare(replace(Settings(), lateness=5 * MINUTE, zone="Europe/Paris"))
    assert data.settings().lateness == 5 * MINUTE
    assert data.settings().zone == "Europe/Paris"
    assert data.settings({"lateness": "10s"}).lateness == 10_000_000


@pytest.mark.parametrize(("name", "value"), [("lateness", 1), ("disorder", 2), ("stale", 3), ("zone", "Europe/Paris")])
def test_a_run_with_other_settings_is_refused_by_name(tmp_path: Path, name: str, value: int | str) -> None:
    data = DataDirectory(tmp_path)
    data.prepare(Settings())
    with pytest.raises(SettingError, match=f"made with {name} = "):
        data.prepare(replace(Settings(), **cast(dict[str, Any], {name: value})))


def test_settings_that_decide_no_alert_may_change(tmp_path: Path) -> None:
    data = DataDirectory(tmp_path)
    data.prepare(Settings())
    data.prepare(replace(Settings(), live=MINUTE, key_limit=5))


def test_a_directory_of_another_version_is_refused(tmp_path: Path) -> None:
    data = DataDirectory(tmp_path)
    data.prepare(Settings())
    found = json.loads(data.format.read_text())
    data.format.write_text(json.dumps(found | {"version": 99}))
    with pytest.raises(DataVersionError, match="format 99, this citywatch reads and writes format 1"):
        data.prepare(Settings())
    with pytest.raises(DataVersionError):
        data.require()


def test_a_damaged_format_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    data = DataDirectory(tmp_path)
    data.format.write_text("{")
    with pytest.raises(StoreError, match="FORMAT cannot be read"):
        data.require()


def test_readers_are_told_that_there_is_no_data_directory(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is no data directory"):
        DataDirectory(tmp_path / "nowhere").require()


def test_a_directory_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot make the data directory"):
        DataDirectory(tmp_path / "file" / "data").prepare(Settings())


def test_a_time_zone_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="no time zone 'Mars/Base'"):
        DataDirectory(tmp_path).prepare(replace(Settings(), zone="Mars/Base"))


def test_a_directory_that_cannot_be_locked_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"), DataDirectory(tmp_path / "file").locked():
        pass


def test_a_write_that_finds_the_disk_full_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(DiskFullError, match="the disk is full"):
        durable.write(tmp_path / "file", b"content")
    assert list(tmp_path.iterdir()) == []  # a part of it would take room that others need


def test_what_is_written_aside_leaves_nothing_when_it_fails(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"before")
    for error, told in (
        (OSError(errno.EDQUOT, "Disk quota exceeded"), DiskFullError),
        (KeyError("x"), KeyError),
    ):
        with pytest.raises(told), durable.written_aside(tmp_path / "file") as aside:
            aside.write_bytes(b"a part")
            raise error
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"before"


def test_a_second_writer_is_refused_and_told_the_process(tmp_path: Path) -> None:
    data = DataDirectory(tmp_path)
    with data.locked():
        assert data.busy()
        with pytest.raises(DataDirectoryBusyError, match=f"process {os.getpid()} already writes"), data.locked():
            pass
    assert not data.busy()
    with data.locked():
        pass


HOLD = """
import sys, time
from pathlib import Path
from typing import Any, cast
from citywatch.stores.directory import DataDirectory
with DataDirectory(Path(sys.argv[1])).locked():
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_killed_writer_leaves_no_lock(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(DataDirectoryBusyError, match=f"process {other.pid} "), DataDirectory(tmp_path).locked():
            pass
        other.kill()
    with DataDirectory(tmp_path).locked():
        pass


def test_a_disk_that_is_nearly_full_is_refused_before_it_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    block, blocks = 4096, 1_000_000
    free = directory._RESERVE_LEAST // block + 100_000

    def nearly_full(_: object) -> os.statvfs_result:
        return os.statvfs_result((block, block, blocks, free, free, 0, 0, 0, 0, 255))

    monkeypatch.setattr(os, "statvfs", nearly_full)
    data = DataDirectory(tmp_path)
    data.require_space(1 << 20)
    with pytest.raises(DiskFullError, match="nothing was accepted"):
        data.require_space(1 << 30)
