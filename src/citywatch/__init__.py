"""citywatch: city events in, rules find what needs a person, people act, history answers questions."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from os import PathLike

    from citywatch.cli.opened import City

__version__ = "0.1.0"


def open(directory: str | PathLike[str]) -> City:  # noqa: A001 - read as citywatch.open
    """Read a data directory from Python: its events, alerts and reports, and any question in SQL.

    Raises StoreError where there is none, DataVersionError.
    """
    from pathlib import Path  # noqa: PLC0415 - the version is asked for without all this

    from citywatch.cli.opened import City  # noqa: PLC0415 - as above

    return City(Path(directory))
