"""Plain rules without suppression: every event they hold for is an alert of its own, made in columns."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from citywatch.alert import facts_schema
from citywatch.engine.incoming import Events
from citywatch.engine.open_alerts import alert_id
from citywatch.engine.planned import Planned
from citywatch.engine.state import EVENT_TEXT
from citywatch.engine.words import EVENT_WORDS
from citywatch.event import batch_schema
from citywatch.rules.model import Rule

_FACTS = f"""
SELECT
    sha256(concat('["', r.rule_id, '","', r.rule_version, '",', CAST(json_array(source, id) AS VARCHAR), ',0]')) AS id,
    r.rule, r.rule_id, r.rule_version, r.title, r.level, r.status,
    CAST(json_object('source', source, 'id', id) AS VARCHAR) AS "group",
    time AS first_seen, time AS last_seen, CAST(1 AS BIGINT) AS count, late, lat, lon, address,
    {EVENT_WORDS} AS reason, '{{}}' AS "values", '[' || {EVENT_TEXT} || ']' AS evidence,
    false AS inconclusive, r.silent
FROM (SELECT *, epoch_us(time) AS t FROM single_rows) JOIN single_rules r USING (rule_at)
"""


class Single:
    """Facts of the events that rules hold for, by the place of each rule in `rules`."""

    def __init__(self, con: duckdb.DuckDBPyConnection, rules: Sequence[Rule], *, silent: bool) -> None:
        con.register("single_rules", _as_table(rules, silent=silent))
        schema = batch_schema().append(pa.field("rule_at", pa.int32()))
        self._facts = Planned(con, "single", schema, _FACTS)

    def facts(self, matched: Mapping[int, pa.ChunkedArray[Any]], events: Events) -> pa.Table:
        """From the refs of the events that each rule holds for, by its place."""
        places = np.repeat(np.array(list(matched), np.int32), [len(refs) for refs in matched.values()])
        rows = events(np.concatenate([refs.to_numpy() for refs in matched.values()]))
        facts = self._facts.ask(rows.append_column("rule_at", pa.array(places)))
        return _with_ids_of_control_characters(facts.select(facts_schema().names).cast(facts_schema()))


def _as_table(rules: Sequence[Rule], *, silent: bool) -> pa.Table:
    texts = {
        "rule": [r.name for r in rules],
        "rule_id": [r.id for r in rules],
        "rule_version": [r.version for r in rules],
        "title": [r.title for r in rules],
        "level": [r.level.value for r in rules],
        "status": [r.status.value for r in rules],
    }
    places, quiet = pa.array(np.arange(len(rules), dtype=np.int32)), pa.array([silent] * len(rules), pa.bool_())
    return pa.table({"rule_at": places, **{n: pa.array(v, pa.string()) for n, v in texts.items()}, "silent": quiet})


def _with_ids_of_control_characters(facts: pa.Table) -> pa.Table:
    r"""DuckDB writes \u001F where the id is defined over \u001f: compute those few again."""
    odd = pc.match_substring(facts["group"], "\\u")
    if not pc.any(odd).as_py():
        return facts
    ids = facts["id"].to_pylist()
    for row in np.flatnonzero(odd.to_numpy()).tolist():
        key = list(json.loads(facts["group"][row].as_py()).values())
        ids[row] = alert_id(facts["rule_id"][row].as_py(), facts["rule_version"][row].as_py(), key, 0)
    return facts.set_column(0, "id", pa.array(ids, pa.string()))
