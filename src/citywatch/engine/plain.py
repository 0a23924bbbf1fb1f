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
from citywatch.engine.alerts import alert_id
from citywatch.engine.state import EVENT_TEXT
from citywatch.engine.words import EVENT_WORDS
from citywatch.rules.model import Rule

_FACTS = f"""
SELECT
    sha256(concat('["', r.rule_id, '","', r.rule_version, '",', CAST(json_array(source, id) AS VARCHAR), ',0]')) AS id,
    r.rule, r.rule_id, r.rule_version, r.title, r.level, r.status,
    CAST(json_object('source', source, 'id', id) AS VARCHAR) AS "group",
    time AS first_seen, time AS last_seen, CAST(1 AS BIGINT) AS count, late, lat, lon, address,
    {EVENT_WORDS} AS reason, '{{}}' AS "values", '[' || {EVENT_TEXT} || ']' AS evidence,
    false AS inconclusive, r.silent
FROM (SELECT m.rule_at, b.*, epoch_us(b.time) AS t FROM matched m JOIN batch b ON b.seq = m.ref) e
JOIN matched_rules r USING (rule_at)
"""


def single_facts(
    con: duckdb.DuckDBPyConnection, rules: Sequence[Rule], matched: Mapping[int, pa.ChunkedArray[Any]], *, silent: bool
) -> pa.Table:
    """Facts of the events (refs) that each plain rule (by its place in `rules`) holds for; reads the view `batch`."""
    places = list(matched)
    chosen = [rules[i] for i in places]
    con.register(
        "matched_rules",
        pa.table(
            {
                "rule_at": pa.array(places, pa.int32()),
                "rule": [r.name for r in chosen],
                "rule_id": [r.id for r in chosen],
                "rule_version": [r.version for r in chosen],
                "title": [r.title for r in chosen],
                "level": [r.level.value for r in chosen],
                "status": [r.status.value for r in chosen],
                "silent": [silent] * len(chosen),
            }
        ),
    )
    con.register(
        "matched",
        pa.table(
            {
                "rule_at": np.repeat(np.array(places, np.int32), [len(matched[i]) for i in places]),
                "ref": np.concatenate([matched[i].to_numpy() for i in places]),
            }
        ),
    )
    facts = con.sql(_FACTS).to_arrow_table().select(facts_schema().names).cast(facts_schema())
    return _with_ids_of_control_characters(facts)


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
