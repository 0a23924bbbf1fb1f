"""The desk: what people see and do, in one SQLite file that engine, command line and console share.

What the engine says (facts) and what people do (an append-only log of actions) are two records joined by the alert's
id. A fact that arrives again never overwrites an action.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

from citywatch.errors import UsageError
from citywatch.stores.desk.audit import Audit
from citywatch.stores.desk.corrections import Corrections
from citywatch.stores.desk.deliveries import Deliveries
from citywatch.stores.desk.facts import Facts
from citywatch.stores.desk.file import File
from citywatch.stores.desk.forgetting import Forgetting
from citywatch.stores.desk.proposals import Proposals
from citywatch.stores.desk.reading import Reading
from citywatch.stores.desk.rejected import RejectedRecords
from citywatch.stores.desk.requests import Requests
from citywatch.stores.desk.status import Status
from citywatch.stores.desk.tickets import Tickets
from citywatch.stores.desk.work import Work

__all__ = ["AnyDesk", "Desk", "open_desk"]


class AnyDesk(
    Facts,
    Corrections,
    Work,
    Reading,
    RejectedRecords,
    Deliveries,
    Status,
    Audit,
    Forgetting,
    Requests,
    Proposals,
    Tickets,
):
    """The desk, wherever its tables are."""


class Desk(File, AnyDesk):
    """One connection to `desk.sqlite`; of use to one thread at a time. Open as many as there are threads.

    Parameters
    ----------
    path
        The file; made with its tables when it is absent.
    live
        An alert is notified only when it was first seen within so many microseconds of now.
    create
        False: an absent file is a `StoreError`, for commands that only look.
    """


def open_desk(address: str) -> Desk:
    """The desk at `file:///data/desk.sqlite`, for one thread. Raises UsageError, StoreError."""
    if not (path := unquote(address.removeprefix("file://"))):
        raise UsageError(f"{address!r} names no file", hint="write file:///data/desk.sqlite")
    return Desk(Path(path))
