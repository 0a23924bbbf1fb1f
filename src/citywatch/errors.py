"""Every error a user can meet, as one tree.

Each says what went wrong, where (``file:line`` where there is one) and what to do next.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Place:
    """A position in a file that a person wrote. Lines count from 1."""

    file: Path | str
    line: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class CitywatchError(Exception):
    """What every error here derives from; the command line prints it without a trace and exits 1.

    Parameters
    ----------
    what
        What is wrong, in one sentence without a full stop.
    where
        The place in a file, when the cause stands in one.
    hint
        What to do next.
    """

    def __init__(self, what: str, *, where: Place | None = None, hint: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        at = f"{self.where}: " if self.where else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{at}{self.what}{hint}"


class UsageError(CitywatchError):
    """The command was called wrongly; exit code 2."""


class SettingError(CitywatchError):
    """A setting has an impossible value, or another one than the data directory was made with."""


class RuleError(CitywatchError):
    """A rule cannot be loaded; always with the place in its file."""


class RuleErrors(RuleError):  # noqa: N818 - the plural of RuleError
    """All that is wrong in a rules directory, at once."""

    def __init__(self, errors: list[RuleError]) -> None:
        super().__init__("\n".join(str(error) for error in errors))
        self.errors = errors


class MappingError(CitywatchError):
    """A mapping file is wrong, none fits a message, or several do."""


class GazetteerError(CitywatchError):
    """What says where things are (`devices.csv`, `precincts.geojson`) is wrong; always with the place in its file."""


class GazetteerErrors(GazetteerError):  # noqa: N818 - the plural of GazetteerError
    """All that is wrong in such a file, at once."""

    def __init__(self, errors: list[GazetteerError]) -> None:
        super().__init__("\n".join(str(error) for error in errors))
        self.errors = errors


class SourceError(CitywatchError):
    """A source cannot be opened or read."""


class StoreError(CitywatchError):
    """The data directory cannot be read or written."""


class DataDirectoryBusyError(StoreError):
    """Another engine writes this data directory."""


class DiskFullError(StoreError):
    """The disk is nearly full: nothing was accepted."""


class CapacityError(StoreError):
    """More is sent than can be taken in now; nothing was accepted. Over HTTP: 429."""


class TooLargeError(CitywatchError):
    """What was sent becomes more than is held at once, and has to come in smaller parts; nothing was accepted. Over
    HTTP: 413.
    """


class DataVersionError(StoreError):
    """The data directory was written by another version of its format."""


class MediaError(CitywatchError):
    """An image cannot be kept: it is none, damaged, too large, or in conflict."""


class MediaTooLargeError(MediaError):
    """The image is larger than images may be."""


class UnknownImageError(MediaError):
    """No image has that id."""


class MediaConflictError(MediaError):
    """That id means another image already."""


class AlertError(CitywatchError):
    """An alert is unknown, or the change is not allowed in its state."""


class UnknownAlertError(AlertError):
    """No alert, or more than one, has an id that begins so."""


class ProposalError(CitywatchError):
    """A proposal for a ticket is unknown, or cannot be decided as it stands."""


class UnknownProposalError(ProposalError):
    """No proposal, or more than one, has an id that begins so."""


class ServeError(CitywatchError):
    """The page cannot be served at that address, or has stopped."""


class MissingPackageError(CitywatchError):
    """Something that was asked for needs a package that is not installed."""


class JobError(CitywatchError):
    """A job on Spark ended before its time."""


class ReportError(CitywatchError):
    """A report is unknown or was asked wrongly."""


class RouteError(CitywatchError):
    """The file of routes is wrong; always with the place in it."""


class RouteErrors(RouteError):  # noqa: N818 - the plural of RouteError
    """All that is wrong in the file of routes, at once."""

    def __init__(self, errors: list[RouteError]) -> None:
        super().__init__("\n".join(str(error) for error in errors))
        self.errors = errors


class DeliveryError(CitywatchError):
    """A message did not arrive, and may do so later. `retry_after`: seconds that the receiver asks to wait."""

    def __init__(self, what: str, *, hint: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(what, hint=hint)
        self.retry_after = retry_after


class MessageRefusedError(DeliveryError):
    """The receiver does not take this message, now or later; others it may take."""


class TargetRefusedError(DeliveryError):
    """The receiver takes no message of ours as things stand: it is gone, or its address or password is wrong."""
