"""Correlations: what the contract allows of them, and the model that the engine evaluates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

from citywatch.errors import Place
from citywatch.event import BY_NAME
from citywatch.rules.draft import Draft, check_fields
from citywatch.rules.forms import Block
from citywatch.rules.language import COMMON, OPERATORS, SHAPES
from citywatch.rules.model import Correlation, CorrelationType, Selection
from citywatch.rules.problems import Problems, nearest

_COUNTS = (CorrelationType.EVENT_COUNT, CorrelationType.VALUE_COUNT)


def check_correlation(draft: Draft, drafts: Mapping[str, Draft], problems: Problems) -> None:
    """Note all that is wrong with a draft's correlation."""
    block = draft.correlation
    if block is None or block["type"] is None:
        return
    kind = CorrelationType(block["type"])
    _check_keys(block, kind, problems)
    _check_rules(draft, block, kind, drafts, problems)
    _check_groups(draft, block, problems)
    _check_condition(block, kind, problems)
    field = block["field"]
    if "field" in SHAPES[kind].required and field is not None:
        check_fields((field,), block.place("field"), problems)


def build_correlation(draft: Draft, bases: Sequence[tuple[str, Selection]]) -> Correlation:
    """The correlation of a draft in which nothing is wrong; `bases` are (name, selection)."""
    block = draft.correlation
    if block is None:
        raise ValueError(f"rule {draft.name} has no correlation")
    condition: Block | None = block["condition"]
    names = block.get("group-by", ())
    return Correlation(
        type=CorrelationType(block["type"]),
        timespan=block["timespan"],
        bases=tuple(selection for _, selection in bases),
        base_names=tuple(name for name, _ in bases),
        group_names=names,
        group_by=tuple(tuple(_field(block, alias, name) for alias in names) for name, _ in bases),
        condition=tuple((o, condition[o]) for o in OPERATORS if o in condition) if condition else (),
        field=condition["field"] if condition and "field" in condition else block["field"],
        generate=bool(block["generate"]),
        spike_height=block.get("spike_height", Fraction(1)),
        threshold_cur=block.get("threshold_cur", 1),
        threshold_ref=block.get("threshold_ref", 1),
        max_gap=block.get("max_gap", 0),
        max_speed_kmh=block.get("max_speed_kmh", Fraction(0)),
        min_distance_km=block.get("min_distance_km", Fraction(0)),
    )


def _field(block: Block, alias: str, rule: str) -> str:
    """The field that an alias means in a rule; without an entry, the field of that name."""
    aliases: Block | None = block["aliases"]
    by_rule: Block | None = aliases[alias] if aliases else None
    return str(by_rule[rule]) if by_rule and rule in by_rule else alias


def _check_keys(block: Block, kind: CorrelationType, problems: Problems) -> None:
    shape = SHAPES[kind]
    allowed = {*COMMON, *shape.required, *shape.optional}
    for key in block.values:
        if key not in allowed:
            problems.add(
                f"correlation {kind} does not take {key!r}", block.place(key), f"it takes {', '.join(sorted(allowed))}"
            )
    for key in shape.required:
        if key not in block:
            problems.add(f"correlation {kind} needs {key!r}", block.place("type"))


def _check_rules(
    draft: Draft, block: Block, kind: CorrelationType, drafts: Mapping[str, Draft], problems: Problems
) -> None:
    place = block.place("rules")
    least, most = SHAPES[kind].rules or (0, 64)
    names = draft.base_names
    if "rules" in block and most == 0:
        problems.add(
            f"correlation {kind} takes no rules", place, "it is about the events of its own logsource and where"
        )
        return
    if (block["rules"] is not None or "rules" not in block) and not least <= len(names) <= most:
        wanted = f"exactly {least}" if least == most else f"{least} to {most}"
        problems.add(f"correlation {kind} takes {wanted} rules, not {len(names)}", place)
    for key in ("logsource", "where"):
        if "rules" in block and key in draft.block:
            problems.add(
                f"correlation.rules beside an own {key}", draft.block.place(key), "the named rules say which events"
            )
    if block["generate"] and "rules" not in block:
        problems.add("generate has a meaning only beside rules", block.place("generate"))
    for name in names:
        _check_named(name, drafts, place, problems)


def _check_named(name: str, drafts: Mapping[str, Draft], place: Place, problems: Problems) -> None:
    if name not in drafts:
        problems.add(f"unknown rule {name!r}", place, nearest(name, drafts))
    elif "correlation" in drafts[name].block:
        problems.add(f"rule {name!r} is a correlation itself", place, "a correlation is made of plain rules")
    elif not drafts[name].named:
        problems.add(f"rule {name!r} has no name of its own", place, f"write name: {name} in {drafts[name].place}")


def _check_groups(draft: Draft, block: Block, problems: Problems) -> None:
    aliases: Block | None = block["aliases"]
    names = tuple(name for name in block.get("group-by", ()) or () if name is not None)
    known = tuple(aliases.values) if aliases else ()
    check_fields(tuple(n for n in names if n not in known), block.place("group-by"), problems)
    for name in sorted({n for n in names if n in known and names.count(n) > 1}):
        problems.add(f"alias {name!r} stands twice", block.place("group-by"))
    if aliases is None:
        return
    if "rules" not in block:
        problems.add("aliases have a meaning only beside rules", block.place("aliases"))
        return
    for alias in known:
        if alias not in names:
            problems.add(f"alias {alias!r} is not in group-by", aliases.place(alias))
        if aliases[alias] is not None:
            _check_alias(alias, aliases, block, draft.base_names, problems)


def _check_alias(alias: str, aliases: Block, block: Block, rules: Sequence[str], problems: Problems) -> None:
    entry: Block = aliases[alias]
    for rule in entry.values:
        if rule not in rules:
            problems.add(
                f"alias {alias!r} names rule {rule!r}, which is not in rules", entry.place(rule), nearest(rule, rules)
            )
    types: dict[str, str] = {}
    for rule in rules:
        field = _field(block, alias, rule)
        if rule in entry and entry[rule] is None:
            return
        if field not in BY_NAME and rule in entry:
            problems.add(f"unknown field {field!r}", entry.place(rule), nearest(field, BY_NAME))
        elif field not in BY_NAME:
            problems.add(f"alias {alias!r} has no field for rule {rule!r}", aliases.place(alias))
        else:
            types[rule] = BY_NAME[field].sql
    if len(set(types.values())) > 1:
        said = ", ".join(f"{_field(block, alias, rule)} is {sql}" for rule, sql in types.items())
        problems.add(f"the fields of alias {alias!r} differ in type: {said}", aliases.place(alias))


def _check_condition(block: Block, kind: CorrelationType, problems: Problems) -> None:
    condition: Block | None = block["condition"]
    if condition is None or kind not in _COUNTS:
        return
    place = block.place("condition")
    if kind is CorrelationType.VALUE_COUNT:
        if "field" not in condition:
            problems.add("value_count needs condition.field", place)
        elif condition["field"] is not None:
            check_fields((condition["field"],), condition.place("field"), problems)
    elif "field" in condition:
        problems.add(
            "event_count does not take a field", condition.place("field"), "value_count counts distinct values"
        )
    operators = {o: condition[o] for o in OPERATORS if o in condition}
    if not operators:
        problems.add("a condition needs an operator", place, f"one of {', '.join(OPERATORS)}")
    elif None not in operators.values():
        _check_possible(operators, 1 if kind is CorrelationType.EVENT_COUNT else 0, place, problems)


def _check_possible(operators: Mapping[str, int], least: int, place: Place, problems: Problems) -> None:
    """Whether any count of at least `least` satisfies all operators."""
    low = max(least, operators.get("gte", 0), operators.get("gt", -1) + 1, operators.get("eq", 0))
    high = min(operators.get("lte", 1 << 60), operators.get("lt", 1 << 60) - 1, operators.get("eq", 1 << 60))
    if low == operators.get("neq"):
        low += 1
    if low <= high:
        return
    said = ", ".join(f"{operator}: {number}" for operator, number in operators.items())
    if high < 1 and least == 1:
        problems.add(f"an event_count is never zero, so {said} never holds", place, "silence is what flatline finds")
    else:
        problems.add(f"no count satisfies {said}", place)
