"""Where events and alerts are kept. A new store is one module, and one line in `STORES` for each use of it."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from citywatch.errors import UsageError

STORES: Mapping[str, Mapping[str, str]] = {
    "archive": {
        "": "citywatch.stores.archive.disk:open_files",
        "file": "citywatch.stores.archive.disk:open_files",
        "hdfs": "citywatch.stores.archive.hdfs:open_files",
    },
    "desk": {
        "file": "citywatch.stores.desk:open_desk",
        "postgres": "citywatch.stores.desk.server:open_desk",
        "postgresql": "citywatch.stores.desk.server:open_desk",
    },
    "reports": {
        "cassandra": "citywatch.stores.cassandra.reading:open_reader",
        "file": "citywatch.stores.archive.reading:open_reader",
        "hdfs": "citywatch.stores.archive.reading:open_reader",
    },
    "relay": {
        "cassandra": "citywatch.stores.cassandra.relay:open_target",
    },
}
"""Use -> scheme of the address ("" is a path) -> module and function that opens it.

========= ============================ ========================================
use       on the command line          the function
========= ============================ ========================================
`archive` `archive --to`               (address) -> `Files`, and the path
`desk`    `retention apply --database` (address) -> a desk, with its tables made
`reports` `report --data`              (address, DuckDB) -> `Reader`, for a while
`relay`   `up --store`                 (address) -> `Target`
========= ============================ ========================================
"""


def open_store(use: str, address: str, *more: object) -> Any:
    """What the registry's function for that use gives for an address. Raises UsageError where there is none."""
    scheme, separator, _ = address.partition("://")
    kinds = STORES[use]
    if (found := kinds.get(scheme if separator else "")) is None:
        known = ", ".join(f"{name}://" if name else "a directory" for name in kinds)
        raise UsageError(f"{address!r} is no address of a store ({use})", hint=f"known: {known}")
    module, _, function = found.partition(":")
    return getattr(importlib.import_module(module), function)(address, *more)
