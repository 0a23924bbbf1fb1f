"""Files on HDFS as other programs write them."""

from __future__ import annotations

from citywatch.stores.archive.files import files_at


def put(url: str, content: bytes) -> None:
    """Write a file."""
    files, path = files_at(url)
    with_content = files.create(path)
    with_content.write(content)
    with_content.close()


def paths(url: str) -> list[str]:
    """All files below a directory, named from it."""
    files, path = files_at(url)
    return [entry.path.removeprefix(f"{path}/") for entry in files.below(path)]
