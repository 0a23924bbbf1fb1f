"""Records in batches: bounded in number, in bytes, and in what has to be said of them in a header."""

from __future__ import annotations

from typing import Iterable, Iterator

from .records import CSV, Header, Record
from .repeats import Repeats

BYTES = 1 << 20
_LONGEST_HEADER = 4000
_KEPT_BACK = 1000
_TYPES = {CSV: "text/csv; charset=utf-8"}


class Batch:
    """Consecutive records: those to send, each with its ordinal, and those that are kept back."""

    def __init__(self) -> None:
        self.good: list[tuple[Record, int]] = []
        self.broken: list[Record] = []
        self.last: Record | None = None
        self._bytes = 0
        self._said = 0

    def full(self, lines: int) -> bool:
        """Whether no further record belongs in it."""
        return (
            len(self.good) >= lines
            or self._bytes >= BYTES
            or self._said >= _LONGEST_HEADER
            or len(self.broken) >= _KEPT_BACK
        )

    def add(self, record: Record, ordinal: int) -> None:
        """The next record of the file."""
        self.last = record
        if record.reason:
            self.broken.append(record)
            return
        self.good.append((record, ordinal))
        self._bytes += len(record.body) + 1
        self._said += len(_said(len(self.good), ordinal)) if ordinal else 0


def batches(records: Iterable[Record], lines: int, repeats: Repeats | None) -> Iterator[Batch]:
    """Batches of at most `lines` records to send."""
    batch = Batch()
    for record in records:
        if not record.reason and batch.good and len(record.body) > BYTES:
            yield batch  # a large record goes alone
            batch = Batch()
        batch.add(record, repeats.ordinal(record) if repeats and not record.reason else 0)
        if batch.full(lines):
            yield batch
            batch = Batch()
    if batch.last is not None:
        yield batch


def content(kind: str, header: Header | None, good: list[tuple[Record, int]]) -> tuple[bytes, dict[str, str]]:
    """Body and headers of the request that carries records; `Citywatch-Ordinals` says which of them are repeated."""
    lines = [record.body for record, _ in good]
    if header is not None:
        lines.insert(0, header.text.encode())
    headers = {"Content-Type": _TYPES.get(kind, "application/x-ndjson")}
    said = "".join(_said(index, ordinal) for index, (_, ordinal) in enumerate(good) if ordinal)
    if said:
        headers["Citywatch-Ordinals"] = said.strip()
    return b"\n".join(lines) + b"\n", headers


def _said(index: int, ordinal: int) -> str:
    return f"{index}:{ordinal} "
