"""Hypothesis strategies: rules of every type over a small world in which keys, times and edges meet often.

Times lie on a grid of five seconds, now and then one microsecond beside it, and timespans are multiples of the grid;
there are few plates, devices and values. So windows, buckets, lateness and watermark are hit at their edges.
"""

from __future__ import annotations

import uuid
from random import Random
from typing import Any

from hypothesis import strategies as st

from tests.conformance.cases import After, Case, Document, Item, when
from tests.conformance.examples import BASE
from tests.oracle import Settings, duration
from tests.oracle.matches import satisfied

SECOND = 1_000_000
GRID = 5 * SECOND
TYPES = ["anpr.read", "camera.event"]
LISTS = {"seen": [{"value": "k-1", "until": "2024-01-08T12:00:40Z"}, {"value": "K2"}]}
POLYGONS = {"south": [(-75.0, 40.0), (-73.0, 40.0), (-73.0, 40.6), (-75.0, 40.6)]}
PLACES = [(40.58, -74.10), (40.87, -73.87), (40.581, -74.10), None]
FIELDS: dict[str, list[Any]] = {
    "plate": ["K1", "K1", "K1", "K2", "k 1", None],
    "device_id": ["a", "a", "b", "é\U0001f6a8", None],
    "label": ["a", "b", "a", "b", "K1", None],
    "violation_code": [1, 1, 2, "2", None],
    "speed_kmh": [60, 60, 10, 50.5, None],
    "temperature": [0.0, -0.0, 1.5, None],
    "needs_human": [True, False, None],
    "flavour": ["mint", 'q"', None],
}


NO_OBJECTS: list[Any] = [None, ["K1", {"plate": "K1"}], "K1", 60.5, '{"plate": "K1"}', True, []]
"""Payloads without members: CloudEvents may carry any JSON. Such an event has no known field and no `data->>'name'`."""


def _payloads() -> list[Any]:
    """The payloads there are, plain ones first: one draw each, and the same in every run."""
    chance = Random(20240108)  # noqa: S311 - a fixed table, no secret
    found: list[Any] = [{"plate": "K1"}, {"plate": "K1", "label": "a"}, {"plate": "K1", "label": "b"}]
    for _ in range(60):
        data = {name: chance.choice(values) for name, values in FIELDS.items()}
        place = chance.choice(PLACES)
        data |= {"lat": place[0], "lon": place[1]} if place else {}
        found.append({name: value for name, value in data.items() if value is not None})
    found[9::8] = NO_OBJECTS
    return [*found, {"plate": "K1", "violation_code": 3.7}]


PAYLOADS = _payloads()
PREDICATES: list[str | None] = [
    None,
    "label = 'a'",
    "label = 'b'",
    None,
    "label = 'a'",
    "label = 'b'",
    "speed_kmh > 50",
    "speed_kmh < 50.5",
    "NOT label = 'a'",
    "plate IS NOT NULL",
    "violation_code IN (1, 3)",
    "label = 'b' OR speed_kmh >= 50.5",
    "temperature <= 0 AND label IS NOT NULL",
    "data->>'flavour' = 'mint'",
    "plate IN LIST('seen')",
    "IN_ZONE('south')",
    "NOT IN_ZONE('south')",
    "needs_human",
    "NOT late AND local_hour = 7",
    "id < '5'",
]
STAYS: list[str | None] = ["plate IS NOT NULL", "NOT label = 'b'", "speed_kmh > 10", "NOT needs_human", None]
GROUPS: list[list[str]] = [
    *[["plate"], []] * 3,
    ["plate", "device_id"],
    ["violation_code"],
    ["temperature"],
    ["needs_human"],
    ["source"],
]
VALUES = ["device_id", "violation_code", "temperature", "label", "needs_human"]
SPANS = ["10s", "20s", "15s", "40s", "20s", "5s"]


def settings() -> st.SearchStrategy[Settings]:
    """Small lateness, so that the watermark passes among the events."""
    return st.builds(
        Settings,
        lateness=st.sampled_from([10 * SECOND, 10 * SECOND, 60 * SECOND, 0]),
        disorder=st.sampled_from([5 * SECOND, 0]),
        stale=st.sampled_from([duration("24h"), duration("2m")]),
        lists=st.just(LISTS),
        polygons=st.just(POLYGONS),
    )


def moments(last: int = 12) -> st.SearchStrategy[int]:
    """A point of the grid, or one microsecond beside it."""
    return st.integers(0, 6 * last).map(_moment)


def _moment(number: int) -> int:
    step, beside = divmod(number, 6)
    return BASE + step * GRID + {4: -1, 5: 1}.get(beside, 0)


@st.composite
def records(draw: st.DrawFn, limits: Settings) -> list[tuple[int, dict[str, Any]]]:
    """A record with the place in the reading order that it asks for (within `disorder`, mostly); at times a copy."""
    time = draw(moments())
    edges = [limits.lateness, limits.lateness + 1, limits.stale, limits.stale + 1]
    ahead = [-GRID, -limits.future, -limits.future - 1]
    delay = draw(st.sampled_from([*[0] * 22, *[SECOND] * 3, GRID, limits.lateness, *edges, *ahead]))
    slack = draw(st.sampled_from([0, 0, 0, *[limits.disorder] * 4, limits.disorder + 1, 3 * GRID]))
    record: dict[str, Any] = {
        "specversion": "1.0",
        "source": draw(st.sampled_from(["s", "s", "é/2", "S"])),
        "type": draw(st.sampled_from([*TYPES, TYPES[0]])),
        "time": when(time),
        "receivedat": when(time + delay),
        "data": draw(st.sampled_from(PAYLOADS)),
    }
    copy = draw(st.sampled_from([*[None] * 20, 0, 1, 20 * GRID, "time", "payload"]))
    return [(time + delay + slack, record), *_copies(record, time + delay, copy)]


def _copies(record: dict[str, Any], received: int, kind: int | str | None) -> list[tuple[int, dict[str, Any]]]:
    """A re-delivery so much later, or a conflict."""
    if kind is None:
        return []
    if isinstance(kind, int):
        return [(received + kind, record | {"receivedat": when(received + kind)})]
    other = {"time": when(received)} if kind == "time" else {"data": PAYLOADS[0]}
    return [(received + 1, record | other | {"receivedat": when(received + 1)})]


def ticks(limits: Settings) -> st.SearchStrategy[list[tuple[int, Item]]]:
    """Moves of the clock alone, many of them to where the watermark is at a point of the grid or just beyond it."""
    behind = limits.lateness + limits.disorder
    moved = st.one_of(moments(24), moments(24).map(lambda time: time + behind))
    return moved.map(lambda time: [(time, {"tick": time})])


@st.composite
def reading(draw: st.DrawFn, limits: Settings, most: int) -> tuple[Item, ...]:
    """Records and ticks in reading order."""
    size = draw(st.sampled_from([1, 3, most, most, most]))
    events = draw(st.lists(records(limits), min_size=size * 3 // 4, max_size=size))
    moves = draw(st.lists(ticks(limits), max_size=3))
    placed: list[tuple[int, Item]] = [pair for pairs in moves for pair in pairs]
    for number, copies in enumerate(events):
        # ids in another order than the events, and of one digit or two
        placed += [(place, {**record, "id": str((number + 4) * 7 % 31)}) for place, record in copies]
    return tuple(item for _, item in sorted(placed, key=lambda pair: pair[0]))


def _head(name: str) -> Document:
    head = {"title": name, "id": str(uuid.uuid5(uuid.NAMESPACE_URL, name)), "name": name}
    return {**head, "status": "experimental", "level": "low"}


@st.composite
def selections(draw: st.DrawFn, predicates: list[str | None] = PREDICATES) -> Document:
    """`logsource` and `where`."""
    category = draw(st.sampled_from([TYPES, TYPES, TYPES, TYPES[0], TYPES[1]]))
    where = draw(st.sampled_from(predicates))
    return {"logsource": {"category": category}} | ({"where": where} if where else {})


@st.composite
def plain_rules(draw: st.DrawFn, name: str) -> Document:
    """A plain rule, with suppression or without."""
    rule = _head(name) | draw(selections())
    if draw(st.booleans()):
        group = draw(st.sampled_from([names for names in GROUPS if names]))
        rule["suppression"] = {"group-by": group, "duration": draw(st.sampled_from(SPANS))}
    return rule


def conditions(least: int) -> st.SearchStrategy[dict[str, int]]:
    """One operator or two that some count from `least` on satisfies: others are refused at load."""
    operator = st.sampled_from(["gte", "gt", "lt", "lte", "eq", "neq"])
    one = st.builds(lambda name, n: {name: n}, operator, st.integers(least, 4))
    two = st.builds(lambda a, b: a | b, one, one)
    possible = st.one_of(one, two).filter(lambda c: any(satisfied({"condition": c}, n) for n in range(least, 9)))
    return st.one_of(st.integers(max(least, 1), 4).map(lambda n: {"gte": n}), possible)


def _counts(least: int, **more: Any) -> st.SearchStrategy[dict[str, Any]]:
    return conditions(least).map(lambda condition: {"condition": condition | more})


_SPIKE = {
    "spike_height": st.sampled_from([1, 0.5, 0.7, 1.5, 2]),
    "threshold_cur": st.sampled_from([1, 1, 1, 2, 3]),
    "threshold_ref": st.sampled_from([1, 1, 1, 2, 3]),
}
_TRAVEL = {"max_speed_kmh": st.sampled_from([180, 9000, 1.5]), "min_distance_km": st.sampled_from([5, 0, 0.05])}
_A_VALUE = st.fixed_dictionaries({"field": st.sampled_from(VALUES)})

PARTICULARS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "event_count": _counts(1),
    "value_count": st.sampled_from(VALUES).flatmap(lambda field: _counts(0, field=field)),
    "new_terms": _A_VALUE,
    "change": _A_VALUE,
    "spike": st.fixed_dictionaries(_SPIKE),
    "dwell": st.fixed_dictionaries({"max_gap": st.sampled_from(["40s", "10s", "5s"])}),
    "impossible_travel": st.fixed_dictionaries(_TRAVEL),
}
"""What only some types have."""


@st.composite
def correlations(draw: st.DrawFn, name: str, type_: str, named: list[str]) -> Document:
    """A correlation of this type, over its own base or over `named` rules."""
    correlation: dict[str, Any] = {"type": type_, "timespan": draw(st.sampled_from(SPANS))}
    rule = _head(name)
    if named:
        correlation["rules"] = named
        correlation["generate"] = draw(st.booleans())
    else:
        rule |= draw(selections(STAYS if type_ == "dwell" else [*[None] * 24, *PREDICATES]))
    if group := draw(st.sampled_from(GROUPS)):
        correlation["group-by"] = group
    aliased: bool = bool(named) and draw(st.booleans())
    if aliased:
        correlation["group-by"] = draw(st.sampled_from([["who"], ["source", "who"]]))
        correlation["aliases"] = {"who": {n: draw(st.sampled_from(["plate", "label", "device_id"])) for n in named}}
    rule["correlation"] = correlation | draw(PARTICULARS.get(type_, st.just({})))
    if draw(st.integers(0, 2)) == 2:
        rule["suppression"] = {"duration": draw(st.sampled_from([*SPANS, "1h"]))}
    return rule


NAMED = {"temporal": (2, 3), "temporal_ordered": (2, 3), "absence": (2, 2), "dwell": (0, 0)}
"""How many named rules a type takes, where it is not none to two."""

CORRELATIONS = [
    "event_count",
    "value_count",
    "temporal",
    "temporal_ordered",
    "absence",
    "flatline",
    "spike",
    "new_terms",
    "change",
    "dwell",
    "impossible_travel",
]


@st.composite
def rule_sets(draw: st.DrawFn, types: list[str]) -> tuple[Document, ...]:
    """One correlation of each of these types, the plain rules that they name, and at times a plain rule beside."""
    rules: list[Document] = []
    bases: list[Document] = []
    for number, type_ in enumerate(types):
        low, high = NAMED.get(type_, (0, 2))
        named = draw(st.permutations(["p0", "p1", "p2"]))[: draw(st.integers(low, high))]
        bases += [{"name": name} for name in named if all(name != base["name"] for base in bases)]
        rules.append(draw(correlations(f"r{number}", type_, list(named))))
    plain = [draw(plain_rules(base["name"])) for base in bases]
    if not types or draw(st.integers(0, 3)) == 3:
        plain.append(draw(plain_rules("plain")))
    return (*plain, *rules)


@st.composite
def cases(draw: st.DrawFn, types: list[str] | None = None, *, most: int = 20) -> Case:
    """A whole case. `types`: the correlations; drawn when absent."""
    limits = draw(settings())
    if types is None:
        types = draw(st.lists(st.sampled_from(CORRELATIONS), max_size=4))
    rules = draw(rule_sets(types))
    items = draw(reading(limits, most))
    cuts = draw(st.dictionaries(st.integers(1, max(1, len(items) - 1)), st.sampled_from(After), max_size=4))
    behind = limits.lateness + limits.disorder
    far = st.just(BASE + duration("3h"))
    clock = draw(st.one_of(far, far, far, st.none(), moments(30).map(lambda time: time + behind)))
    shards = draw(st.sampled_from([*[1] * 6, 2, 3, 4, 5]))
    return Case(rules, items, limits, clock, cuts, shards)
