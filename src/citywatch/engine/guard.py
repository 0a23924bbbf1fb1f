"""The alert that says that a key grew too large to be evaluated."""

from __future__ import annotations

import json
from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from citywatch.alert import Level, facts_schema
from citywatch.engine.alerts import alert_id
from citywatch.engine.runs import END, Keys, last_before
from citywatch.engine.state import State
from citywatch.engine.streams import Stream
from citywatch.rules.model import Rule, Status
from citywatch.settings import DAY

_RULE_ID = "5d0b8a52-52b4-4e0e-9c39-0a1f6f1f7c10"
_VERSION = "1"


def overflow_facts(state: State, stream: Stream, keys: Keys, rules: Iterable[Rule], *, silent: bool) -> pa.Table:
    """One alert a day for each rule and key that is not evaluated any more (rule `key_overflow`)."""
    newest = last_before(stream.runs, keys, np.full(len(keys), END), "right", column=lambda run: run.t)
    refs = last_before(stream.runs, keys, np.full(len(keys), END), "right", column=lambda run: run.ref)
    asked = pa.table({"stream": np.full(len(keys), stream.number, np.int32), "ref": refs, "k": keys})
    texts = state.keys(asked)
    rows = []
    for rule in rules:
        for k, t, ref in zip(keys.tolist(), newest.tolist(), refs.tolist(), strict=True):
            key = texts[stream.number, ref, k]
            rows.append(_fact(rule, key, t, silent))
    return pa.Table.from_pylist(rows, schema=facts_schema())


def _fact(rule: Rule, key: str, t: int, silent: bool) -> dict[str, object]:
    return {
        "id": alert_id(_RULE_ID, _VERSION, [rule.name, key], t // DAY),
        "rule": "key_overflow",
        "rule_id": _RULE_ID,
        "rule_version": _VERSION,
        "title": "A key has too many events to be evaluated",
        "level": Level.MEDIUM.value,
        "status": Status.STABLE.value,
        "group": json.dumps({"rule": rule.name, "key": key}, ensure_ascii=False, separators=(",", ":")),
        "first_seen": t,
        "last_seen": t,
        "count": 1,
        "late": False,
        "lat": None,
        "lon": None,
        "address": None,
        "reason": f"{key} has too many events: {rule.name} is not evaluated for it until they are fewer",
        "values": "{}",
        "evidence": "[]",
        "inconclusive": False,
        "silent": silent,
    }
