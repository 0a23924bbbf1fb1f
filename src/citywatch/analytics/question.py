"""A named question, what may be asked with it, and its answer."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING

from citywatch.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

    from citywatch.analytics.archive import Archive
    from citywatch.analytics.period import Period

VIOLATIONS = "violations"
"""As `--type`: tickets, and drone violations, that have a code: what the older drone system counted."""


@dataclass(frozen=True, slots=True)
class Excluded:
    """So many rows were left out of the answer, for one reason."""

    reason: str
    rows: int


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked beside the name. `types` are event types, or `VIOLATIONS`; empty means all."""

    period: Period
    types: tuple[str, ...] = ()
    by: str | None = None
    top: int | None = None
    truth: bool = False
    """The relation `truth` is there: what was planted in a simulated city."""

    @property
    def limit(self) -> str:
        """SQL of `top` at the end of an ordered statement."""
        return "" if self.top is None else f"LIMIT {self.top}"

    @property
    def violations(self) -> bool:
        """Only tickets and drone violations that have a code."""
        return VIOLATIONS in self.types


@dataclass(frozen=True)
class Answer:
    """Rows of integers, floats and texts, in the order in which they are shown, and what was left out of them."""

    rows: pa.Table
    excluded: tuple[Excluded, ...] = ()

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, object]], columns: Iterable[str], left_out: Mapping[str, int]) -> Answer:
        """From a few Python rows; reasons that left out nothing are not named."""
        import pyarrow as pa  # noqa: PLC0415 - the list of questions is shown without Arrow

        listed = list(rows)
        table = pa.table({column: [row.get(column) for row in listed] for column in columns})
        return cls(table, left_out_of(left_out))


def left_out_of(counts: Mapping[str, int]) -> tuple[Excluded, ...]:
    """The reasons that did leave rows out, most rows first."""
    return tuple(Excluded(reason, n) for reason, n in sorted(counts.items(), key=lambda c: (-c[1], c[0])) if n)


@dataclass(frozen=True)
class Question:
    """One report.

    Parameters
    ----------
    definition
        What exactly is counted, for the reference page.
    columns
        Column of a row -> its meaning.
    exclusions
        Reason -> which rows it leaves out.
    types
        Event types that are counted unless others are asked for; empty with `fixed_types` where none can be.
    by
        Fields that `--by` may name; empty where it makes no sense.
    chart
        (column along which, column that is measured), or None.
    """

    name: str
    title: str
    definition: str
    columns: Mapping[str, str]
    ask: Callable[[Archive, Asked], Answer]
    exclusions: Mapping[str, str] = field(default_factory=dict)
    types: tuple[str, ...] = ()
    fixed_types: bool = False
    by: tuple[str, ...] = ()
    takes_top: bool = True
    takes_truth: bool = False
    chart: tuple[str, str] | None = None

    def answer(self, archive: Archive, asked: Asked) -> Answer:
        """Ask it. Raises UsageError for an option that makes no sense here."""
        if asked.by is not None and asked.by not in self.by:
            known = f"--by takes {', '.join(self.by)}" if self.by else "it takes no --by"
            raise UsageError(f"report {self.name} cannot be asked by {asked.by!r}", hint=known)
        if asked.types and self.fixed_types:
            raise UsageError(f"report {self.name} takes no --type", hint="it says itself what it counts")
        if asked.top is not None and not self.takes_top:
            raise UsageError(f"report {self.name} takes no --top", hint="it has few rows")
        if asked.top is not None and asked.top < 1:
            raise UsageError(f"top is {asked.top}", hint="it is how many rows are wanted, 1 or more")
        if asked.truth and not self.takes_truth:
            raise UsageError(f"report {self.name} takes no --truth", hint="it is for the report detection")
        return self.ask(archive, self.completed(asked))

    def completed(self, asked: Asked) -> Asked:
        """With the types that are counted when none is named."""
        return replace(asked, types=asked.types or self.types)


@cache
def questions() -> Mapping[str, Question]:
    """All questions by name: every `QUESTIONS` of the modules in `citywatch.analytics.questions`."""
    from citywatch.analytics import questions as package  # noqa: PLC0415 - its modules import this one

    found: dict[str, Question] = {}
    for module in sorted(entry.name for entry in pkgutil.iter_modules(package.__path__)):
        for question in importlib.import_module(f"{package.__name__}.{module}").QUESTIONS:
            if question.name in found:
                raise ValueError(f"two questions are called {question.name}")
            found[question.name] = question
    return dict(sorted(found.items()))


def question(name: str) -> Question:
    """The question of that name. Raises UsageError with the nearest names."""
    known = questions()
    if name in known:
        return known[name]
    near = get_close_matches(name, known, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else "`citywatch report` lists them"
    raise UsageError(f"no report is called {name!r}", hint=hint)
