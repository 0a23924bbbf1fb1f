"""Alerts as GeoJSON in a file that is replaced whole: a map, or a program without a server, reads it when it likes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, ClassVar

from citywatch.alert import State
from citywatch.delivery import Follow
from citywatch.errors import DeliveryError
from citywatch.geojson import collection, feature
from citywatch.notify.message import Message
from citywatch.notify.options import DURATION, PATH, WHOLE, Option, choice
from citywatch.settings import DAY
from citywatch.wording import iso

MARK, DROP = "mark", "drop"


class GeoJson:
    """Keeps the latest alerts in one file, each in the state in which it is now."""

    OPTIONS: ClassVar[tuple[Option, ...]] = (
        Option("file", PATH, "the file", Path("feeds/alerts.geojson")),
        Option("keep", DURATION, "alerts first seen longer ago than this leave the file", DAY),
        Option("most", WHOLE, "at most so many alerts stand in it", 1000),
        Option("closed", choice(MARK, DROP), "closed alerts stay, with their `state`, or leave the file", MARK),
    )
    RATE = None
    BUNDLE = 500
    FOLLOWS = Follow.EVERYTHING
    TOGETHER = True

    def __init__(self, *, file: Path, keep: int, most: int, closed: str = MARK) -> None:
        self._file, self._keep, self._most, self._dropped = file, keep, most, closed == DROP

    def send(self, message: Message) -> str:
        """Add the alerts to the file; see `citywatch.notify.Notifier`. A test adds nothing, and writes the file."""
        fresh = [] if message.test else [feature(alert, message.link(alert)) for alert in message.alerts]
        known = {found["id"]: found for found in [*self._features(), *fresh]}
        since = iso(message.at - self._keep)
        newest = sorted(
            (found for found in known.values() if found["properties"]["first_seen"] >= since and self._stays(found)),
            key=lambda found: (found["properties"]["first_seen"], found["id"]),
            reverse=True,
        )
        written_whole(self._file, json.dumps(collection(newest[: self._most], message.at), ensure_ascii=False).encode())
        return f"wrote {self._file}"

    def _stays(self, feature: dict[str, Any]) -> bool:
        return not (self._dropped and feature["properties"].get("state") == State.CLOSED)

    def _features(self) -> list[dict[str, Any]]:
        """What stands in the file; one that is absent or no feed of ours is begun anew."""
        try:
            found = json.loads(self._file.read_text("utf-8"))["features"]
            return [feature for feature in found if feature["properties"]["first_seen"] and feature["id"]]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError):
            return []  # what was in it is on the desk, and the next alerts must get through


def written_whole(file: Path, content: bytes) -> None:
    """Replace a file: who reads it meanwhile sees the one before or the new one. Raises DeliveryError."""
    aside = file.with_name(f".{file.name}.tmp")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("wb") as handle:
            handle.write(content)
            handle.flush()
            os.fsync(handle.fileno())
        aside.replace(file)
    except OSError as error:
        raise DeliveryError(f"{file} cannot be written: {error.strerror or error}") from error
