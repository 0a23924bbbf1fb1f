"""A loaded rule: what the engine evaluates. Plain data, made by `citywatch.rules.load`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from citywatch.alert import Level
from citywatch.errors import Place

if TYPE_CHECKING:
    import pyarrow as pa


class Status(StrEnum):
    """Sigma's status: how far a rule is trusted."""

    STABLE = "stable"
    TEST = "test"
    EXPERIMENTAL = "experimental"
    DEPRECATED = "deprecated"


class CorrelationType(StrEnum):
    """What a correlation looks for; section 2 of the contract gives each its exact meaning."""

    EVENT_COUNT = "event_count"
    VALUE_COUNT = "value_count"
    TEMPORAL = "temporal"
    TEMPORAL_ORDERED = "temporal_ordered"
    ABSENCE = "absence"
    FLATLINE = "flatline"
    SPIKE = "spike"
    NEW_TERMS = "new_terms"
    CHANGE = "change"
    DWELL = "dwell"
    IMPOSSIBLE_TRAVEL = "impossible_travel"


@dataclass(frozen=True, slots=True)
class Selection:
    """Which events a plain rule holds for: event types (empty = all) and a DuckDB predicate (None = true).

    The predicate is ready to run against a relation that has all known fields and `data` (JSON), and beside them the
    columns of `memberships`: (column, expression) for each `x IN LIST('name')`, true, false, or NULL where x is NULL.
    Their expressions hold sub-selects on the tables `list_<name>` of `Ruleset.lists` (columns value, valid_from,
    valid_until TIMESTAMPTZ, NULL = open) and never fail. They are apart because TRY refuses sub-selects: compute them
    in a relation below, then the predicate itself can be tried. The same list of the same value has the same column
    in all rules. Parameters are filled in; zones are `list_contains(zones, 'name')`.
    """

    types: tuple[str, ...]
    predicate: str | None
    memberships: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Correlation:
    """Durations in microseconds. `bases` has one entry for the rule's own logsource, or one per named rule.

    `group_by[i]` are the fields that make the key of an event of `bases[i]` (they differ only with aliases);
    `group_names` are the names under which the key is shown.
    """

    type: CorrelationType
    timespan: int
    bases: tuple[Selection, ...]
    base_names: tuple[str, ...]
    group_names: tuple[str, ...]
    group_by: tuple[tuple[str, ...], ...]
    condition: tuple[tuple[str, int], ...] = ()
    field: str | None = None
    generate: bool = False
    spike_height: Fraction = Fraction(1)
    threshold_cur: int = 1
    threshold_ref: int = 1
    max_gap: int = 0
    max_speed_kmh: Fraction = Fraction(0)
    min_distance_km: Fraction = Fraction(0)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `suppression` is D in microseconds (0 = one alert per event; plain rules only).

    For a plain rule `selection` is set and `group_names` are the suppression's fields, default (source, id).
    For a correlation `correlation` is set. A plain rule that is named by a correlation without `generate` has
    `alerts` False: it is only a base. Deprecated rules have `alerts` False too.
    `version` hashes what decides matches (where, logsource, correlation, suppression, resolved params, named rules).
    """

    name: str
    id: str
    title: str
    status: Status
    level: Level
    version: str
    place: Place
    suppression: int
    group_names: tuple[str, ...]
    selection: Selection | None = None
    correlation: Correlation | None = None
    alerts: bool = True
    description: str = ""
    runbook: str = ""
    falsepositives: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    author: str = ""
    close_reasons: tuple[str, ...] = ()
    source: str | None = None
    """The `where` as its author wrote it, parameters filled in; for people."""
    tests: tuple[RuleTest, ...] = ()

    @property
    def correlated(self) -> Correlation:
        """The correlation of a rule that is known to be one; TypeError for a plain rule."""
        if self.correlation is None:
            raise TypeError(f"{self.name} is a plain rule")
        return self.correlation


@dataclass(frozen=True, slots=True)
class RuleTest:
    """One test inside a rule.

    `events` are flat objects: fields beside at (µs from start), tick (bool), type, source, id, received_at.
    """

    name: str
    start: int
    events: tuple[Mapping[str, Any], ...]
    expect: tuple[Mapping[str, Any], ...]
    place: Place


@dataclass(frozen=True)
class Ruleset:
    """All rules of a directory, with the lists and zones that their predicates use."""

    rules: tuple[Rule, ...]
    lists: Mapping[str, pa.Table] = field(default_factory=dict)
    """`list_<name>` tables by name of the list: value VARCHAR, valid_from, valid_until TIMESTAMPTZ."""
    zones: Mapping[str, Any] = field(default_factory=dict)
    """shapely geometry by name of the zone."""

    def __getitem__(self, name: str) -> Rule:
        return next(rule for rule in self.rules if rule.name == name)
