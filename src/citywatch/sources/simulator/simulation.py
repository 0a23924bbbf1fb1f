"""What is asked of the simulator: by `sim://city?rate=50&seed=1&duration=10m` or on the command line."""

from __future__ import annotations

import datetime as dt
import time as clocks
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from citywatch.errors import UsageError
from citywatch.settings import SECOND, duration
from citywatch.sources.simulator.city import WORLDS, Plan

BOUNDED_START = "2026-05-01T12:00:00Z"
"""When a simulation of limited length begins unless it is told: the same seed gives the same lines on any day."""

_LEAST_RATE, _MOST_RATE = 1.0, 200_000.0
_OPTIONS = ("rate", "seed", "duration", "start", "speed", "history", "truth", "images")


@dataclass(frozen=True, slots=True)
class Simulation:
    """A plan, how fast it is played, and where to write what was planted.

    `speed` is in simulated seconds a second; None = as fast as it can be made.
    """

    plan: Plan
    speed: float | None
    truth: Path | None = None

    @property
    def live(self) -> bool:
        """Whether it never ends."""
        return self.plan.duration is None


def parse(text: str) -> Simulation:
    """The simulation that a `sim://` address asks for. Raises UsageError."""
    address = urlsplit(text)
    options = dict(parse_qsl(address.query, keep_blank_values=True))
    if unknown := sorted(set(options) - set(_OPTIONS)):
        raise UsageError(f"{text}: unknown option {unknown[0]!r}", hint=f"known: {', '.join(_OPTIONS)}")
    return simulation(address.netloc + address.path, options)


def simulation(world: str, options: Mapping[str, str]) -> Simulation:
    """The simulation of a world; the options as texts, absent ones at their default. Raises UsageError."""
    if world not in WORLDS:
        raise UsageError(f"there is no simulated {world!r}", hint=f"known: {', '.join(WORLDS)}")
    length = _span("duration", options["duration"]) if "duration" in options else None
    start = options.get("start", "now" if length is None else BOUNDED_START)
    default_speed = "1" if length is None else None
    speed = options.get("speed", default_speed)
    plan = Plan(
        world=world,
        seed=int(_number("seed", options.get("seed", "1"), 0, 2**53, whole=True)),
        rate=_number("rate", options.get("rate", "50"), _LEAST_RATE, _MOST_RATE),
        start=_instant(start),
        duration=length,
        history=_span("history", options["history"]) if "history" in options else 0,
        pictures=_number("images", options.get("images", "2"), 0, 1000),
    )
    truth = Path(options["truth"]) if "truth" in options else None
    return Simulation(plan, None if speed is None else _number("speed", speed, 0.001, 100_000), truth)


def _span(name: str, text: str) -> int:
    try:
        return duration(text)
    except ValueError as error:
        raise UsageError(f"{name}: {error}") from error


def _number(name: str, text: str, least: float, most: float, *, whole: bool = False) -> float:
    try:
        number = int(text) if whole else float(text)
    except ValueError:
        number = -1
    if not least <= number <= most:
        kind = "a whole number" if whole else "a number"
        raise UsageError(f"{name}: {text!r} is not {kind} from {least:g} to {most:g}")
    return number


def _instant(text: str) -> int:
    if text == "now":
        return int(clocks.time() * SECOND)
    try:
        since = dt.datetime.fromisoformat(text) - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    except (ValueError, TypeError) as error:  # no date, or one without an offset
        raise UsageError(f"start: {text!r} is no instant", hint=f"write it like {BOUNDED_START}, or now") from error
    return int(since / dt.timedelta(microseconds=1))
