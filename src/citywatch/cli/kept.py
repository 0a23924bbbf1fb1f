"""What the doctor says about keeping: how long data is kept, and the key of the pseudonyms."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from citywatch.settings import DAY, HOUR, MINUTE, SECOND, Retention

_KEY_BYTES = 32


def retention_in_words(retention: Retention) -> str:
    """`events anpr.read 30d; alerts 730d`, or that everything is kept."""
    kinds = [f"events {pattern} {_span(span)}" for pattern, span in retention.events]
    others = {name: getattr(retention, name) for name in ("alerts", "media", "rejected", "audit")}
    kinds += [f"{name} {_span(span)}" for name, span in others.items() if span]
    return "kept: " + ("; ".join(kinds) if kinds else "everything, for ever")


def key_problems(key: Path) -> Iterator[tuple[str, str]]:
    """(what is wrong with the key of the pseudonyms, what to do); none where it is well, or not yet needed."""
    if not key.exists():
        return
    status = key.stat()
    if status.st_size != _KEY_BYTES:
        what = f"{key.name} has {status.st_size} bytes instead of {_KEY_BYTES}"
        yield what, "restore it from a backup: with another key, pseudonyms on old reports mean nothing"
    if status.st_mode & 0o077:
        yield f"others may read {key.name}, which turns pseudonyms back", f"`chmod 600 {key}`"


def _span(us: int | None) -> str:
    if us is None:
        return "for ever"
    return next(f"{us // size}{unit}" for unit, size in _UNITS if us % size == 0)


_UNITS = (("d", DAY), ("h", HOUR), ("m", MINUTE), ("s", SECOND), ("ms", 1000))
