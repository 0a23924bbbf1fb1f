"""How a shard goes on with rules that are new to its checkpoint: they read the past of the topics in silence.

Where nothing of the past can be read, what they say of it is marked: inconclusive, and nobody is notified.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

import duckdb
import numpy as np
import pyarrow as pa

from citywatch.alert import facts_schema
from citywatch.engine.registry import stream_specs
from citywatch.engine.spark.conditions import Conditions, Past
from citywatch.engine.step import Step, reach
from citywatch.event import batch_schema
from citywatch.rules.model import Correlation, CorrelationType, Rule, Ruleset

_COUNTS = (CorrelationType.EVENT_COUNT, CorrelationType.VALUE_COUNT)
_GROWING = ("gte", "gt")


@dataclass(frozen=True, slots=True)
class Begun:
    """A step, and what its new rules have found in the past: facts, ids of the alerts in the state.

    `blind`: versions of rules of which a past is not known, and since when (µs) it is; `seq`: the last number given.
    """

    step: Step
    seq: int
    facts: pa.Table = field(default_factory=facts_schema().empty_table)
    alerts: list[str] = field(default_factory=list)
    blind: Mapping[str, int] = field(default_factory=dict)


def begin(con: duckdb.DuckDBPyConnection, conditions: Conditions, number: int, clock: int | None, seq: int) -> Begun:
    """Make the step of a shard over what was restored into `con`; `clock` (µs) is None where there was nothing."""
    shard = (number, conditions.shards)
    step = Step(con, conditions.ruleset, conditions.settings, shard=shard)
    if clock is None or not step.unseen:
        return Begun(step, seq)
    new = [rule for rule in conditions.ruleset.rules if rule.name in step.unseen]
    blind = {rule.version: clock for rule in new if _looks_back(rule) and _asks(rule, step.unknown)}
    if conditions.past is None:
        return Begun(step, seq, blind=blind)
    since = clock - reach(conditions.ruleset, step.unseen, conditions.settings)
    past = _Read(con, conditions, conditions.past, since)
    con.begin()
    history = past.until(clock, seq)
    facts = step.catch_up(history, since)
    con.commit()
    names = pa.table({"rule": [rule.name for rule in new], "version": [rule.version for rule in new]})
    con.register("begun", names)
    found = con.execute("SELECT id FROM open_alert SEMI JOIN begun USING (rule, version)").fetchall()
    step = Step(con, conditions.ruleset, conditions.settings, shard=shard)
    return Begun(step, past.seq, facts, [id_ for (id_,) in found], {} if past.complete else blind)


class _Read:
    """What the past still has; an event that the state has keeps its number."""

    def __init__(self, con: duckdb.DuckDBPyConnection, conditions: Conditions, past: Past, since: int) -> None:
        parse, disorder = conditions.make_parser(), conditions.settings.disorder
        self.complete, self._events = past.events(parse, since, disorder)
        self._kept = con.sql("SELECT DISTINCT ON (source, id) source, id, ref FROM kept").to_arrow_table()

    def until(self, clock: int, seq: int) -> Iterator[tuple[pa.Table, int]]:
        """(events, clock), for `Step.catch_up`; new numbers come after `seq`, and `self.seq` is the last in the end."""
        self.seq = seq
        for events in self._events:
            if len(events):
                latest = int(events["received_at"].cast(pa.int64()).to_numpy().max())
                yield self._numbered(events), min(latest, clock)
        yield batch_schema().empty_table(), clock

    def _numbered(self, events: pa.Table) -> pa.Table:
        asked = events.select(["source", "id"]).append_column("row", pa.array(np.arange(len(events))))
        known = asked.join(self._kept, ["source", "id"], join_type="inner")
        seq = np.arange(self.seq + 1, self.seq + 1 + len(events))
        self.seq += len(events)
        seq[known["row"].to_numpy()] = known["ref"].to_numpy()
        order = np.argsort(seq)
        at = events.schema.get_field_index("seq")
        return events.set_column(at, events.schema.field(at), pa.array(seq)).select(batch_schema().names).take(order)


class Blind:
    """Rules that do not know what came before a moment (µs), by their versions."""

    def __init__(self, ruleset: Ruleset, since: Mapping[str, int]) -> None:
        self._rules = {rule.version: rule for rule in ruleset.rules if rule.version in since}
        self.since = {version: at for version, at in since.items() if version in self._rules}

    def marked(self, facts: pa.Table, clock: int) -> pa.Table:
        """Facts whose first match rests on what is not known are inconclusive and silent."""
        if not self.since:
            return facts
        first = facts["first_seen"].cast(pa.int64()).to_numpy()
        blind = np.zeros(len(facts), np.bool_)
        for row, version in enumerate(facts["rule_version"].to_pylist()):
            if version in self.since:
                blind[row] = first[row] - _window(self._rules[version].correlated) < self.since[version]
        for name in ("inconclusive", "silent"):
            at = facts.schema.get_field_index(name)
            either = np.asarray(facts[name]).astype(np.bool_) | blind
            facts = facts.set_column(at, facts.schema.field(at), pa.array(either))
        self.since = {version: at for version, at in self.since.items() if clock <= at + self._lasts(version)}
        return facts

    def _lasts(self, version: str) -> int:
        rule = self._rules[version]
        return 2 * (_window(rule.correlated) + rule.suppression)


def _window(correlation: Correlation) -> int:
    return 2 * correlation.timespan + correlation.max_gap


def _asks(rule: Rule, streams: Collection[str]) -> bool:
    """Whether one of these is a stream of the rule."""
    return any(spec.fingerprint in streams for spec in stream_specs(rule))


def _looks_back(rule: Rule) -> bool:
    """Whether an event that is not known could take a match away."""
    correlation = rule.correlation
    if correlation is None:
        return False
    if correlation.type in _COUNTS:
        return any(operator not in _GROWING for operator, _ in correlation.condition)
    return correlation.type in (CorrelationType.SPIKE, CorrelationType.NEW_TERMS, CorrelationType.ABSENCE)
