"""Ids for records that have none: a hash of the content, and the ordinal among identical lines of the file."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence

import numpy as np

from citywatch.records.columns import Positions

Hashes = np.ndarray[tuple[int], np.dtype[np.uint64]]
_DIGITS = 24


def content_ids(contents: Sequence[bytes], ordinals: Positions) -> list[str]:
    """An id for each content, of its hash and its ordinal among identical ones, unless that is 0."""
    return _ids([_digest(content) for content in contents], ordinals)


def _digest(content: bytes) -> bytes:
    return hashlib.md5(content, usedforsecurity=False).digest()


def _ids(digests: Sequence[bytes], ordinals: Positions) -> list[str]:
    return [
        digest.hex()[:_DIGITS] + (f"-{ordinal}" if ordinal else "")
        for digest, ordinal in zip(digests, ordinals.tolist(), strict=True)
    ]


class Ordinals:
    """How often each content occurred in one reading of a file so far: 8 bytes a record, in sorted runs.

    Two contents whose hashes begin alike share a count: their ids differ all the same, and are the same when the file
    is read again. Several threads may ask: which of two identical records is the first makes no difference.
    """

    def __init__(self) -> None:
        self._runs: list[Hashes] = []
        self._lock = threading.Lock()

    def ids(self, contents: Sequence[bytes]) -> list[str]:
        """An id for each content, in order; the second of the same content ends in ``-1``."""
        digests = [_digest(content) for content in contents]
        hashes = np.frombuffer(b"".join(digest[:8] for digest in digests), np.uint64)
        with self._lock:
            before = self._count(hashes)
            self._add(np.sort(hashes))
        return _ids(digests, before)

    def _count(self, hashes: Hashes) -> Positions:
        order = np.argsort(hashes, kind="stable")
        ordered = hashes[order]
        within = np.arange(len(hashes)) - np.searchsorted(ordered, ordered, side="left")
        counts = np.zeros(len(hashes), np.int64)
        counts[order] = within
        for run in self._runs:
            counts += np.searchsorted(run, hashes, side="right") - np.searchsorted(run, hashes, side="left")
        return counts

    def _add(self, run: Hashes) -> None:
        while self._runs and len(self._runs[-1]) <= 2 * len(run):
            run = np.sort(np.concatenate([self._runs.pop(), run]), kind="stable")
        self._runs.append(run)
