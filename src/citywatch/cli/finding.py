"""What `citywatch doctor` says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: `state` is ok, note (worth knowing) or bad (has to be mended)."""

    state: str
    what: str
    next: str = ""
