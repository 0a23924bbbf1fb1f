"""The third stage: the step over one shard of the keys, its state that counts in Spark's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from citywatch.engine.alerts import Changes, joined
from citywatch.engine.deltas import Delta, Exporting, Head, Told, restore
from citywatch.engine.spark.alert_log import AlertLog
from citywatch.engine.spark.beginning import Blind, begin
from citywatch.engine.spark.clock import PLACE, Clock
from citywatch.engine.spark.conditions import Conditions
from citywatch.engine.spark.kept import Kept
from citywatch.engine.spark.message import PASSED, Kind, Message, bundle, packed, unbundled
from citywatch.engine.state import State
from citywatch.event import batch_schema

ALERTS = -1
"""The slice of entries that tell alerts; those of the step's own slices count from 1."""


class Shard:
    """One shard, warm. `load` makes it of what Spark keeps."""

    def __init__(self, number: int, conditions: Conditions, kept: Kept) -> None:
        self._settings = conditions.settings
        self._clock = Clock(**kept.head["clock"]) if kept.head else Clock()
        self._seq, self._last = kept.head.get("seq", 0), kept.head.get("last", 0)
        self._entries: dict[int, list[int]] = {}
        self._alerts = AlertLog()
        self._con = duckdb.connect(config={"threads": 1})
        self._con.execute("SET TimeZone = 'UTC'")
        if kept.head:
            self._restore(kept)
        self._exporting = Exporting(State(self._con))
        begun = begin(self._con, conditions, number, self._clock.now if kept.head else None, self._seq)
        self._step, self._began, self._seq = begun.step, begun.alerts, begun.seq
        self._exporting.follow(self._step.state)
        self._alerts.keep(id_ for (id_,) in self._con.execute("SELECT id FROM open_alert").fetchall())
        self._blind = Blind(conditions.ruleset, {**kept.head.get("blind", {}), **begun.blind})
        self._silent = self._blind.marked(begun.facts, self._clock.now)

    @property
    def clock(self) -> int:
        """µs."""
        return self._clock.now

    def _restore(self, kept: Kept) -> None:
        slices: dict[int, list[tuple[pa.Table, pa.Table]]] = {}
        told = []
        for slice_, number, content in kept.entries():
            tables = unbundled(content)
            if slice_ == ALERTS:
                told.append(Told(tables["alerts"], tables["evidence"]))
                self._alerts.note(number, *_ids(told[-1]))
            else:
                slices.setdefault(slice_, []).append((tables["base"], tables["kept"]))
                self._entries.setdefault(slice_, []).append(number)
        head = kept.head["step"]
        head["slices"] = [(n, opened) for n, opened in head["slices"]]
        restore(self._con, Head(**head), slices, told)

    def advance(self, messages: Sequence[Message], kept: Kept) -> Iterator[Message]:
        """Take a batch in; what follows from it is written into Spark's state, and said."""
        events = self._intake(messages)
        self._con.begin()
        facts = self._blind.marked(self._step.advance(events, self._clock.now), self._clock.now)
        self._con.commit()
        self._alerts.forget(self._step.changes.gone)
        self._write(self._exporting.delta(self._changes()), kept)
        facts, self._silent = joined([self._silent, facts]), facts.slice(0, 0)
        yield from (m for m in messages if m.kind in PASSED)
        slot = messages[0].slot
        if len(facts):
            yield Message(slot, Kind.FACTS, rows=packed(facts))

    def _changes(self) -> Changes:
        """The alerts that the batch has changed, with those that new rules have found in the past."""
        changed, evidence, gone = self._step.changes
        began, self._began = dict.fromkeys(self._began), []
        return Changes([*(began | dict.fromkeys(changed))], [*(began | dict.fromkeys(evidence))], gone)

    def head(self) -> dict[str, Any]:
        """What is small of the state, to be kept with this batch."""
        own = {"seq": self._seq, "last": self._last, "clock": asdict(self._clock), "blind": self._blind.since}
        return {**own, "step": asdict(self._exporting.head())}

    def _intake(self, messages: Sequence[Message]) -> pa.Table:
        """The events of a batch in the order of the input, numbered; the clock moves."""
        feeds = {m.feed for m in messages if m.kind == Kind.READ}
        ticks = [int(m.place) for m in messages if m.kind == Kind.TICK]
        receipts = _joined([m.table() for m in messages if m.kind == Kind.CLOCK], _receipts_schema())
        late = self._clock.advance(feeds, receipts, max(ticks, default=None), self._settings.disorder)
        events = _joined([m.table() for m in messages if m.kind == Kind.EVENTS], _placed_schema())
        events = events.sort_by([(name, "ascending") for name in PLACE])
        seq = np.arange(self._seq + 1, self._seq + 1 + len(events))
        self._seq += len(events)
        events = _set(events, "backfill", _among(events, late))
        return _set(events, "seq", pa.array(seq)).select(batch_schema().names)

    def _write(self, delta: Delta, kept: Kept) -> None:
        for slice_, (base, events) in delta.slices.items():
            number = self._put(kept, slice_, bundle({"base": base, "kept": events}))
            self._entries.setdefault(slice_, []).append(number)
        present = {n for n, _ in self._step.state.slices()}
        for slice_ in [n for n in self._entries if n not in present]:
            for number in self._entries.pop(slice_):
                kept.remove(slice_, number)
        self._write_alerts(delta.told, kept)

    def _write_alerts(self, told: Told, kept: Kept) -> None:
        """Tell the alerts that have changed, and with them some of those that stand in old entries."""
        if len(told):
            changed, evidence = _ids(told)
            alerts, texts = self._alerts.again(len(changed) + len(evidence))
            told = self._exporting.told({*changed, *alerts}, {*evidence, *texts})
            number = self._put(kept, ALERTS, bundle({"alerts": told.alerts, "evidence": told.evidence}))
            self._alerts.note(number, *_ids(told))
        for number in self._alerts.stale():
            kept.remove(ALERTS, number)

    def _put(self, kept: Kept, slice_: int, content: bytes) -> int:
        self._last += 1
        kept.put(slice_, self._last, content)
        return int(self._last)


def _ids(told: Told) -> tuple[list[str], list[str]]:
    return [str(i) for i in told.alerts["id"].to_pylist()], [str(i) for i in told.evidence["id"].to_pylist()]


def _receipts_schema() -> pa.Schema:
    columns: dict[str, pa.DataType] = {"feed": pa.string(), "place": pa.string(), "row": pa.int32()}
    return pa.schema({**columns, "received": pa.int64()})


def _placed_schema() -> pa.Schema:
    places = [pa.field("row", pa.int32()), pa.field("feed", pa.string()), pa.field("place", pa.string())]
    return pa.schema([*batch_schema(), *places])


def _joined(tables: Sequence[pa.Table], schema: pa.Schema) -> pa.Table:
    return pa.concat_tables([schema.empty_table(), *(table.cast(schema) for table in tables)])


def _among(events: pa.Table, places: pa.Table) -> Any:
    """Whether each event stands in one of the places."""
    if not len(places):
        return pa.array(np.zeros(len(events), np.bool_))
    wanted = set(zip(*(places[name].to_pylist() for name in PLACE), strict=True))
    found = [place in wanted for place in zip(*(events[name].to_pylist() for name in PLACE), strict=True)]
    return pa.array(found, pa.bool_())


def _set(events: pa.Table, name: str, values: Any) -> pa.Table:
    at = events.schema.get_field_index(name)
    return events.set_column(at, events.schema.field(at), values)
