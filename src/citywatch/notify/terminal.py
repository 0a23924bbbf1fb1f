"""The terminal alarm: one readable line an alert, colour by level, a bell for what is urgent."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TextIO

import click

from citywatch.alert import Level
from citywatch.delivery import Follow
from citywatch.notify.message import Message, headline
from citywatch.notify.options import Option
from citywatch.wording import clock_time, place_in_words, printable

Alert = Mapping[str, Any]

STYLES: dict[str, dict[str, Any]] = {
    Level.CRITICAL: {"fg": "white", "bg": "red", "bold": True},
    Level.HIGH: {"fg": "red", "bold": True},
    Level.MEDIUM: {"fg": "yellow"},
    Level.LOW: {"fg": "cyan"},
    Level.INFORMATIONAL: {"dim": True},
}

BELL_FOR = (Level.HIGH, Level.CRITICAL)

_WIDTH = max(len(level) for level in Level)


class Terminal:
    """Prints alerts to a stream.

    Parameters
    ----------
    zone
        IANA zone in which times are told.
    stream
        Where to; standard output by default.
    colour
        None: only on a terminal.
    """

    OPTIONS: ClassVar[tuple[Option, ...]] = ()
    RATE = None
    BUNDLE = 1
    FOLLOWS = Follow.NOTHING
    TOGETHER = True

    def __init__(self, *, zone: str, stream: TextIO | None = None, colour: bool | None = None) -> None:
        self._stream = sys.stdout if stream is None else stream
        self._colour = self._stream.isatty() if colour is None else colour
        self._zone = zone

    def send(self, message: Message) -> str:
        """Print a message; see `citywatch.notify.Notifier`."""
        if message.single is None or message.test:
            self._stream.write(printable(headline(message)) + "\n")
        for alert in message.alerts:
            self.notify(alert, alarm=not message.test)
        return "printed"

    def notify(self, alert: Alert, *, alarm: bool) -> None:
        """Print the alert's line; ring for a high or critical one that is an alarm."""
        line = one_line(alert, self._zone, alarm=alarm)
        bell = "\a" if alarm and self._colour and alert["level"] in BELL_FOR else ""
        self._stream.write((line if self._colour else click.unstyle(line)) + bell + "\n")
        self._stream.flush()


def one_line(alert: Alert, zone: str, *, alarm: bool = True) -> str:
    """Time, level, what and why, where, which rule, and the beginning of the id; with colour codes."""
    style = STYLES.get(alert["level"], {}) if alarm else {"dim": True}
    level = click.style(str(alert["level"]).upper().ljust(_WIDTH), **style)
    tail = click.style(f"{alert['rule']} {alert['id'][:8]}", dim=True)
    return "  ".join(part for part in (clock_time(alert["last_seen"], zone), level, _words(alert, zone), tail) if part)


def _words(alert: Alert, zone: str) -> str:
    if sentence := SENTENCES.get(alert["rule"]):
        return str(printable(sentence(alert, zone)))
    what = click.style(printable(alert["title"]), bold=True)
    times = f"({alert['count']} times)" if alert["count"] > 1 else ""
    remarks = [word for word in ("late" if alert["late"] else "", _remark(alert)) if word]
    why = printable(" ".join(word for word in (alert["reason"] or "", times) if word))
    place = printable(place_in_words(alert))
    told = place.split(",")[0] in why  # many reasons name the place themselves
    sentence_parts = [
        f"{what}: {why}" if why else what,
        f"at {place}" if place and not told else "",
        ", ".join(remarks),
    ]
    return " · ".join(part for part in sentence_parts if part)


def _remark(alert: Alert) -> str:
    if alert.get("inconclusive"):
        return "inconclusive: part of the time is not known"
    return "" if alert["status"] == "stable" else f"rule in {alert['status']}"


def _prestacop(alert: Alert, zone: str) -> str:
    """The sentence of the older system's alarm."""
    event = alert["evidence"][0] if alert["evidence"] else {}
    data = event.get("data") or {}
    time = clock_time(event.get("time") or alert["first_seen"], zone)
    return warning(data.get("plate"), data.get("violation_code"), time, place_in_words(alert))


def warning(vehicle: object, code: object, time: object, place: object) -> str:
    """The older system's sentence, of what is known."""
    known = ["unknown" if value in (None, "") else str(value) for value in (vehicle, code, time, place)]
    return "Warning, vehicle {} was caught committing offence {} on {} at address {}".format(*known)


def older_line(said: Mapping[str, Any], zone: str) -> str | None:
    """A message of an alert topic as the older system's alarm would say it; None where it is no alert.

    It may be one of the older system's own, or an alert of the contract; one that is about no vehicle has no such
    sentence, and is told as everywhere.
    """
    if "plate_id" in said and "violation_code" in said:
        return str(printable(warning(*(said.get(name) for name in ("plate_id", "violation_code", "time", "address")))))
    try:
        line = one_line(said, zone)
        data = (said["evidence"][0] if said["evidence"] else {}).get("data") or {}
        if data.get("plate") is None and data.get("violation_code") is None:
            return line
        return f"{printable(_prestacop(said, zone))}  {line}"
    except (KeyError, TypeError, ValueError, AttributeError):
        return None  # whoever asks counts it


SENTENCES: dict[str, Callable[[Alert, str], str]] = {"prestacop_alert": _prestacop}
"""Rules whose alarm has its own words."""
