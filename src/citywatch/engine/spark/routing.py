"""Which shards an event goes to: once to each that has a key of it in a rule."""

from __future__ import annotations

from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from citywatch.engine.derive import Derivation, key_text
from citywatch.engine.registry import stream_specs
from citywatch.engine.runs import Ints, Keys, Mask
from citywatch.engine.spark.conditions import shard_of
from citywatch.rules.model import Ruleset, Status
from citywatch.settings import Settings

Shards = np.ndarray[tuple[int, int], np.dtype[np.bool_]]


class Routing:
    """For one rule set. The step evaluates again what is evaluated here; it alone says which alerts there are."""

    def __init__(self, ruleset: Ruleset, settings: Settings, shards: int) -> None:
        self._shards = shards
        self._con = duckdb.connect(config={"threads": 1})
        rules = [r for r in ruleset.rules if r.alerts and r.status is not Status.DEPRECATED]
        self._plain = [r for r in rules if r.selection is not None]
        specs = {s.fingerprint: s for r in rules if r.correlation is not None for s in stream_specs(r)}
        self._derivation = Derivation(self._con, ruleset, self._plain, list(specs.values()), zone=settings.zone)

    def __call__(self, events: pa.Table) -> Shards:
        """Whether each event (`event.batch_schema()`) goes to each shard; shape (events, shards)."""
        goes = np.zeros((len(events), self._shards), np.bool_)
        if self._shards == 1 or not len(events):
            return ~goes
        at = events.schema.get_field_index("seq")
        numbered = events.set_column(at, events.schema.field(at), pa.array(np.arange(len(events))))
        derived = self._derivation(numbered)
        single = np.zeros(len(events), np.bool_)
        for i, rows in derived.plain.items():
            if self._plain[i].suppression:
                _mark(goes, rows["ref"].to_numpy(), self._hashes(rows, "key"))
            else:
                single[rows["ref"].to_numpy()] = True
        self._mark_single(goes, numbered, single)
        for tables in derived.streams:
            for rows in tables:
                _mark(goes, rows["ref"].to_numpy(), rows["k"].to_numpy())
        return goes

    def _mark_single(self, goes: Shards, events: pa.Table, single: Mask) -> None:
        """Events for which a rule holds that says each by itself: the key is (source, id)."""
        if single.any():
            rows = events.select(["source", "id"]).filter(pa.array(single))
            _mark(goes, np.flatnonzero(single), self._hashes(rows, key_text(("source", "id"))))

    def _hashes(self, rows: pa.Table, key: str) -> Keys:
        self._con.register("routed", rows)
        hashes: Any = self._con.sql(f"SELECT hash({key}) AS h FROM routed").to_arrow_table()["h"].to_numpy()
        return hashes  # type: ignore[no-any-return] # of unsigned integers


def _mark(goes: Shards, refs: Ints, hashes: Keys) -> None:
    goes[refs, shard_of(hashes, goes.shape[1])] = True
