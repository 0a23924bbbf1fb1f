"""What reports and engines ask of a store elsewhere, whatever its kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    import pyarrow as pa

    from citywatch.settings import Settings
    from citywatch.stores.desk import Desk
    from citywatch.stores.history import History


class Reader(Protocol):
    """A store as it is when this is made. What fails raises StoreError."""

    @property
    def zone(self) -> str:
        """The city's time zone."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """What it knows of the settings of the data directory."""

    def create_view(self) -> None:
        """Make the relation `events`: every event that it has, once, with all stored and derived columns."""

    def tables(self) -> Mapping[str, Callable[[], pa.Table]]:
        """What reads the rest of what it has: `alerts` (column `line`: in JSON), `rejected`, `population`."""


class Relay(Protocol):
    """Takes a data directory over into a store, from where the store itself says that it stands.

    What fails raises StoreError, and can then be called again.
    """

    refused: int
    """Rows that can never be stored, since somebody set it to 0."""

    @property
    def why(self) -> str:
        """What was wrong with the last of them."""

    @property
    def place(self) -> tuple[int, int]:
        """Numbers of the last event and of the last change of an alert that are taken over."""

    def once(self) -> bool:
        """Take over a slice of each, if there is any; False when there is none."""


class Target(NamedTuple):
    """A store that is kept up with a data directory.

    Attributes
    ----------
    name
        The address without options; it holds no secret.
    relay
        Connects (history, desk of the same thread, settings, key of the hashes of plates) with it, for a while.
    """

    name: str
    relay: Callable[[History, Desk, Settings, bytes], AbstractContextManager[Relay]]
