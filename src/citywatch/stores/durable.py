"""Files that survive a power cut: written aside, synced, renamed; the rename is the moment they exist."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from citywatch.errors import DiskFullError, StoreError

if TYPE_CHECKING:
    from typing_extensions import Buffer

ASIDE = ".tmp"
"""Suffix of files that are still being written; after a crash they are nothing."""


def write(path: Path, content: Buffer) -> None:
    """Put `content` at `path`, whole or not at all; it is on the disk when this returns.

    Raises DiskFullError, StoreError; then `path` is as it was.
    """
    with written_aside(path) as aside:
        handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            rest = memoryview(content).cast("B")
            while rest.nbytes:
                rest = rest[os.write(handle, rest) :]
        finally:
            os.close(handle)


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """The name under which to write what is to be at `path`: it is there, and on the disk, when the block ends.

    Raises DiskFullError, StoreError; then `path` is as it was, and what was written takes no room.
    """
    aside = path.with_name(path.name + ASIDE)
    try:
        yield aside
        sync(aside)
        publish(aside, path)
    except BaseException as error:
        with suppress(OSError):  # what cannot be removed either is removed at the next start
            aside.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise not_written(path, error) from error
        raise


def not_written(path: Path, error: OSError) -> StoreError:
    """What a person is told when `path` could not be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFullError(f"{path} cannot be written: the disk is full", hint="free some space, then go on")
    return StoreError(f"{path} cannot be written: {error.strerror or error}", hint="may you write there? see `ls -l`")


def publish(aside: Path, path: Path) -> None:
    """Rename a file that is written and synced to its name, and sync the directory that holds the name."""
    aside.replace(path)
    sync_directory(path.parent)


def sync(path: Path) -> None:
    """Wait until a closed file is on the disk."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_directory(path: Path) -> None:
    """Wait until the names in a directory are on the disk."""
    sync(path)


def remove_torn(directory: Path) -> int:
    """Remove what a crash left half written in `directory`; returns how many files. Only for the writer."""
    torn = list(directory.glob(f"*{ASIDE}"))
    for path in torn:
        path.unlink(missing_ok=True)
    return len(torn)
