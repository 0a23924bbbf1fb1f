"""From drafts to rules: names resolved, predicates compiled, versions computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain

from citywatch.alert import Level
from citywatch.rules.correlations import build_correlation, check_correlation
from citywatch.rules.document import Scalar
from citywatch.rules.draft import Draft, duplicates
from citywatch.rules.model import Correlation, Rule, Selection, Status
from citywatch.rules.predicate import Compiler, Predicate
from citywatch.rules.problems import Problems
from citywatch.rules.syntax import PredicateError
from citywatch.rules.tests import read_tests
from citywatch.rules.version import version


def build_rules(drafts: Sequence[Draft], compiler: Compiler, problems: Problems) -> tuple[Rule, ...]:
    """The rules in the order of the drafts; those with problems are left out, and the problems noted."""
    for draft, what, first in duplicates(list(drafts)):
        problems.add(f"{what} is taken", draft.place, f"by the rule in {first.place}")
        draft.broken = True
    by_name = {draft.name: draft for draft in drafts}
    for draft in drafts:
        with _Blame(draft, problems):
            check_correlation(draft, by_name, problems)
    predicates = _predicates(drafts, compiler, problems)
    builder = _Builder(by_name, predicates)
    return tuple(
        rule
        for draft in drafts
        if not draft.broken and not any(by_name[name].broken for name in draft.base_names)
        for rule in [builder.rule(draft, problems)]
    )


class _Blame:
    """Marks a draft as broken when problems were noted inside the block."""

    def __init__(self, draft: Draft, problems: Problems) -> None:
        self._draft = draft
        self._problems = problems

    def __enter__(self) -> None:
        self._before = len(self._problems)

    def __exit__(self, *exc: object) -> None:
        self._draft.broken |= len(self._problems) > self._before


def _predicates(drafts: Sequence[Draft], compiler: Compiler, problems: Problems) -> dict[str, Predicate]:
    """Compiled and type-checked predicates by name of the rule."""
    compiled: list[tuple[Draft, Predicate]] = []
    for draft in drafts:
        with _Blame(draft, problems):
            try:
                if text := draft.block["where"]:
                    compiled.append((draft, compiler.compile(text, draft.parameters)))
            except PredicateError as error:
                _note(draft, error, problems)
            else:
                _check_parameters(draft, compiled[-1][1] if text else None, problems)
    for (draft, _), refusal in zip(compiled, compiler.check([p for _, p in compiled]), strict=True):
        if refusal:
            with _Blame(draft, problems):
                _note(draft, refusal, problems)
    return {draft.name: predicate for draft, predicate in compiled}


def _note(draft: Draft, error: PredicateError, problems: Problems) -> None:
    node = draft.block.node.items["where"]
    place = node.line_of(error.offset) if isinstance(node, Scalar) else node.place
    problems.add(f"where: {error.what}", place, error.hint)


def _check_parameters(draft: Draft, predicate: Predicate | None, problems: Problems) -> None:
    used = draft.used | (predicate.parameters if predicate else frozenset())
    for name in draft.parameters:
        if name not in used:
            where = draft.block["params"].place(name)
            problems.add(f"parameter {name!r} is not used", where, f"write ${name}, or leave it out")


class _Builder:
    """Makes rules of drafts in which nothing is wrong."""

    def __init__(self, drafts: Mapping[str, Draft], predicates: Mapping[str, Predicate]) -> None:
        self._drafts = drafts
        self._predicates = predicates
        named = [d for d in drafts.values() if d.correlation]
        self._silenced = set(chain.from_iterable(d.base_names for d in named))
        self._silenced -= set(
            chain.from_iterable(d.base_names for d in named if d.correlation and d.correlation["generate"])
        )

    def rule(self, draft: Draft, problems: Problems) -> Rule:
        block = draft.block
        suppression = block["suppression"]
        duration = suppression.get("duration", 0) if suppression else 0
        correlation = self._correlation(draft)
        names = correlation.group_names if correlation else (suppression and suppression["group-by"])
        status = Status(block.get("status", "experimental"))
        made = Rule(
            name=draft.name,
            id=block["id"],
            title=block["title"],
            status=status,
            level=Level(block.get("level", "medium")),
            version="",
            place=draft.place,
            suppression=duration or (correlation.timespan if correlation else 0),
            group_names=("source", "id") if names is None else names,
            selection=None if correlation else self._selection(draft),
            correlation=correlation,
            alerts=status is not Status.DEPRECATED and draft.name not in self._silenced,
            source=self._source(draft),
            **{key: block.get(key, "") for key in ("description", "runbook", "author")},
            **{key: block.get(key, ()) for key in ("falsepositives", "tags", "references", "close_reasons")},
        )
        made = replace(made, version=self._version(draft, made))
        return replace(made, tests=read_tests(block, made, problems))

    def _correlation(self, draft: Draft) -> Correlation | None:
        if draft.correlation is None:
            return None
        bases = [self._drafts[name] for name in draft.base_names] or [draft]
        return build_correlation(draft, [(base.name, self._selection(base)) for base in bases])

    def _selection(self, draft: Draft) -> Selection:
        predicate = self._predicates.get(draft.name)
        return Selection(draft.types, predicate.sql if predicate else None, predicate.memberships if predicate else ())

    def _source(self, draft: Draft) -> str | None:
        predicate = self._predicates.get(draft.name)
        return predicate.source if predicate else None

    def _version(self, draft: Draft, rule: Rule) -> str:
        bases = [self._drafts[name] for name in draft.base_names] or [draft]
        group_by = rule.correlation.group_by if rule.correlation else rule.group_names
        return version(
            [(base.types, self._source(base)) for base in bases],
            group_by=group_by,
            suppression=rule.suppression,
            correlation=rule.correlation,
        )
