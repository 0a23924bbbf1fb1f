"""Which class evaluates which type of correlation, and which streams a rule needs."""

from __future__ import annotations

from citywatch.engine.correlations import (
    Absence,
    Change,
    Dwell,
    EventCount,
    Flatline,
    NewTerms,
    Spike,
    Temporal,
    TemporalOrdered,
    ValueCount,
)
from citywatch.engine.derive import Atom, StreamSpec
from citywatch.engine.evaluator import Evaluator
from citywatch.engine.movement import ImpossibleTravel
from citywatch.engine.streams import Names, Stream
from citywatch.rules.model import CorrelationType, Rule

EVALUATORS: dict[CorrelationType, type[Evaluator]] = {
    e.TYPE: e
    for e in (
        EventCount,
        ValueCount,
        Temporal,
        TemporalOrdered,
        Absence,
        Flatline,
        Spike,
        NewTerms,
        Change,
        Dwell,
        ImpossibleTravel,
    )
}

_PER_BASE = (CorrelationType.TEMPORAL, CorrelationType.TEMPORAL_ORDERED, CorrelationType.ABSENCE)


def evaluator_for(rule: Rule, streams: list[Stream], names: Names) -> Evaluator:
    """The evaluator of a correlation rule over its streams (`stream_specs`, in the same order)."""
    return EVALUATORS[rule.correlated.type](rule, streams, names)


def stream_specs(rule: Rule) -> list[StreamSpec]:
    """The streams a rule asks: one for each base where the bases play different parts, else one of all together."""
    correlation = rule.correlated
    kind = correlation.type
    atoms = [Atom(base, fields) for base, fields in zip(correlation.bases, correlation.group_by, strict=True)]
    retention = correlation.timespan * (2 if kind is CorrelationType.SPIKE else 1)
    if kind is CorrelationType.DWELL:
        retention += correlation.max_gap
    groups = [(atom,) for atom in atoms] if kind in _PER_BASE else [tuple(atoms)]
    return [
        StreamSpec(
            atoms=group,
            field=correlation.field,
            placed=kind is CorrelationType.IMPOSSIBLE_TRAVEL,
            whole=kind is CorrelationType.DWELL,
            retention=retention,
        )
        for group in groups
    ]
