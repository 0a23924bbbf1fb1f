"""What a job on Spark does with rules that its checkpoint does not know, without Spark."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pyarrow as pa
import pytest

from citywatch.engine.spark.conditions import Conditions, Parse, Past
from citywatch.mappings.gazetteer import Gazetteer
from citywatch.mappings.recipe import ParserRecipe
from citywatch.records.chunk import Chunk, Format, Origin, records_schema
from citywatch.stores.sorter import ordered
from tests.cluster.spark.edits import (
    ASKED,
    CHANGED,
    EDITED,
    ENDS,
    HALF,
    ITEMS,
    RULES,
    SPANS,
    after_the_edit,
    expected,
    fact,
    open_since,
)
from tests.conformance.cases import Case, when
from tests.conformance.loading import load, settings_of
from tests.conformance.spark_stages import Job
from tests.oracle import duration

BATCHES = 2


class Remembered:
    """A past of the first items."""

    def __init__(self, items: int = HALF) -> None:
        self._items = items

    def events(self, parse: Parse, since: int, disorder: int) -> tuple[bool, Iterator[pa.Table]]:  # noqa: ARG002 - none was backfill
        raw = [json.dumps(item).encode() for item in ITEMS[: self._items]]
        records = pa.table([pa.array(range(self._items), pa.int64()), raw], schema=records_schema())
        events = parse(Chunk(Origin("t", CHANGED), Format.JSON, records)).events
        idents = events["source"].to_pylist(), events["id"].to_pylist()
        first = {ident: row for row, ident in reversed(list(enumerate(zip(*idents, strict=True))))}
        new = events.take(sorted(first.values()))
        judged = new.filter(pa.array(new["received_at"].cast(pa.int64()).to_numpy() >= since))
        return True, iter([ordered(judged, ["received_at", "time", "source", "id"])])


@pytest.fixture(scope="module")
def conditions(tmp_path_factory: pytest.TempPathFactory) -> tuple[Conditions, Conditions]:
    """Of the older and of the newer rules, for two shards."""
    directory = tmp_path_factory.mktemp("rules")
    old, new = (Case(tuple(rules), tuple(ITEMS)) for rules in (RULES, EDITED))
    rulesets = [load(case, directory / name) for case, name in ((old, "old"), (new, "new"))]
    settings = settings_of(old)
    made = [Conditions(r, settings, ParserRecipe(settings, (), Gazetteer(r.zones)), (0, 1)) for r in rulesets]
    return made[0], made[1]


@pytest.fixture(scope="module")
def unaware(conditions: tuple[Conditions, Conditions]) -> Job:
    """A job that can read nothing of the past."""
    return run(conditions, None)


def run(conditions: Sequence[Conditions], past: Past | None) -> Job:
    """The first half with the older rules, the second half with the newer ones."""
    job = Job(conditions[0])
    for number in range(2 * BATCHES):
        if number == BATCHES:
            job.begin(replace(conditions[1], past=past))
        start, end = (HALF * n // BATCHES for n in (number, number + 1))
        job.advance(ITEMS[start:end], start)
    job.advance(ENDS, 2 * HALF)
    return job


def test_rules_that_were_not_edited_lose_nothing(unaware: Job) -> None:
    found = {fact(alert) for alert in unaware.said.values()}
    kept = {f for f in expected() if f[0] not in ASKED}
    assert len({f[0] for f in kept}) >= 2
    assert {f for f in found if f[0] not in ASKED} == kept


def test_edited_rules_read_the_past_in_silence_and_then_say_what_they_would_have_said_all_along(
    conditions: tuple[Conditions, Conditions],
) -> None:
    job = run(conditions, Remembered())
    facts = {id_: fact(alert) for id_, alert in job.said.items()}
    wanted = after_the_edit(expected())
    assert len({f[0] for f in wanted}) >= 6
    assert after_the_edit(facts.values()) == wanted
    past = {facts[id_] for id_ in job.quiet}
    assert len(past & expected()) > 20
    assert all(f[2] <= CHANGED for f in past)


def test_rules_that_are_taken_back_read_what_they_missed(conditions: tuple[Conditions, Conditions]) -> None:
    older, newer = conditions
    job = Job(older)
    parts = [(newer, HALF * 3 // 4), (older, HALF), (older, 2 * HALF)]
    job.advance(ITEMS[: HALF // 2], 0)
    done = HALF // 2
    for rules, end in parts:
        job.begin(replace(rules, past=Remembered(done)))
        job.advance(ITEMS[done:end], done)
        done = end
    job.advance(ENDS, done)
    versions = {rule.version for rule in older.ruleset.rules}
    facts = {fact(alert) for alert in job.said.values() if alert.rule_version in versions}
    wanted = open_since(expected(edited=False), HALF * 3 // 4)
    assert open_since(facts, HALF * 3 // 4) == wanted
    assert len({f[0] for f in wanted}) >= 6


def test_where_no_past_can_be_read_what_an_unknown_event_could_take_away_is_told_in_silence(
    unaware: Job, conditions: tuple[Conditions, Conditions]
) -> None:
    new = {rule.version for rule in conditions[1].ruleset.rules} - {r.version for r in conditions[0].ruleset.rules}
    told = {id_: fact(alert) for id_, alert in unaware.said.items() if alert.rule_version in new}
    loud = {f[:3] for id_, f in told.items() if id_ not in unaware.quiet and f[0] in SPANS}
    doubtful = {"few", "spike", "new_terms", "absence"}
    assert {f[0] for f in loud} > {"few", "new_terms", "absence"}
    assert {f for f in loud if f[0] in doubtful} <= {f[:3] for f in expected()}
    assert {told[id_][0] for id_ in unaware.quiet} <= doubtful
    assert {told[id_][:3] for id_ in unaware.quiet} - {f[:3] for f in expected()}, "nothing was wrong to begin with"


def test_a_shard_without_events_hears_of_backfill_in_another_and_goes_on(
    conditions: tuple[Conditions, Conditions],
) -> None:
    job = Job(conditions[0])
    head = {"specversion": "1.0", "source": "c", "type": "anpr.read"}
    received = [(when(CHANGED), {"label": "a"}), (when(CHANGED - duration("10m")), {})]
    for number, (at, data) in enumerate(received):
        job.advance([{**head, "id": str(number), "time": at, "receivedat": at, "data": data}], number)
    assert job.counts["events"] == 2
    assert [alert.evidence for alert in job.said.values() if alert.rule == "hit"] == [(("c", "0"),)]
