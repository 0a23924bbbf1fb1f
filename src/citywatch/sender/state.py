"""How far a file was sent: a small file beside it, which a power cut finds whole, old or new."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

from .lines import KEPT, Source
from .problems import SendError

FORMAT = 1
_BEHIND = ".citywatch-sent"


class Progress:
    """What was acknowledged: the place in the file behind it, and the counts.

    Attributes
    ----------
    offset, line
        Byte of the text behind the last acknowledged line, and the number of that line.
    tail
        Hash of the bytes before `offset`, `tail_bytes` many.
    sent, kept, duplicates
        Records of the whole file, over all calls.
    rejected, rejected_bytes
        Name of the file with what was kept, and how much of it is certain.
    """

    def __init__(self) -> None:
        self.to = ""
        self.mapping = ""
        self.size = 0
        self.modified = 0
        self.head = ""
        self.head_bytes = 0
        self.offset = 0
        self.line = 0
        self.tail = ""
        self.tail_bytes = 0
        self.encoding: str | None = None
        self.sent = 0
        self.kept = 0
        self.duplicates = 0
        self.rejected = ""
        self.rejected_bytes = 0
        self.done = False

    def begin(self, source: Source) -> None:
        """Remember which file it is."""
        self.size, self.modified = source.size, source.modified
        self.head_bytes = len(source.head)
        self.head = _hash(source.head)

    def ends_with(self, raw: bytes, offset: int, line: int) -> None:
        """All before `offset` is acknowledged; `raw` stands before it, or nothing is known of what does."""
        self.offset, self.line = offset, line
        ending = raw[-KEPT:]
        self.tail, self.tail_bytes = _hash(ending), len(ending)


class StateFile:
    """The file `NAME.citywatch-sent` in `directory`."""

    def __init__(self, source: Path, directory: Path) -> None:
        self.path = directory / (source.name + _BEHIND)

    def load(self) -> Progress | None:
        """What was kept; None when there is nothing, or nothing that can be understood."""
        try:
            kept = json.loads(self.path.read_text("utf-8"))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SendError(f"cannot read {self.path}: {error.strerror}") from error
        except ValueError:
            return None
        return _progress(kept)

    def save(self, progress: Progress) -> None:
        """Write it aside, let it reach the disk, and put it in place."""
        values = dict(vars(progress), format=FORMAT)
        aside = self.path.with_name(self.path.name + ".new")
        try:
            with aside.open("w", encoding="utf-8") as file:
                json.dump(values, file)
                file.flush()
                os.fsync(file.fileno())
            _replace(aside, self.path)
            sync_directory(self.path.parent)
        except OSError as error:
            hint = "what was sent cannot be remembered; --keep DIR names another directory"
            raise SendError(f"cannot write {self.path}: {error.strerror}", hint) from error


def verdict(progress: Progress, source: Source) -> str:
    """Whether the file is the one that was sent before: "same", "grown" behind what was sent, or "changed"."""
    if (progress.size, progress.modified) == (source.size, source.modified):
        return "same" if _hash(source.head) == progress.head else "changed"
    if source.packed or source.size <= progress.size or progress.tail_bytes == 0:
        return "changed"
    if _hash(source.head[: progress.head_bytes]) != progress.head:
        return "changed"
    with source.path.open("rb") as file:
        file.seek(progress.offset - progress.tail_bytes)
        ending = file.read(progress.tail_bytes)
    return "grown" if ending.endswith(b"\n") and _hash(ending) == progress.tail else "changed"


def sync_directory(directory: Path) -> None:
    """Let a new name reach the disk; Windows has no such thing."""
    if os.name == "nt":
        return
    descriptor = os.open(str(directory), os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _replace(aside: Path, target: Path) -> None:
    for wait in (0.05, 0.2, 1.0):
        with contextlib.suppress(PermissionError):  # on Windows, while a virus scanner looks at it
            aside.replace(target)
            return
        time.sleep(wait)
    aside.replace(target)


def _progress(kept: Any) -> Progress | None:
    progress = Progress()
    if not isinstance(kept, dict) or kept.pop("format", None) != FORMAT or set(kept) != set(vars(progress)):
        return None
    values: dict[str, Any] = kept
    for name, blank in vars(progress).items():
        if name != "encoding" and type(values[name]) is not type(blank):
            return None
    vars(progress).update(values)
    return progress


def _hash(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()
