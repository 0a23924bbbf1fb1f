"""A minute of a simulated city in a data directory, with what nobody could read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from citywatch.analytics.period import Period
from citywatch.analytics.question import Answer, Asked, question
from citywatch.cli.hosting import Host
from citywatch.cli.report import open_anywhere
from citywatch.sources import open_source

REPORT = {
    "id": "0c7f0d9e-30d2-4f8a-9a1a-57a1f40e2a11",
    "first_name": "Ada",
    "last_name": "Low",
    "gender": "female",
    "age": 31,
    "behaviors": ["Loitering", "Graffiti", "Hug"],
    "location": [12, 80],
    "time": "7:5",
    "timeframe": "morning",
    "phone": "+1 555 0100",
    "picture": "https://pictures.example/1.jpg",
    "dangerosity_score": 83,
}
"""As the older watcher sent them."""


def city_in(data: Path) -> Path:
    """Make the directory: about 1,200 events of a simulated city, two older reports, and one record that is none."""
    older = data.parent / f"{data.name}-reports.ndjson"
    lines = [json.dumps({**REPORT, "id": ident}) for ident in ("1", "2")]
    older.write_text("\n".join([*lines, json.dumps({**REPORT, "id": None}), ""]), "utf-8")
    host = Host(data)
    sources = [*open_source("sim://city?seed=5&rate=20&duration=60s"), *open_source(str(older))]
    with host.engine() as engine:
        summary = engine.run_bounded(sources, host.parsers())
    assert summary.events > 1_000
    assert summary.rejected
    return data


def answer(place: Path | str, name: str, **how: Any) -> Answer:
    """What a report says of a data directory or of what is kept elsewhere."""
    with open_anywhere(place, None, name) as (archive, _):
        return question(name).answer(archive, Asked(Period(None, None), **how))
