"""Images: content-addressed files, and the ids under which they are known.

A file is named by the SHA-256 of what it holds, in a folder of the first two digits; `index.sqlite` beside the folders
says which image each id means. Engine and console write here side by side: the index's write lock is the store's. An
image is there from the moment the index says so; a file that the index does not know is left from a crash and does no
harm.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from citywatch.errors import DiskFullError, MediaConflictError, MediaError, StoreError
from citywatch.stores import durable
from citywatch.stores.pictures import Picture, clean

MOST_BYTES = 10_000_000

LONGEST_ID = 256

_MANY = 500
"""Ids in one statement."""

# files   what was received, by its SHA-256, and the file that was made of it. images: ids that senders gave, each for
#         good; `told` once the engine knows. What came inside a message has its SHA-256 as id and needs no row here.
_TABLES = """
CREATE TABLE IF NOT EXISTS files (
  received TEXT PRIMARY KEY, file TEXT NOT NULL, type TEXT NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL,
  bytes INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS images (
  image_id TEXT PRIMARY KEY, received TEXT NOT NULL, at INTEGER NOT NULL, told INTEGER NOT NULL
) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Kept:
    """An image in the store.

    `received` is the SHA-256 (hex) of the bytes as they were sent; `size` is that of the file, without metadata.
    """

    received: str
    path: Path
    type: str
    width: int
    height: int
    size: int

    def read(self) -> bytes:
        """The image. Raises StoreError where the file is gone."""
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise StoreError(
                f"{self.path} cannot be read: {error.strerror}", hint="restore it from a backup"
            ) from error


class Media:
    """The images of one data directory; one object serves one thread, any number of processes side by side.

    Parameters
    ----------
    directory
        Where the images are; made when the first one comes.
    limit
        Bytes that an image may have.
    """

    def __init__(self, directory: Path, *, limit: int = MOST_BYTES) -> None:
        self.directory = directory
        self._limit = limit
        self._index = directory / "index.sqlite"
        self._opened: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the index."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def keep(self, content: bytes) -> Kept:
        """Keep an image; its id is the SHA-256 (hex) of its bytes. On the disk when this returns.

        Raises MediaError for what is no image that can be kept, StoreError or DiskFullError where it cannot be written.
        """
        received = hashlib.sha256(content).hexdigest()
        known = self.find(received) if self.begun() else None
        if known is not None and known.received == received:
            return known
        picture = clean(content, limit=self._limit)
        with self._transaction() as con:
            path = self._write(picture)
            row = [received, str(path.relative_to(self.directory)), picture.type, picture.width, picture.height]
            con.execute("INSERT OR IGNORE INTO files VALUES (?, ?, ?, ?, ?, ?)", [*row, len(picture.content)])
        return Kept(received, path, picture.type, picture.width, picture.height, len(picture.content))

    def name(self, image_id: str, kept: Kept, *, now: int | None = None) -> int:
        """Let an id mean an image that is kept, for good; returns since when it does, µs UTC.

        Raises MediaConflictError where it means another one already, MediaError for an id that is none.
        """
        if not image_id or len(image_id) > LONGEST_ID:
            raise MediaError(f"an image's id has 1 to {LONGEST_ID} characters, this one {len(image_id)}")
        at = time.time_ns() // 1000 if now is None else now
        with self._transaction() as con:
            con.execute("INSERT OR IGNORE INTO images VALUES (?, ?, ?, 0)", [image_id, kept.received, at])
            received, since = con.execute("SELECT received, at FROM images WHERE image_id = ?", [image_id]).fetchone()
        if received != kept.received:
            raise MediaConflictError(
                f"image {image_id} is here already, with other content", hint="the first one stays; use another id"
            )
        return int(since)

    def find(self, image_id: str) -> Kept | None:
        """The image that an id, or the SHA-256 of its bytes, means."""
        if not self.begun():
            return None
        row = self._con.execute(
            "SELECT f.received, file, type, width, height, bytes FROM files f "
            "WHERE f.received = coalesce((SELECT received FROM images WHERE image_id = :id), :id)",
            {"id": image_id},
        ).fetchone()
        return Kept(row[0], self.directory / row[1], *row[2:]) if row else None

    def known(self, image_ids: Sequence[str]) -> set[str]:
        """Those of the ids that mean an image; asks by five hundred at a time."""
        if not self.begun():
            return set()
        found: set[str] = set()
        for start in range(0, len(image_ids), _MANY):
            part = list(image_ids[start : start + _MANY])
            marks = ", ".join("?" * len(part))
            query = f"SELECT image_id FROM images WHERE image_id IN ({marks}) UNION "
            query += f"SELECT received FROM files WHERE received IN ({marks})"
            found.update(row[0] for row in self._con.execute(query, part + part))
        return found

    def told(self, image_id: str) -> bool:
        """Whether the engine was told of that id."""
        row = self._con.execute("SELECT told FROM images WHERE image_id = ?", [image_id]).fetchone()
        return bool(row and row[0])

    def set_told(self, image_id: str) -> None:
        """The engine knows of that id, or will."""
        with self._transaction() as con:
            con.execute("UPDATE images SET told = 1 WHERE image_id = ?", [image_id])

    def totals(self) -> tuple[int, int]:
        """(images, bytes) in the store."""
        if not self.begun():
            return 0, 0
        images, size = self._con.execute("SELECT count(*), coalesce(sum(bytes), 0) FROM files").fetchone()
        return int(images), int(size)

    def begun(self) -> bool:
        """Whether any image was ever brought here."""
        return self._opened is not None or self._index.exists()

    def _write(self, picture: Picture) -> Path:
        """The file of a picture, inside the store's write lock."""
        name = hashlib.sha256(picture.content).hexdigest()
        path = self.directory / name[:2] / f"{name}.{picture.ending}"
        if not path.exists():
            try:
                path.parent.mkdir(exist_ok=True)
                durable.sync_directory(self.directory)
            except OSError as error:
                raise durable.not_written(path, error) from error
            durable.write(path, picture.content)
        return path

    @property
    def _con(self) -> sqlite3.Connection:
        if self._opened is None:
            try:
                self.directory.mkdir(parents=True, exist_ok=True)
                self._opened = sqlite3.connect(self._index, timeout=30, isolation_level=None, check_same_thread=False)
                # FULL: a commit is on the disk when it returns.
                self._opened.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; {_TABLES}")
            except (OSError, sqlite3.Error) as error:
                raise StoreError(f"{self._index} cannot be opened: {error}", hint="may you write there?") from error
        return self._opened

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        con = self._con
        try:
            con.execute("BEGIN IMMEDIATE")
            try:
                yield con
                con.execute("COMMIT")
            except BaseException:
                if con.in_transaction:
                    con.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorname", "") == "SQLITE_FULL":
                raise DiskFullError(f"{self._index} cannot grow: the disk is full", hint="make room") from error
            raise StoreError(f"{self._index}: {error}") from error
