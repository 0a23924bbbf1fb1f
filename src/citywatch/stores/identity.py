"""Which events are known: every (source, id) ever accepted, at 16 bytes each.

Sorted runs in memory-mapped files (a log-structured merge tree): 64 bits of the identity's hash to search by, 32 more
to tell apart what shares them, and a 32-bit fingerprint of the payload that tells a re-delivery from a conflict.
The newest identities are sorted runs in memory; after a crash they are read again from the log, whose segments carry
the same columns. `manifest.json`, replaced by rename, says which files count and up to which sequence number.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from citywatch.errors import StoreError
from citywatch.stores import durable

RECORD = 16
MEMORY_LIMIT = 1 << 20
"""So many identities stay in memory before they become a file."""
FAN_IN = 4
"""So many runs of like size are merged into one."""
_MERGE_CHUNK = 1 << 20

Keys = npt.NDArray[np.uint64]
Words = npt.NDArray[np.uint32]


class Verdict(IntEnum):
    """What a record is to those that came before it."""

    NEW = 0
    REDELIVERY = 1
    CONFLICT = 2


@dataclass(frozen=True, slots=True)
class Run:
    """Identities in order of (hi, lo): three arrays of equal length."""

    hi: Keys
    lo: Words
    fingerprint: Words

    def __len__(self) -> int:
        return len(self.hi)

    def slice(self, start: int, stop: int) -> Run:
        """The identities from position `start` up to `stop`."""
        return Run(self.hi[start:stop], self.lo[start:stop], self.fingerprint[start:stop])

    def take(self, order: npt.NDArray[Any]) -> Run:
        """The identities at the positions `order`, in that order."""
        return Run(self.hi[order], self.lo[order], self.fingerprint[order])

    def find(self, hi: Keys, lo: Words) -> npt.NDArray[np.intp]:
        """Position of each query, -1 where it is unknown. Queries in ascending order of hi are quick."""
        at = np.searchsorted(self.hi, hi)
        found = np.full(len(hi), -1, dtype=np.intp)
        open_ = np.flatnonzero(at < len(self))
        while len(open_):
            open_ = open_[self.hi[at[open_]] == hi[open_]]
            hit = self.lo[at[open_]] == lo[open_]
            found[open_[hit]] = at[open_[hit]]
            open_ = open_[~hit]
            at[open_] += 1
            open_ = open_[at[open_] < len(self)]
        return found

    def find_in(self, other: Run) -> npt.NDArray[np.bool_]:
        """Whether each identity of `other` is one of these; looks at a million at a time."""
        parts = (other.slice(at, at + _MERGE_CHUNK) for at in range(0, len(other), _MERGE_CHUNK))
        return np.concatenate([self.find(part.hi, part.lo) >= 0 for part in parts])


def sorted_run(runs: Sequence[Run]) -> Run:
    """One run of all identities of `runs`; a single one need not be in order."""
    whole = Run(*(np.concatenate([getattr(run, name) for run in runs]) for name in ("hi", "lo", "fingerprint")))
    return whole.take(_order(whole, "stable" if len(runs) > 1 else None))  # what is in order is merged by a stable sort


def _order(run: Run, kind: Literal["stable"] | None = None) -> npt.NDArray[np.intp]:
    """Permutation that puts identities in order of (hi, lo); equal ones stay in theirs."""
    order = np.argsort(run.hi, kind=kind)
    hi = run.hi[order]
    return np.lexsort((run.lo, run.hi)) if np.any(hi[1:] == hi[:-1]) else order


class Identities:
    """The index of one data directory. One writer; calls are made by one thread, merges may run in another.

    Parameters
    ----------
    directory
        Where the runs are.
    memory_limit
        How many identities stay in memory before they are written as a run.
    """

    def __init__(self, directory: Path, memory_limit: int = MEMORY_LIMIT) -> None:
        self._directory = directory
        self._made_again = f"remove {directory}: it is made again from history"
        self._limit = memory_limit
        self._lock = threading.Lock()
        self._manifest = directory / "manifest.json"
        self.cursor, runs = self._saved()
        """Events up to this sequence number are in files; later ones have to be added again after a start."""
        self._files: dict[str, Run] = {}
        for name in runs:
            if not (directory / name).exists():
                raise StoreError(f"{directory / name} is missing", hint=self._made_again)
            self._files[name] = _mapped(directory / name)
        self._memory: list[Run] = []
        self._reached = self.cursor
        self._remove_strays()

    def _saved(self) -> tuple[int, list[str]]:
        """The cursor and the names of the runs, as they were saved last."""
        if not self._manifest.exists():
            return 0, []
        try:
            state = json.loads(self._manifest.read_text("utf-8"))
            return int(state["cursor"]), list(state["runs"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{self._manifest} cannot be read: {error!r}", hint=self._made_again) from error

    def __len__(self) -> int:
        return sum(map(len, self._files.values())) + sum(map(len, self._memory))

    def judge(self, hi: Keys, lo: Words, fingerprint: Words) -> npt.NDArray[np.int8]:
        """A `Verdict` for each record of a batch, in the batch's order; of copies inside it the first counts."""
        whole = Run(hi, lo, fingerprint)
        order = _order(whole)
        batch = whole.take(order)
        verdict = _copies(batch)
        with self._lock:
            runs = [*self._memory, *self._files.values()]
        for run in runs:
            at = run.find(batch.hi, batch.lo)
            known = np.flatnonzero(at >= 0)
            same = run.fingerprint[at[known]] == batch.fingerprint[known]
            verdict[known] = np.where(same, Verdict.REDELIVERY, Verdict.CONFLICT)
        answer = np.empty(len(hi), dtype=np.int8)
        answer[order] = verdict
        return answer

    def add(self, hi: Keys, lo: Words, fingerprint: Words, last: int) -> None:
        """Remember new identities; `last` is the sequence number of the newest of them."""
        if len(hi):
            self._memory.append(sorted_run([Run(hi, lo, fingerprint)]))
            while len(self._memory) > 1 and len(self._memory[-2]) <= 2 * len(self._memory[-1]):
                self._memory[-2:] = [sorted_run(self._memory[-2:])]
        self._reached = max(self._reached, last)

    def flush_due(self) -> bool:
        """Whether so many identities are in memory that they should become a file."""
        return sum(map(len, self._memory)) >= self._limit

    def flush(self, last: int = 0) -> None:
        """Write what is in memory as a run. Call it only when the log holds everything that was added.

        `last` is the number of the last event whose identity was added, where `add` was not told.
        """
        self._reached = max(self._reached, last)
        if not self._memory:
            return
        run = sorted_run(self._memory)
        name = self._name(self._reached)
        _write(self._directory / name, [run])
        with self._lock:
            self._files[name] = _mapped(self._directory / name)
            self._memory.clear()
            self.cursor = self._reached
            self._save()

    def merge(self) -> bool:
        """Merge one group of runs of like size into one; False when there is none. Safe beside `judge` and `flush`."""
        with self._lock:
            group = _group([(name, len(run)) for name, run in self._files.items()], self._limit)
            runs = [self._files[name] for name in group]
        if not group:
            return False
        name = self._name(max(_number(name) for name in group), merged=sum(map(len, runs)))
        _write(self._directory / name, _merged(runs))
        with self._lock:
            self._files = {name: _mapped(self._directory / name)} | {
                old: run for old, run in self._files.items() if old not in group
            }
            self._save()
        for old in group:
            (self._directory / old).unlink(missing_ok=True)
        return True

    def forget(self, hi: Keys, lo: Words) -> int:
        """Forget identities that are in files; returns how many were. Safe beside `judge` and `flush`."""
        gone = sorted_run([Run(hi, lo, np.zeros(len(hi), np.uint32))])
        with self._lock:
            runs = dict(self._files)
        forgotten = 0
        for name, run in runs.items():
            found = gone.find_in(run)
            if found.any():
                forgotten += int(found.sum())
                self._keep_others(name, run, found)
        return forgotten

    def _keep_others(self, old: str, run: Run, gone: npt.NDArray[np.bool_]) -> None:
        """Put what is left of a run in its place."""
        left = len(run) - int(gone.sum())
        name = self._name(_number(old), left)
        if left:
            _write(self._directory / name, _without(run, gone))
        with self._lock:
            kept = {name: _mapped(self._directory / name)} if left else {}
            self._files = kept | {other: known for other, known in self._files.items() if other != old}
            self._save()
        (self._directory / old).unlink(missing_ok=True)

    def _name(self, last: int, merged: int = 0) -> str:
        return f"{last:016d}-{merged:012d}.run"

    def _save(self) -> None:
        text = json.dumps({"cursor": self.cursor, "runs": list(self._files)})
        durable.write(self._manifest, text.encode())

    def _remove_strays(self) -> None:
        durable.remove_torn(self._directory)
        for path in self._directory.glob("*.run"):
            if path.name not in self._files:
                path.unlink()


def _copies(batch: Run) -> npt.NDArray[np.int8]:
    """Verdicts inside one batch that is in order, copies as they arrived: the first of each identity is new."""
    repeats = np.zeros(len(batch), np.bool_)
    repeats[1:] = (batch.hi[1:] == batch.hi[:-1]) & (batch.lo[1:] == batch.lo[:-1])
    if not repeats.any():
        return np.full(len(batch), Verdict.NEW, np.int8)
    first = np.maximum.accumulate(np.where(repeats, 0, np.arange(len(batch))))
    again = np.where(batch.fingerprint == batch.fingerprint[first], Verdict.REDELIVERY, Verdict.CONFLICT)
    return np.where(repeats, again, Verdict.NEW).astype(np.int8)


def _group(sizes: Sequence[tuple[str, int]], unit: int) -> list[str]:
    """Names of the smallest `FAN_IN` runs of like size, empty when there are not so many."""
    tiers: dict[int, list[str]] = {}
    for name, size in sizes:
        tier = 0
        while size > unit * FAN_IN**tier * 2:
            tier += 1
        tiers.setdefault(tier, []).append(name)
    return next((names[:FAN_IN] for _, names in sorted(tiers.items()) if len(names) >= FAN_IN), [])


def _merged(runs: Sequence[Run]) -> Iterable[Run]:
    """The merge of `runs` in ascending pieces of about a million identities."""
    longest = max(runs, key=len)
    share = max(len(longest) * _MERGE_CHUNK // sum(map(len, runs)), 1)
    bounds = [*longest.hi[share::share], None]
    starts = [0] * len(runs)
    for bound in bounds:
        stops = [len(run) if bound is None else int(np.searchsorted(run.hi, bound)) for run in runs]
        yield sorted_run([run.slice(*span) for run, *span in zip(runs, starts, stops, strict=True)])
        starts = stops


def _without(run: Run, gone: npt.NDArray[np.bool_]) -> Iterator[Run]:
    """What is left of a run, in pieces of at most a million."""
    for at in range(0, len(run), _MERGE_CHUNK):
        piece = run.slice(at, at + _MERGE_CHUNK)
        yield piece.take(np.flatnonzero(~gone[at : at + _MERGE_CHUNK]))


def _number(name: str) -> int:
    return int(name.partition("-")[0])


def _write(path: Path, pieces: Iterable[Run]) -> None:
    """Write a run: first all hi, then lo, then fingerprints, each from a piece at a time; durable at the end.

    Raises DiskFullError, StoreError.
    """
    with (
        durable.written_aside(path) as aside,
        aside.open("wb") as hi,
        TemporaryFile(dir=path.parent) as lo,
        TemporaryFile(dir=path.parent) as fingerprint,
    ):
        for piece in pieces:
            hi.write(np.ascontiguousarray(piece.hi).data)
            lo.write(np.ascontiguousarray(piece.lo).data)
            fingerprint.write(np.ascontiguousarray(piece.fingerprint).data)
        for part in (lo, fingerprint):
            part.seek(0)
            while block := part.read(1 << 22):
                hi.write(block)


def _mapped(path: Path) -> Run:
    count = path.stat().st_size // RECORD
    hi = np.memmap(path, dtype="<u8", mode="r", shape=(count,))
    words = np.memmap(path, dtype="<u4", mode="r", offset=8 * count, shape=(2, count))
    return Run(hi, words[0], words[1])
