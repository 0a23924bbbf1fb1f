"""What tests of archives share, wherever the archive is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb

from citywatch.stores.archive.manifest import Archive
from citywatch.stores.archive.publishing import publish
from citywatch.stores.archive.reading import Reader
from citywatch.stores.desk import Desk
from citywatch.stores.directory import DataDirectory


def published(data: Path, archive: Archive) -> None:
    with Desk(data / "desk.sqlite") as desk:
        name = desk.directory_name()
    publish(DataDirectory(data), name, archive)


def events(archive: Archive) -> list[tuple[Any, ...]]:
    with duckdb.connect() as con:
        Reader(archive, con).create_view()
        return con.execute("SELECT source, id, time_precision, data FROM events ORDER BY seq").fetchall()
