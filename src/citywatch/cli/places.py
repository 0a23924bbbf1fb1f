"""What is known of places in a data directory, for `doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from citywatch.stores.directory import DataDirectory

if TYPE_CHECKING:
    from citywatch.mappings.devices import Devices

_SHOWN = 5
_RECENT = "INTERVAL 1 DAY"


def devices(data: Path) -> Devices | None:
    """The devices of a data directory; None where there is none. Raises GazetteerError."""
    from citywatch.mappings.devices import load_devices

    directory = DataDirectory(data)
    return load_devices(directory.devices, directory.settings().zone) if directory.exists() else None


def precincts(data: Path) -> int:
    """How many precincts have outlines. Raises GazetteerError."""
    from citywatch.mappings.precincts import load_precincts

    return len(set(load_precincts(DataDirectory(data).precincts).numbers.tolist()))


def lost(data: Path, known: Devices) -> str | None:
    """The devices of the last day whose events carry no position, and that are not `known`, in words."""
    names = {str(name) for name in known.ids.to_pylist()}
    found = [(name, events) for name, events in _without_place(data) if name not in names]
    if not found:
        return None
    shown = ", ".join(f"{name} ({events:,} events)" for name, events in found[:_SHOWN])
    more = f" and {len(found) - _SHOWN:,} more" if len(found) > _SHOWN else ""
    return f"{len(found):,} devices of the last day have no place: {shown}{more}"


def _without_place(data: Path) -> list[tuple[str, int]]:
    """(device, events) that carry a device and no position; the most frequent first."""
    import duckdb

    from citywatch.stores.history import History

    relation = History(data).relation_sql()
    condition = f"device_id IS NOT NULL AND lat IS NULL AND received_at > now() - {_RECENT}"
    query = f"SELECT device_id, count(*) AS n FROM ({relation}) WHERE {condition} GROUP BY 1 ORDER BY n DESC, 1"
    with duckdb.connect() as con:
        return con.execute(query).fetchall()
