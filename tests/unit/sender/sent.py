"""Files to send, and sending them in a hurry."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from citywatch.sender.sending import Options, Sending, Watcher

HEADER = "drone_id,plate_id,address,time,violation_code"


class Notes(Watcher):
    def __init__(self) -> None:
        self.words: list[str] = []
        self.waited: list[tuple[str, float]] = []

    def notice(self, words: str) -> None:
        self.words.append(words)

    def waits(self, why: str, seconds: float) -> None:
        self.waited.append((why, seconds))


def send(file: Path, to: str, watcher: Watcher | None = None, **asked: Any) -> Sending:
    sending = Sending(Options(file, to, first_pause=0.005, **{"timeout": 5.0, **asked}), watcher or Watcher())
    sending.run()
    return sending


def event(number: int, **more: Any) -> str:
    return json.dumps({"specversion": "1.0", "id": str(number), "source": "drone/4", "type": "drone.position", **more})


def events_file(directory: Path, numbers: range) -> Path:
    file = directory / "events.ndjson"
    file.write_text("".join(event(number) + "\n" for number in numbers))
    return file
