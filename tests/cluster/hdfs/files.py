"""Files on HDFS as other programs write them."""

from __future__ import annotations

from citywatch.connections.hdfs import parse
from citywatch.stores.hdfs.manifest import Archive


def put(url: str, content: bytes) -> None:
    """Write a file."""
    address = parse(url)
    archive = Archive(address)
    archive.write(address.path, content)


def paths(url: str) -> list[str]:
    """All files below a directory, named from it."""
    address = parse(url)
    found = Archive(address).hdfs.files(address.path)
    return [status.path.removeprefix(f"{address.path}/") for status in found]
