"""Settings of a data directory: `citywatch.toml` in it, each key also as ``CITYWATCH_<KEY>``."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from citywatch.errors import Place, SettingError, UsageError

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_UNITS = {"ms": 1_000, "s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY, "w": 7 * DAY}
_LONGEST = 3_652_425 * DAY


def duration(text: str | int) -> int:
    """`<n>s|m|h|d|w` (also ms) as microseconds; raises ValueError."""
    if isinstance(text, int):
        raise ValueError(f"{text} has no unit: write 60s, 5m, 2h, 1d or 1w")  # noqa: TRY004 - as the next error
    for unit in ("ms", "s", "m", "h", "d", "w"):
        number = text.removesuffix(unit)
        if number != text and number.isascii() and number.isdigit():
            if (span := int(number) * _UNITS[unit]) > _LONGEST:
                raise ValueError(f"{text!r} is longer than ten thousand years")
            return span
    raise ValueError(f"{text!r} is no duration: write 60s, 5m, 2h, 1d or 1w")


FOR_EVER = "for ever"
"""As a retention: nothing is removed."""


@dataclass(frozen=True, slots=True)
class Retention:
    """How long each kind of data is kept, in microseconds; what is not named is kept for ever.

    `events` has a span by pattern, in the order in which patterns are tried: a type of event, `drone.*` for all types
    that begin so, `*` for the rest; a span of None keeps them for ever.
    """

    events: tuple[tuple[str, int | None], ...] = ()
    alerts: int | None = None
    media: int | None = None
    rejected: int | None = None
    audit: int | None = None

    @classmethod
    def of(cls, table: Mapping[str, Any]) -> Retention:
        """The table `[retention]` of the settings. Raises ValueError, TypeError."""
        kinds = [name.name for name in fields(cls)]
        if unknown := sorted(set(table) - set(kinds)):
            raise ValueError(f"unknown kind of data {unknown[0]!r}: known are {', '.join(kinds)}")
        given = dict(table)
        events = given.pop("events", {})
        events = events if isinstance(events, Mapping) else {"*": events}
        patterns = sorted(events, key=lambda pattern: (pattern.endswith("*"), -len(pattern)))
        for pattern in patterns:
            if "*" in pattern.removesuffix(".*") and pattern != "*":
                raise ValueError(f"{pattern!r} is no type of event: write drone.violation, drone.* or *")
        return cls(tuple((p, _span(events[p])) for p in patterns), **{name: _span(given[name]) for name in given})

    def span(self, type_: str) -> int | None:
        """µs that events of a type are kept; None for ever."""
        matching = (span for pattern, span in self.events if _like(type_, pattern))
        return next(matching, None)

    def span_sql(self, type_: str) -> str | None:
        """SQL of the µs that an event of the type in column `type_` is kept, NULL for ever; None where all are."""
        if not any(span for _, span in self.events):
            return None
        cases = (f"WHEN {_like_sql(type_, pattern)} THEN {span or 'NULL'}" for pattern, span in self.events)
        return f"CASE {' '.join(cases)} END"


def _span(text: Any) -> int | None:
    span = None if text == FOR_EVER else duration(text)
    if span == 0:
        raise ValueError("data cannot be kept for no time at all")
    return span


def _like(type_: str, pattern: str) -> bool:
    return type_.startswith(pattern[:-1]) if pattern.endswith("*") else type_ == pattern


def _like_sql(column: str, pattern: str) -> str:
    text = pattern.removesuffix("*").replace("'", "''")
    return f"starts_with({column}, '{text}')" if pattern.endswith("*") else f"{column} = '{text}'"


def _setting(default: Any, meaning: str, *, fixed: bool = False, unit: str = "") -> Any:
    """A setting with what the reference page says of it; `fixed`: it belongs to the data directory."""
    return field(default=default, metadata={"meaning": meaning, "fixed": fixed, "unit": unit})


@dataclass(frozen=True)
class Settings:
    """What may be set; durations in microseconds.

    Lateness, disorder, stale and zone decide alerts: they belong to the data directory, and a run with other values
    is an error.
    """

    lateness: int = _setting(
        MINUTE, "an event received more than this after it happened is late", fixed=True, unit="us"
    )
    disorder: int = _setting(
        5 * SECOND, "so far a live source may deliver out of order; what comes later is backfill", fixed=True, unit="us"
    )
    stale: int = _setting(
        DAY, "an event received more than this after it happened goes to history only", fixed=True, unit="us"
    )
    future: int = _setting(5 * MINUTE, "an event dated more than this after its receipt is rejected", unit="us")
    zone: str = _setting("America/New_York", "the city's time zone, by its IANA name", fixed=True)
    live: int = _setting(DAY, "an alert first seen longer ago than this is stored and calls nobody", unit="us")
    log: str = _setting("text", "form of what is said on stderr: `text`, or `json`, an object a line")
    key_limit: int = _setting(100_000, "a key with more kept events than this stops being evaluated by a rule")
    retention: Retention = field(
        default_factory=Retention,
        metadata={
            "meaning": "how long data is kept, a table `[retention]`; what it does not name is kept for ever: see "
            "[Run it for good](../how-to/run-it-for-good.md)"
        },
    )
    image_bytes: int = _setting(10_000_000, "an image of more bytes is refused")
    same_offence: int = _setting(
        HOUR, "the same plate and code seen again within this is the same offence: one proposal for a ticket", unit="us"
    )
    first_summons: int = _setting(
        9_900_000_001, "number of the very first ticket that is issued here; later ones go on from the highest"
    )
    address: str = _setting(
        "", "what people type, `https://alerts.example.org`, where a web server stands in front of the console"
    )
    cluster: str = _setting(
        "",
        "addresses that `doctor --cluster` looks at, with blanks between: kafka://, cassandra://, hdfs://, postgresql://",
    )
    params: Mapping[str, Mapping[str, Any]] = field(
        default_factory=dict,
        metadata={"meaning": "parameters of rules, in a table for each: `[params.rule_name]`; only in the file"},
    )

    @classmethod
    def load(
        cls,
        directory: Path,
        overrides: Mapping[str, str] | None = None,
        *,
        defaults: Mapping[str, str] | None = None,
    ) -> Settings:
        """Read `defaults`, `citywatch.toml`, the environment, then `overrides` (texts as on the command line).

        Raises SettingError, and UsageError for what is wrong in `overrides`.
        """
        file = directory / "citywatch.toml"
        known = {f.name for f in fields(cls)}
        values = {name: _value(name, text) for name, text in (defaults or {}).items()}
        if file.exists():
            values |= _in_file(file, known)
        for name in known - {"params"}:
            if (text := os.environ.get(said := f"CITYWATCH_{name.upper()}")) is not None:
                values[name] = _value(name, text, said=said)
        try:
            return cls(**values | {name: _value(name, text) for name, text in (overrides or {}).items()})
        except SettingError as error:
            raise UsageError(error.what, hint=error.hint) from error


def _in_file(file: Path, known: set[str]) -> dict[str, Any]:
    """The settings of a file by name. Raises SettingError with the line."""
    text = file.read_text("utf-8")
    try:
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingError(f"not valid TOML: {error}", where=Place(file)) from error
    lines = text.splitlines()

    def place(name: str) -> Place:
        begins = re.compile(rf"""\s*\[?["']?{re.escape(name)}\b""")
        return Place(file, next((number for number, line in enumerate(lines, 1) if begins.match(line)), 1))

    if unknown := sorted(set(given) - known):
        raise SettingError(
            f"unknown setting {unknown[0]!r}", where=place(unknown[0]), hint=f"known: {', '.join(sorted(known))}"
        )
    return {name: _value(name, value, place(name)) for name, value in given.items()}


def _value(name: str, value: Any, where: Place | None = None, *, said: str | None = None) -> Any:
    """The value of a setting; `where` it stands, or by which name it was `said`, is for people."""
    try:
        return _READ[name](value) if name in _READ else value
    except (ValueError, TypeError, AttributeError) as error:
        raise SettingError(f"{said or f'setting {name}'}: {error}", where=where) from error


def _retention(value: Any) -> Retention:
    """From a table, or the text of one."""
    return Retention.of(tomllib.loads(f"it = {value}")["it"] if isinstance(value, str) else value)


def zone_name(value: Any) -> str:
    """The IANA name of a time zone; raises ValueError."""
    try:
        return ZoneInfo(value).key
    except (ZoneInfoNotFoundError, OSError, ValueError, TypeError) as error:
        raise ValueError(f"there is no time zone {value!r}: write it like America/New_York") from error


def _origin(value: Any) -> str:
    """An address without a path, as a browser names it."""
    if value == "":
        return ""
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or parts.query:
        raise ValueError(f"{value!r} is no address of a site: write https://alerts.example.org, without a path")
    return f"{parts.scheme}://{parts.netloc}"


def _log_form(value: Any) -> Any:
    if value not in ("text", "json"):
        raise ValueError(f"{value!r} is neither text nor json")
    return value


_READ: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("lateness", "disorder", "stale", "future", "live", "same_offence"), duration),
    **dict.fromkeys(("key_limit", "image_bytes", "first_summons"), int),
    "zone": zone_name,
    "log": _log_form,
    "address": _origin,
    "retention": _retention,
}
"""How the settings that are no plain texts are read; each raises ValueError, TypeError or AttributeError."""
