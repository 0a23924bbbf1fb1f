"""Images that are older than they are to be kept."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

_KEPT = """
SELECT f.received, f.file, max(i.at) AS at, json_group_array(i.image_id) AS ids
FROM files f LEFT JOIN images i USING (received) GROUP BY f.received
"""
_FORGET = ("DELETE FROM images WHERE received = ?", "DELETE FROM files WHERE received = ?")
_CHUNK = 500
"""Images a transaction: who brings one meanwhile waits for one of them only."""


class OldImages:
    """The images of a store that were received before `before` (µs UTC) and that nobody needs.

    Parameters
    ----------
    directory
        Of the store; there may be none.
    needed
        Ids of images that stay however old they are.
    """

    def __init__(self, directory: Path, before: int, needed: set[str]) -> None:
        self._directory = directory
        self._before = before
        self._needed = needed

    def count(self) -> int:
        """How many there are."""
        return sum(1 for _ in self._found())

    def remove(self) -> int:
        """Remove them; returns how many. A stop in between leaves files that the index does not know: no harm."""
        found = list(self._found())
        for start in range(0, len(found), _CHUNK):
            for file in self._forget(found[start : start + _CHUNK]):
                (self._directory / file).unlink(missing_ok=True)
        return len(found)

    def _found(self) -> Iterator[tuple[str, str]]:
        """(SHA-256 of what was received, name of the file)."""
        index = self._directory / "index.sqlite"
        if not index.exists():
            return
        with closing(sqlite3.connect(index, timeout=30)) as con:
            for received, file, named, ids in con.execute(_KEPT):
                if self._since(file, named) < self._before and self._needed.isdisjoint((received, *json.loads(ids))):
                    yield received, file

    def _since(self, file: str, named: int | None) -> int:
        """When it was received, µs UTC; one that came inside of a message is as old as its file."""
        if named is not None:
            return named
        path = self._directory / file
        return path.stat().st_mtime_ns // 1000 if path.exists() else 0

    def _forget(self, images: list[tuple[str, str]]) -> list[str]:
        """Take images out of the index; gives back the files that no other one shares."""
        with closing(sqlite3.connect(self._directory / "index.sqlite", timeout=30, isolation_level=None)) as con:
            con.execute("BEGIN IMMEDIATE")  # it is the store's write lock
            for statement in _FORGET:
                con.executemany(statement, [(received,) for received, _ in images])
            shared = "SELECT 1 FROM files WHERE file = ?"
            alone = [file for _, file in images if con.execute(shared, [file]).fetchone() is None]
            con.execute("COMMIT")
        return alone
