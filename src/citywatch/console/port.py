"""What the console needs from outside. The command line passes it in: the console knows no store."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from citywatch.delivery import Standing
from citywatch.ticketing import Decision, Issued, Selection
from citywatch.triage import Asked, Choice, Listed, Place, Wish


class DeskPort(Protocol):
    """The desk as the console uses it; `citywatch.stores.desk.Desk` is one."""

    def newest(self, choice: Choice = ..., *, before: int | None = ..., limit: int = ...) -> list[Listed]:
        """The alerts that came last, latest first."""
        ...

    def page(self, choice: Choice = ..., *, after: Place | None = ..., limit: int = ...) -> list[Listed]:
        """The alerts after that place, by first_seen and id."""
        ...

    def alert(self, beginning: str) -> Listed:
        """The one alert whose id begins so."""
        ...

    def last_change(self) -> int:
        """The end of the stream of changes."""
        ...

    def changes_since(self, cursor: int, *, limit: int = ...) -> list[Listed]:
        """Alerts that changed after that place in the stream."""
        ...

    def state_counts(self, statuses: Sequence[str] = ...) -> dict[str, int]:
        """How many alerts stand in each state."""
        ...

    def rules(self) -> list[str]:
        """Names of the rules that ever raised an alert."""
        ...

    def history(self, alert: str) -> list[dict[str, Any]]:
        """All that was done with an alert, oldest first."""
        ...

    def act(self, alert: str, wish: Wish, *, expected: int | None = ...) -> str:
        """Do what is wished; AlertError when it is not allowed."""
        ...

    def wake(self) -> int:
        """Bring shelved alerts whose time is over back."""
        ...

    def audit(self, who: str, what: str, *, alert: str | None = ..., purpose: str | None = ...) -> None:
        """Record that somebody saw what is hidden, and why."""
        ...

    def audit_alerts(self, who: str, what: str, alerts: Sequence[str], *, purpose: str | None = ...) -> None:
        """Record the same for each of several alerts."""
        ...

    def audit_proposals(self, who: str, what: str, proposals: Sequence[str], *, purpose: str | None = ...) -> None:
        """Record that somebody saw the plates of proposals."""
        ...

    def audited(self, asked: Asked) -> list[dict[str, Any]]:
        """Entries of the audit log, latest first."""
        ...

    def status(self) -> dict[str, Any]:
        """What the engine says of itself."""
        ...

    def status_age(self, key: str) -> int | None:
        """Microseconds since the engine said that; None when it never did."""
        ...

    def tallies(self) -> list[tuple[str, str, str, int]]:
        """(rule, level, status, alerts ever)."""
        ...

    def standings(self) -> list[Standing]:
        """How those stand that are told of alerts."""
        ...

    def proposals(
        self, selection: Selection = ..., *, limit: int | None = ..., after: tuple[str, str] | None = ...
    ) -> list[dict[str, Any]]:
        """Proposals for tickets, by time and id."""
        ...

    def proposal(self, beginning: str) -> dict[str, Any]:
        """The one proposal whose id begins so."""
        ...

    def proposal_counts(self) -> dict[str, int]:
        """How many proposals stand where."""
        ...

    def decisions(self, proposal: str) -> list[dict[str, Any]]:
        """What people said about a proposal, oldest first."""
        ...

    def decide_all(self, chosen: Sequence[tuple[str, str | None]], decision: Decision) -> list[dict[str, Any]]:
        """Decide about all of (id, version that was seen), or about none; ProposalError when that is not possible."""
        ...

    def rejected_count(self) -> int:
        """Rejected records that wait for somebody."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class DoorPort(Protocol):
    """The engine as the doors for events reach it."""

    async def __call__(
        self, door: str, mapping: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, Mapping[str, Any]]:
        """Status and answer to a body that came to a door: for an error `detail` and perhaps `hint`."""
        ...


class PicturePort(Protocol):
    """An image that is kept; `citywatch.stores.media.Kept` is one."""

    @property
    def type(self) -> str:
        """Its media type."""
        ...

    @property
    def width(self) -> int:
        """Pixels."""
        ...

    @property
    def height(self) -> int:
        """Pixels."""
        ...

    @property
    def size(self) -> int:
        """Bytes."""
        ...

    def read(self) -> bytes:
        """The image."""
        ...


class GalleryPort(Protocol):
    """The images as the console takes and gives them; `citywatch.stores.gallery.Gallery` is one."""

    @property
    def limit(self) -> int:
        """Bytes that an image may have."""
        ...

    def receive(self, image_id: str, content: bytes) -> PicturePort:
        """Keep an image and let the engine know; raises MediaError where that is not possible."""
        ...

    def find(self, image_id: str) -> PicturePort:
        """The image that an id means; raises UnknownImageError."""
        ...

    def known(self, image_ids: Sequence[str]) -> set[str]:
        """Those of the ids that mean an image."""
        ...

    def totals(self) -> tuple[int, int]:
        """(images, their bytes)."""
        ...


class IssuerPort(Protocol):
    """The office that issues tickets; `citywatch.stores.issuing.Office` is one."""

    def issue(self, by: str) -> Sequence[Issued]:
        """Issue what is approved; the batches that are finished with this. Raises StoreError, DiskFullError."""
        ...

    def file(self, batch: int) -> bytes:
        """The file of a finished batch. Raises UnknownProposalError, StoreError."""
        ...


@dataclass(frozen=True, slots=True)
class RuleNotes:
    """What a rule's file tells the person who gets its alert."""

    description: str = ""
    runbook: str = ""
    falsepositives: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    close_reasons: tuple[str, ...] = ()


Ring = Sequence[tuple[float, float]]
"""(lon, lat) of the corners of an outline."""


@dataclass(frozen=True, slots=True)
class Site:
    """One console: whose desk it shows, where it is served, and the words around.

    `desk` opens the desk anew at each call: every thread has its own. `zones` are outlines by name. `signed_in` is
    told who used a link, so that somebody can make another. `address` is what people type, where a web server stands in
    front; without, the console is served to them itself. `door` is the way into the engine, where there is one;
    `gallery` are the images, where there are any; `issuer` issues tickets. `database` is what Django is told of a
    server that keeps people, sessions and keys, with the key that signs cookies in `secret`; without, they lie in files
    in `data`.
    """

    data: Path
    desk: Callable[[], DeskPort]
    host: str = "127.0.0.1"
    port: int = 8000
    zone: str = "America/New_York"
    rules: Mapping[str, RuleNotes] = field(default_factory=dict)
    zones: Mapping[str, Sequence[Ring]] = field(default_factory=dict)
    signed_in: Callable[[str], None] = lambda _: None
    door: DoorPort | None = None
    gallery: GalleryPort | None = None
    issuer: IssuerPort | None = None
    database: Mapping[str, Any] | None = None
    secret: str | None = None
    address: str = ""

    @property
    def largest_image(self) -> int:
        """Bytes of the largest image that is taken."""
        return self.gallery.limit if self.gallery else 0
