"""One thing to run on every engine: rules, records in reading order, and how the reading is cut into batches."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import yaml

from tests.oracle import Alert, Counts, Settings, duration, evaluate, identity, instant

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Document = dict[str, Any]
Item = Mapping[str, Any]
"""A CloudEvents record, or `{"tick": µs}`."""


class After(StrEnum):
    """What happens where a batch ends."""

    GO_ON = "go on"
    RESTART = "restart"
    """The engine is thrown away and starts again from what it has stored."""
    REOPEN = "reopen"
    """The same, and its files are closed and opened again."""
    FAIL = "fail"
    """The batch is computed and thrown away before its commit; the engine starts again and repeats it."""


@dataclass(frozen=True)
class Case:
    """`cuts`: number of items read -> what happens after a batch that ends there. The end always ends a batch."""

    rules: tuple[Document, ...]
    items: tuple[Item, ...]
    settings: Settings = field(default_factory=Settings)
    clock: int | None = None
    cuts: Mapping[int, After] = field(default_factory=dict)
    shards: int = 1

    def batches(self) -> list[tuple[Sequence[Item], After]]:
        """Items of each batch and what happens after it."""
        ends = sorted({at for at in self.cuts if 0 < at < len(self.items)} | {len(self.items)})
        return [
            (self.items[start:end], self.cuts.get(end, After.GO_ON))
            for start, end in zip([0, *ends], ends, strict=False)
        ]


@dataclass(frozen=True)
class Said:
    """One alert as an engine says it: the facts of the contract, its id and the rule version."""

    id: str
    rule: str
    rule_id: str
    rule_version: str
    group: tuple[tuple[str, Any], ...]
    first_seen: int
    last_seen: int
    count: int
    late: bool
    lat: float | None
    lon: float | None
    address: str | None
    evidence: tuple[tuple[str, str], ...]

    @classmethod
    def of_json(cls, alert: Mapping[str, Any]) -> Said:
        """From section 3 of the contract; `group` and `evidence` may still be texts."""
        group, evidence = (json.loads(v) if isinstance(v, str) else v for v in (alert["group"], alert["evidence"]))
        return cls(
            id=alert["id"],
            rule=alert["rule"],
            rule_id=alert["rule_id"],
            rule_version=alert["rule_version"],
            group=tuple(group.items()),
            first_seen=_micros(alert["first_seen"]),
            last_seen=_micros(alert["last_seen"]),
            count=alert["count"],
            late=alert["late"],
            lat=alert["lat"],
            lon=alert["lon"],
            address=alert["address"],
            evidence=tuple((event["source"], event["id"]) for event in evidence),
        )


@dataclass(frozen=True)
class Heard:
    """What an engine made of a case: the alerts in the end, and its counts where it keeps them."""

    alerts: Sequence[Said]
    counts: Mapping[str, int] | None = None


def _micros(value: Any) -> int:
    return instant(value) if isinstance(value, str) else (value - EPOCH) // timedelta(microseconds=1)


def differences(case: Case, heard: Heard) -> list[str]:
    """Sentences on what the engine said otherwise than the contract; empty when nothing."""
    expected = evaluate(case.rules, case.items, case.settings, case.clock)
    said = {(alert, _bucket(case, alert)): alert for alert in heard.alerts}
    facts = {_as_fact(alert, bucket) for alert, bucket in said}
    found = [f"missing:    {show(alert)}" for alert in sorted(expected.alerts - facts, key=_by_key)]
    found += [f"unexpected: {show(alert)}" for alert in sorted(facts - expected.alerts, key=_by_key)]
    if len(facts) != len(heard.alerts):
        found.append(f"{len(heard.alerts)} alerts for {len(facts)} sets of rule, key and bucket")
    found += [
        f"id of {alert.rule} {dict(alert.group)} is not that of [rule id, version, key, bucket {bucket}]"
        for alert, bucket in said
        if alert.id != identity(alert.rule_id, alert.rule_version, (value for _, value in alert.group), bucket)
    ]
    return found + _wrong_counts(expected.counts, heard.counts or {})


def _wrong_counts(expected: Counts, counts: Mapping[str, int]) -> list[str]:
    return [
        f"{name}: {count}, expected {getattr(expected, name)}"
        for name, count in counts.items()
        if count != getattr(expected, name)
    ]


def _bucket(case: Case, alert: Said) -> int:
    rule = next(rule for rule in case.rules if rule["name"] == alert.rule)
    text = rule.get("suppression", {}).get("duration", rule.get("correlation", {}).get("timespan"))
    return alert.first_seen // duration(text) if text else 0


def _as_fact(alert: Said, bucket: int) -> Alert:
    names = Alert.__dataclass_fields__
    return Alert(**{name: getattr(alert, name) for name in names if name != "bucket"}, bucket=bucket)


def _by_key(alert: Alert) -> tuple[str, str, int]:
    return (alert.rule, str(alert.group), alert.bucket)


def show(alert: Alert) -> str:
    """An alert in one line, times as after the case's base."""
    times = " .. ".join(when(t) for t in dict.fromkeys((alert.first_seen, alert.last_seen)))
    evidence = " ".join("/".join(event) for event in alert.evidence)
    late = " late" if alert.late else ""
    return f"{alert.rule} {dict(alert.group)} {times} x{alert.count}{late} [{evidence}] at {alert.lat}, {alert.lon}"


def when(micros: int) -> str:
    """RFC 3339 with six decimals."""
    return (EPOCH + timedelta(microseconds=micros)).isoformat(timespec="microseconds").replace("+00:00", "Z")


def rule_file(rules: Sequence[Document]) -> str:
    """All rules as one YAML file."""
    return yaml.safe_dump_all(rules, sort_keys=False, allow_unicode=True)


def settings_file(settings: Settings) -> str:
    """The settings as `citywatch.toml`."""
    limits = {"lateness": settings.lateness, "disorder": settings.disorder, "stale": settings.stale}
    return "".join(f'{name} = "{value // 1_000_000}s"\n' for name, value in limits.items())


def ndjson(items: Sequence[Item]) -> str:
    """The records among the items, one a line."""
    return "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in items if "tick" not in item)
