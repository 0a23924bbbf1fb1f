"""The first stage on Spark, without Spark: records become messages with events, each with its place."""

from __future__ import annotations

import pyarrow as pa
import pytest

from citywatch.engine.spark.conditions import Conditions
from citywatch.engine.spark.message import Kind, of_batch
from citywatch.engine.spark.reading import FILES, Reading
from citywatch.mappings import parse as parsing
from citywatch.mappings.gazetteer import Gazetteer
from citywatch.mappings.load import load_mappings
from citywatch.mappings.recipe import ParserRecipe
from citywatch.rules.model import Ruleset
from citywatch.settings import Settings
from tests.unit.mappings.test_spread import read

ARRIVED = 1_777_636_900_000_000


@pytest.mark.parametrize("feed", [FILES, "t/0"])
def test_records_that_become_too_much_at_once_are_read_in_parts_and_keep_their_places(
    feed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parsing, "MOST", 5_000)
    lines = [line.encode() for line in read(3, 3, 1, 3, 2)]
    raws = [b"\n".join(lines)] if feed == FILES else lines
    rows = pa.RecordBatch.from_pylist([
        {"feed": feed, "place": place, "arrived": ARRIVED, "name": feed, "raw": raw} for place, raw in enumerate(raws)
    ])  # fmt: skip
    recipe = ParserRecipe(Settings(), tuple(load_mappings()), Gazetteer({}))
    reading = Reading(Conditions(Ruleset(()), Settings(), recipe, (0,)).sealed(), {})
    messages = [message for batch in reading(iter([rows])) for message in of_batch(batch)]
    events = [message for message in messages if message.kind == Kind.EVENTS]
    places = {(message.feed, message.place) for message in events}
    assert len(events) > 1
    assert len(places) == 1
    assert [row for message in events for row in message.table()["row"].to_pylist()] == [
        0,
        0,
        0,
        1,
        1,
        1,
        2,
        3,
        3,
        3,
        4,
        4,
    ]
