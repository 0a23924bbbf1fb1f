"""Times in which nothing was heard: from anybody, or from one live source while the others went on."""

from __future__ import annotations

from dataclasses import dataclass

from citywatch.rules.model import Correlation, CorrelationType

_DEVICE = frozenset(("device_id", "source"))


@dataclass(frozen=True, slots=True)
class Outage:
    """A span of time in µs UTC; `until` is None as long as it lasts.

    Attributes
    ----------
    source
        The live source that was silent; None = the engine itself heard nothing.
    speakers
        The sources of the events that come by it; None = not known: it may be any of them.
    """

    since: int
    until: int | None
    source: str | None = None
    speakers: frozenset[str] | None = None

    def blinds(self, correlation: Correlation, at: int, speaker: str) -> bool:
        """Whether the silence that ends with a match `at` cannot be trusted; `speaker`: source of the match event.

        A device that was heard by another way is silent itself. Whatever else is waited for may come by any way.
        """
        if not (self.since < at and (self.until is None or self.until > at - correlation.timespan)):
            return False
        of_device = correlation.type is CorrelationType.FLATLINE and bool(_DEVICE & {*correlation.group_by[0]})
        return self.speakers is None or not of_device or speaker in self.speakers
