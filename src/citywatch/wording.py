"""Times and places in words, the same in the terminal and on the page."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

Alert = Mapping[str, Any]

_EPOCH = datetime(1970, 1, 1)  # counted in UTC, written with Z


def printable(value: Any) -> Any:
    """What came from outside without signs that a terminal would obey, or that write a line of their own.

    Text, or mappings and lists of it; anything else stays as it is.
    """
    if isinstance(value, str):
        if value.isprintable():
            return value
        return "".join(letter if letter.isprintable() else " " if letter.isspace() else "�" for letter in value)
    if isinstance(value, Mapping):
        return {name: printable(inner) for name, inner in value.items()}
    return [printable(inner) for inner in value] if isinstance(value, list) else value


def iso(us: int) -> str:
    """Microseconds UTC as the contract writes times: six decimals and Z."""
    return (_EPOCH + timedelta(microseconds=us)).isoformat(timespec="microseconds") + "Z"


def micros(text: str) -> int:
    """The reverse of `iso`, for any time with an offset."""
    return (datetime.fromisoformat(text) - _EPOCH.replace(tzinfo=UTC)) // timedelta(microseconds=1)


def moment(iso: str, zone: str) -> datetime:
    """A time of the contract's form as local time in an IANA zone."""
    return datetime.fromisoformat(iso).astimezone(ZoneInfo(zone))


def clock_time(iso: str, zone: str, *, today: datetime | None = None) -> str:
    """`14:03:07`, with the date before it on another day than `today` (default: now)."""
    local = moment(iso, zone)
    present = today or datetime.now(local.tzinfo)
    return local.strftime("%H:%M:%S" if local.date() == present.date() else "%Y-%m-%d %H:%M:%S")


def position(lat: float | None, lon: float | None) -> str:
    """`40.7536 N 73.9832 W`, or nothing."""
    if lat is None or lon is None:
        return ""
    return f"{abs(lat):.4f} {'N' if lat >= 0 else 'S'} {abs(lon):.4f} {'E' if lon >= 0 else 'W'}"


def place_in_words(alert: Alert) -> str:
    """Where it happened, as well as known: address, else street, precinct or borough, else device and position."""
    data = _first_data(alert)
    if words := alert.get("address") or data.get("address"):
        return ", ".join([words, *_borough(data)])
    precinct = [f"precinct {data['precinct']}"] if data.get("precinct") is not None else []
    known = [str(data["street"])] if data.get("street") else precinct
    if known or data.get("borough"):
        return ", ".join([*known, *_borough(data)])
    return ", ".join(word for word in (_device(data), position(alert.get("lat"), alert.get("lon"))) if word)


def _first_data(alert: Alert) -> Mapping[str, Any]:
    for event in alert.get("evidence") or ():
        if isinstance(event.get("data"), dict):
            data: Mapping[str, Any] = event["data"]
            return data
    return {}


def _borough(data: Mapping[str, Any]) -> list[str]:
    return [str(data["borough"])] if data.get("borough") else []


def _device(data: Mapping[str, Any]) -> str:
    device = data.get("device_id")
    return " ".join(str(word) for word in (data.get("device_kind"), device) if word) if device else ""
