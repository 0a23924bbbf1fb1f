"""Alerts of the engine about itself: a key that grew too large, a time in which nothing was heard, a backlog."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from citywatch.alert import Level, facts_schema
from citywatch.engine.alerts import AlertBook
from citywatch.engine.open_alerts import alert_id
from citywatch.engine.outages import Outage
from citywatch.engine.runs import END, Keys, last_before
from citywatch.engine.state import State
from citywatch.engine.streams import Stream
from citywatch.rules.model import Rule, Status
from citywatch.settings import DAY

_OVERFLOW = ("key_overflow", "5d0b8a52-52b4-4e0e-9c39-0a1f6f1f7c10", "A key has too many events to be evaluated")
_BLIND = ("blind", "0f7c9a1e-3c55-4b0e-8a57-5d2b8c6e4a21", "For a time nothing was heard")
_STALLED = ("engine_stalled", "c0f6a2f4-8a55-4f0e-9a4e-1d9c1f2b7e60", "citywatch itself stands still")
_BEHIND = ("source_lag", "8b1f4c63-0d0e-4f5b-9f0a-6a7e2d9c5b34", "Alerts come late: more is sent than is read")
_VERSION = "1"

OWN = (_OVERFLOW[0], _BLIND[0], _STALLED[0], _BEHIND[0])
"""Names of the rules under which citywatch tells of itself."""


def overflow_facts(state: State, stream: Stream, keys: Keys, rules: Iterable[Rule], *, silent: bool) -> pa.Table:
    """One alert a day for each rule and key that is not evaluated any more (rule `key_overflow`)."""
    end = np.full(len(keys), END)
    newest = last_before(stream.runs, keys, end, "right", column=lambda run: run.t)
    refs = last_before(stream.runs, keys, end, "right", column=lambda run: run.ref)
    asked = pa.table({"stream": np.full(len(keys), stream.number, np.int32), "ref": refs, "k": keys})
    texts = state.keys(asked)
    rows = []
    for rule in rules:
        for k, t, ref in zip(keys.tolist(), newest.tolist(), refs.tolist(), strict=True):
            key = texts[stream.number, ref, k]
            words = f"{key} has too many events: {rule.name} is not evaluated for it until they are fewer"
            fact = _fact(_OVERFLOW, {"rule": rule.name, "key": key}, (t, t), t // DAY, words)
            rows.append(fact | {"values": _named(stream, key), "silent": silent})
    return pa.Table.from_pylist(rows, schema=facts_schema())


def _named(stream: Stream, key: str) -> str:
    """The values of a key by the fields that have them: who may not see a plate is not told it by the key either."""
    names = (name for atom in stream.spec.atoms for name in atom.group_by)
    values = json.loads(key) * len(stream.spec.atoms)
    return json.dumps(dict(zip(names, values, strict=True)), ensure_ascii=False, separators=(",", ":"))


def blind_facts(book: AlertBook) -> pa.Table:
    """For each outage that new alerts overlap, one alert in place of all of them (rule `blind`).

    What waited for silence and overlaps an outage is inconclusive: it is stored, and only this says so to people.
    """
    rows = []
    for outage, n in book.blinded().items():
        end = outage.since if outage.until is None else outage.until
        words = f"{_blindness(outage)}: {n} alerts that waited for silence cannot be trusted"
        rows.append(_fact(_BLIND, _blind_group(outage), (outage.since, end), 0, words) | {"count": n})
    return pa.Table.from_pylist(rows, schema=facts_schema())


def _blindness(outage: Outage) -> str:
    span = f"since {_clock(outage.since)}"
    if outage.until is not None:
        span = f"from {_clock(outage.since)} to {_clock(outage.until)}"
    return f"blind {span}" if outage.source is None else f"nothing heard from {outage.source} {span}"


def _blind_group(outage: Outage) -> dict[str, str]:
    """What the alert is known by; one about a live source is the same while its silence lasts and when it has ended."""
    if outage.source is not None:
        return {"source": outage.source, "from": _clock(outage.since)}
    return {"from": _clock(outage.since), "until": _clock(outage.until or outage.since)}


def stalled_facts(clock: int, now: int, why: str) -> pa.Table:
    """The alert that the engine's clock has stood at `clock` (rule `engine_stalled`): said by those who watch it."""
    fact = _fact(_STALLED, {"since": _clock(clock)}, (now, now), 0, why) | {"level": Level.HIGH.value}
    return pa.Table.from_pylist([fact], schema=facts_schema())


class Backlog(NamedTuple):
    """Records of a log that wait, since when it is behind, and the engine's clock; times in µs UTC."""

    source: str
    since: int
    records: int
    clock: int


def lag_facts(backlog: Backlog, now: int) -> pa.Table:
    """The alert that a log is behind (rule `source_lag`), one each time that it falls behind."""
    late = (now - backlog.clock) // 1_000_000
    words = f"{backlog.records:,} records of {backlog.source} wait, and alerts come {late:,} s late"
    group = {"source": backlog.source, "since": _clock(backlog.since)}
    return pa.Table.from_pylist([_fact(_BEHIND, group, (now, now), 0, words)], schema=facts_schema())


def _clock(t: int) -> str:
    return datetime.fromtimestamp(t // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _fact(
    rule: tuple[str, str, str], group: Mapping[str, str], seen: tuple[int, int], bucket: int, words: str
) -> dict[str, object]:
    name, rule_id, title = rule
    return {
        "id": alert_id(rule_id, _VERSION, list(group.values()), bucket),
        "rule": name,
        "rule_id": rule_id,
        "rule_version": _VERSION,
        "title": title,
        "level": Level.MEDIUM.value,
        "status": Status.STABLE.value,
        "group": json.dumps(group, ensure_ascii=False, separators=(",", ":")),
        "first_seen": seen[0],
        "last_seen": seen[1],
        "count": 1,
        "late": False,
        "reason": words,
        "values": "{}",
        "evidence": "[]",
        "inconclusive": False,
        "silent": False,
    }
