"""Short names that stand for plates and persons on paper: the same for the same, and not to be turned back."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import secrets
from collections.abc import Callable
from pathlib import Path

PRIVATE = frozenset(("plate", "person_id", "first_name", "last_name", "phone", "picture", "subject", "summons_number"))
"""Columns whose values are never printed."""

KEY_BYTES = 32
LENGTH = 8


def pseudonym(key: bytes, column: str) -> Callable[[str], str]:
    """Value -> `plate-3F9K2C7D`: the beginning of its HMAC-SHA256 with the key of the data directory."""

    def name(value: str) -> str:
        digest = hmac.digest(key, f"{column}\0{value}".encode(), hashlib.sha256)
        return f"{column.removesuffix('_id')}-{base64.b32encode(digest).decode()[:LENGTH]}"

    return name


def read_key(file: Path) -> bytes:
    """The key in `file`, made when it is first needed; where it cannot be kept, one for this time only."""
    fresh = secrets.token_bytes(KEY_BYTES)
    if not file.exists():
        with contextlib.suppress(OSError):  # the directory may be read-only: then the key is for this time only
            _keep(file, fresh)
    return file.read_bytes() if file.exists() else fresh


def _keep(file: Path, key: bytes) -> None:
    """Write for the owner alone, aside; the first of several writers stays."""
    aside = file.with_name(f"{file.name}.{secrets.token_hex(4)}")
    aside.touch(mode=0o600, exist_ok=False)
    try:
        aside.write_bytes(key)
        file.hardlink_to(aside)
    finally:
        aside.unlink()
