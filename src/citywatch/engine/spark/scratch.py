"""Directories of Spark's Python workers, which end without a word: each goes with its owner, or the next worker."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
import weakref
from pathlib import Path

_PREFIX = "citywatch-identities-"
_SETTLED_S = 60.0
"""A directory that is younger may not have its lock yet."""


class Scratch:
    """A new directory at `path`, removed with this object; those of workers that are gone are removed first."""

    def __init__(self) -> None:
        for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
            _remove_if_left(left)
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX))
        weakref.finalize(self, _remove, self.path, _held(self.path))


def _held(place: Path) -> int:
    """Lock it: the lock goes with the process, however that ends. Raises OSError when somebody holds it."""
    descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _remove_if_left(place: Path) -> None:
    try:
        if time.time() - place.stat().st_mtime > _SETTLED_S:
            _remove(place, _held(place))
    except OSError:
        return  # it is in use, another user's, or gone


def _remove(place: Path, lock: int) -> None:
    shutil.rmtree(place, ignore_errors=True)
    os.close(lock)
