"""What was not sent, or not accepted, in a CSV beside the file: line, reason, raw."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path

from .lines import KEPT
from .problems import SendError
from .records import Record
from .state import Progress, sync_directory

_HEADER = ("line", "reason", "raw")


class KeptFile:
    """Appends what was kept to the file that `progress` names, of which `rejected_bytes` are certain.

    What stands behind these was written by a call that was killed before it could say so; it will come again. `whole`:
    no call was interrupted, so all of it is certain. A file of an earlier sending is never touched: a new one has the
    next free name.
    """

    def __init__(self, source: Path, directory: Path, progress: Progress, whole: bool = False) -> None:
        self._directory = directory
        self._stem = _stem(source)
        self._progress = progress
        if progress.rejected and not whole and not self._cut_back(directory / progress.rejected):
            progress.rejected, progress.rejected_bytes = "", 0

    def keep(self, rows: list[tuple[Record, str]], encoding: str | None) -> None:
        """Records and why each was kept; they have reached the disk when this returns."""
        if not rows:
            return
        progress = self._progress
        new = not progress.rejected or not (self._directory / progress.rejected).exists()
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if new:
            progress.rejected = self._free_name()
            writer.writerow(_HEADER)
        writer.writerows((record.number, reason, _shown(record.raw, encoding)) for record, reason in rows)
        path = self._directory / progress.rejected
        try:
            with path.open("ab") as file:
                file.write(text.getvalue().encode("utf-8"))
                file.flush()
                os.fsync(file.fileno())
                progress.rejected_bytes = file.tell()
            if new:
                sync_directory(self._directory)
        except OSError as error:
            hint = "lines that cannot be sent have to be kept; --keep DIR names another directory"
            raise SendError(f"cannot write {path}: {error.strerror}", hint) from error

    def _cut_back(self, path: Path) -> bool:
        """Whether the file is there, and as long as it was."""
        try:
            if path.stat().st_size < self._progress.rejected_bytes:
                return False
            with path.open("r+b") as file:
                file.truncate(self._progress.rejected_bytes)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise SendError(f"cannot write {path}: {error.strerror}", "is it open elsewhere?") from error
        return True

    def _free_name(self) -> str:
        name, number = self._stem + ".rejected.csv", 1
        while (self._directory / name).exists():
            number += 1
            name = f"{self._stem}.rejected-{number}.csv"
        return name


def _stem(source: Path) -> str:
    named = source.with_suffix("") if source.suffix.lower() == ".gz" else source
    return named.stem


def _shown(raw: bytes, encoding: str | None) -> str:
    """The line as text; bytes that are none stand as a backslash, an x, and two digits."""
    return raw[:KEPT].rstrip(b"\r\n").decode(encoding or "utf-8", "backslashreplace").replace("\0", "\\x00")
