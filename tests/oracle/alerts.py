"""Section 2 from the base events of a rule to its alerts: keys, suppression, evidence; and the alert's id."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.oracle.events import Counts, Event, Settings, duration, read
from tests.oracle.matches import ROWS, Match, Member, known_at_once
from tests.oracle.predicate import predicate

Document = Mapping[str, Any]
"""A rule file's document, as YAML gives it."""

EVIDENCE_LIMIT = 20


@dataclass(frozen=True)
class Alert:
    """One alert: all matches of one rule, key and bucket. `group` has the key's values under their names, in order."""

    rule: str
    rule_id: str
    group: tuple[tuple[str, Any], ...]
    bucket: int
    first_seen: int
    last_seen: int
    count: int
    late: bool
    lat: float | None
    lon: float | None
    address: str | None
    evidence: tuple[tuple[str, str], ...]
    """(source, id), in (time, source, id) order."""


@dataclass(frozen=True)
class Outcome:
    """What the contract says that must come out."""

    alerts: frozenset[Alert]
    counts: Counts


def evaluate(
    rules: Sequence[Document], items: Iterable[Mapping[str, Any]], settings: Settings, clock: int | None = None
) -> Outcome:
    """Alerts and counts of these records, read in this order; `clock`: where it stands in the end, if further."""
    intake = read(items, settings)
    clock = max((time for time in (clock, intake.clock) if time is not None), default=0)
    watermark = clock - settings.lateness - settings.disorder
    events = sorted((e for e in intake.events if not e.stale and not e.backfill), key=lambda e: e.order)
    alerts: set[Alert] = set()
    for rule in rules:
        if rule.get("status") == "deprecated" or _is_only_a_base(rule, rules):
            continue
        if "correlation" in rule:
            alerts |= correlation_alerts(rule, rules, events, settings, watermark)
        else:
            alerts |= plain_alerts(rule, events, settings)
    return Outcome(frozenset(alerts), intake.counts)


def identity(rule_id: str, version: str, key: Iterable[Any], bucket: int) -> str:
    """SHA-256 of the UTF-8 of the JSON array [rule id, version, [key values], bucket] without blanks."""
    text = json.dumps([rule_id, version, list(key), bucket], separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def satisfies(rule: Document, settings: Settings) -> Callable[[Event], bool]:
    """`logsource` and `where`."""
    holds = predicate(rule.get("where"), settings, rule.get("params"))
    return lambda event: of_logsource(rule, event) and holds(event)


def of_logsource(rule: Document, event: Event) -> bool:
    """An event type, a list of them, or none = all."""
    wanted = rule.get("logsource", {}).get("category")
    return wanted is None or event.type == wanted or (isinstance(wanted, list) and event.type in wanted)


def _is_only_a_base(rule: Document, rules: Sequence[Document]) -> bool:
    """Named by a correlation, and by none that generates."""
    naming = [r["correlation"] for r in rules if rule.get("name") in r.get("correlation", {}).get("rules", [])]
    return bool(naming) and not any(correlation.get("generate") for correlation in naming)


def plain_alerts(rule: Document, events: Sequence[Event], settings: Settings) -> set[Alert]:
    """Every event for which it holds is a match with time t; late ones too. The key may hold NULL."""
    suppression = rule.get("suppression", {})
    names = suppression.get("group-by", ["source", "id"])
    span = duration(suppression["duration"]) if "duration" in suppression else 0
    buckets: dict[Any, list[Match]] = defaultdict(list)
    for event in filter(satisfies(rule, settings), events):
        key = tuple(event.fields[name] for name in names)
        buckets[key, event.time // span if span else 0].append(Match(event.time, event))
    return {
        _alert(rule, tuple(zip(names, key, strict=True)), bucket, matches, [m.event for m in matches])
        for (key, bucket), matches in buckets.items()
    }


def correlation_alerts(
    rule: Document, rules: Sequence[Document], events: Sequence[Event], settings: Settings, watermark: int
) -> set[Alert]:
    """Late events take no part; what is only known when complete counts once the watermark is beyond it."""
    correlation = dict(rule["correlation"])
    timespan = duration(correlation["timespan"])
    span = duration(rule.get("suppression", {}).get("duration", correlation["timespan"]))
    names = correlation.get("group-by", [])
    buckets: dict[Any, list[Match]] = defaultdict(list)
    for key, members in grouped(rule, rules, [e for e in events if not e.late], settings).items():
        for match in ROWS[correlation["type"]](correlation, timespan, members):
            if known_at_once(correlation) or watermark > match.time:
                buckets[key, match.time // span].append(match)
    alerts = set()
    for (key, bucket), matches in buckets.items():
        first = min(matches, key=_match_order)
        others = [member.event for member in first.others if member.event is not first.event]
        evidence = [first.event, *sorted(others, key=lambda e: e.order)[: EVIDENCE_LIMIT - 1]]
        alerts.add(_alert(rule, tuple(zip(names, key, strict=True)), bucket, matches, evidence))
    return alerts


def grouped(
    rule: Document, rules: Sequence[Document], events: Sequence[Event], settings: Settings
) -> dict[Any, list[Member]]:
    """Base events by key, in (time, source, id) order; under each key an event once, with the rules it satisfies."""
    correlation = rule["correlation"]
    named = [next(r for r in rules if r.get("name") == name) for name in correlation.get("rules", [])]
    dwell = correlation["type"] == "dwell"
    roles: dict[Any, set[int]] = defaultdict(set)
    bases = [(base, satisfies(base, settings)) for base in named or [rule]]
    for event in events:
        for position, (base, holds) in enumerate(bases):
            is_true = holds(event)
            if is_true or (dwell and of_logsource(base, event)):
                key = _key(correlation, base, event)
                if None not in key:
                    roles[key, event.position].update([position] if is_true else [])
    by_position = {event.position: event for event in events}
    keys: dict[Any, list[Member]] = defaultdict(list)
    for (key, position), satisfied in roles.items():
        keys[key].append(Member(by_position[position], frozenset(satisfied)))
    return {key: sorted(members, key=lambda m: m.order) for key, members in keys.items()}


def _key(correlation: Document, base: Document, event: Event) -> tuple[Any, ...]:
    """`aliases: {alias: {rule: field}}` where names differ."""
    aliases = correlation.get("aliases", {})
    fields = [aliases[name][base["name"]] if name in aliases else name for name in correlation.get("group-by", [])]
    return tuple(event.fields[field] for field in fields)


def _match_order(match: Match) -> tuple[int, str, str]:
    """By match time, then source, id."""
    return (match.time, match.event.source, match.event.id)


def _alert(
    rule: Document, group: tuple[tuple[str, Any], ...], bucket: int, matches: Sequence[Match], evidence: Sequence[Event]
) -> Alert:
    first = min(matches, key=_match_order).event
    return Alert(
        rule=rule["name"],
        rule_id=rule["id"],
        group=group,
        bucket=bucket,
        first_seen=min(match.time for match in matches),
        last_seen=max(match.time for match in matches),
        count=len({match.event.position for match in matches}),
        late=all(match.event.late for match in matches),
        lat=first.fields["lat"],
        lon=first.fields["lon"],
        address=first.fields["address"],
        evidence=tuple((e.source, e.id) for e in sorted(evidence, key=lambda e: e.order)[:EVIDENCE_LIMIT]),
    )
