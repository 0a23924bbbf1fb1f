"""Files: .ndjson, .json, .csv, each also as .gz, and .parquet; globs; ``-`` is standard input.

A file is always read whole, in blocks, so memory is bounded. What cannot be read at all is a SourceError; what is wrong
inside of a file is a fault with its line number, and the rest is read.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from citywatch.errors import SourceError
from citywatch.records.chunk import Chunk
from citywatch.sources.content import Kind, chunks_of, kind_of, sniffed
from citywatch.sources.model import Bounded, Options, Source
from citywatch.sources.parquet import parquet_chunks
from citywatch.sources.streams import open_blocks

_GLOB = frozenset("*?[")


def open_files(text: str, options: Options) -> list[Source]:
    """Sources of a path, a glob or ``-``, in order of name. Raises SourceError when one cannot be opened."""
    if text == "-":
        return [FileSource(options.origin("-", None), None)]
    path = text.removeprefix("file://")
    if os.path.lexists(path) or not _GLOB & set(path):
        return [_open_file(Path(path), options)]
    found = sorted(glob.glob(path, recursive=True))  # noqa: PTH207 - Path.glob takes no absolute pattern
    files = [Path(name) for name in found if Path(name).is_file()]
    if not files:
        raise SourceError(f"no file fits {path!r}", hint="look at the pattern, and quote it for the shell")
    return [_open_file(file, options) for file in files]


def _open_file(path: Path, options: Options) -> Source:
    try:
        modified = path.stat().st_mtime_ns // 1000
        with path.open("rb"):
            pass
    except IsADirectoryError as error:
        raise SourceError(f"{path} is a directory", hint=f"name the files in it: '{path}/*.csv'") from error
    except FileNotFoundError as error:
        raise SourceError(f"no such file: {path}", hint="check the path") from error
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}", hint=f"see ls -l {path}") from error
    return FileSource(options.origin(str(path), modified), path)


@dataclass(frozen=True, slots=True)
class FileSource(Bounded):
    """One file, or standard input when `path` is None."""

    path: Path | None

    def chunks(self) -> Iterator[Chunk]:
        """Raw records of the file in order. Raises SourceError when nothing of it can be read."""
        kind = kind_of(self.path) if self.path else None
        if self.path and kind is Kind.PARQUET:
            yield from parquet_chunks(self.path, self.origin)
            return
        blocks = open_blocks(self.path)
        yield from chunks_of(blocks, kind or sniffed(blocks.head), self.origin)
