"""Load mapping files."""

from __future__ import annotations

from pathlib import Path


def shipped() -> Path:
    """Directory of the mappings that come with citywatch."""
    return Path(__file__).parent
