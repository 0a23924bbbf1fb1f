"""A loaded mapping: how one foreign shape of message becomes events, and events become that shape."""

from __future__ import annotations

from collections.abc import Mapping as Lookup
from dataclasses import dataclass, field
from typing import Any

from citywatch.errors import Place
from citywatch.records.chunk import Format


@dataclass(frozen=True, slots=True)
class Expression:
    """A SQL expression and where it stands."""

    sql: str
    place: Place


@dataclass(frozen=True, slots=True)
class Field:
    """A value of the message that expressions use as a column of text.

    `paths` are the places where it may stand, the first that is there counts: keys joined by dots in JSON, names of
    columns in CSV (as `records.csv_rows.column_name` spells them).
    """

    name: str
    paths: tuple[str, ...]
    place: Place

    @property
    def keys(self) -> frozenset[str]:
        """Top-level keys under which it may stand."""
        return frozenset(path.split(".", 1)[0] for path in self.paths)


@dataclass(frozen=True, slots=True)
class Output:
    """One kind of event that a record becomes.

    `attributes` and `fields` are SQL over the message's fields; `data` adds further keys to the event's data. `each` is
    a list, one event for each `item` of it; `when` says for which records there is such an event.
    """

    attributes: Lookup[str, Expression]
    fields: Lookup[str, Expression]
    data: Lookup[str, Expression]
    place: Place
    when: Expression | None = None
    each: Expression | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A record for which `when` holds is rejected for `reason`, a text in SQL."""

    when: Expression
    reason: Expression


@dataclass(frozen=True, slots=True)
class Sample:
    """A test inside of a mapping: raw text and what becomes of it."""

    name: str
    place: Place
    raw: str
    events: tuple[Lookup[str, Any], ...]
    rejected: tuple[str, ...]
    arrived: str | None = None
    date: str | None = None
    returns: bool = True
    """`from:` makes the record of the events again."""


@dataclass(frozen=True, slots=True)
class Return:
    """How an event becomes a message of this shape: for which events, and its keys in order, or the whole line.

    `header` is the line above all others, where lines are rows of CSV that have one.
    """

    when: Expression
    record: Lookup[str, Expression]
    line: Expression | None = None
    header: str | None = None


@dataclass(frozen=True)
class Mapping:
    """One mapping.

    Attributes
    ----------
    required, absent
        Keys by which a record is recognised: all of the first are there, none of the second. `after.label` is the key
        `label` of the object `after`.
    layouts
        Names of the columns of rows that come without a header, one tuple for each width.
    """

    name: str
    title: str
    place: Place
    formats: frozenset[Format]
    required: tuple[frozenset[str], ...]
    absent: frozenset[str]
    fields: tuple[Field, ...]
    outputs: tuple[Output, ...]
    refusals: tuple[Refusal, ...] = ()
    returns: Return | None = None
    samples: tuple[Sample, ...] = ()
    description: str = ""
    null: frozenset[str] = field(default_factory=frozenset)
    """Texts that mean nothing is known, beside the empty one in CSV."""
    layouts: tuple[tuple[str, ...], ...] = ()

    @property
    def spreads(self) -> bool:
        """Whether a record may become many events."""
        return any(output.each for output in self.outputs)

    @property
    def inner(self) -> frozenset[str]:
        """Keys of inner objects by which a record is recognised."""
        return frozenset(key for keys in (*self.required, self.absent) for key in keys if "." in key)

    def lacks(self, keys: frozenset[str]) -> list[str]:
        """Required keys (any spelling of each) that a record with `keys` has not, and those it should not have."""
        missing = [" or ".join(sorted(names)) for names in self.required if not names & keys]
        return missing + [f"no {name}" for name in sorted(self.absent & keys)]

    def uses(self, text: str) -> bool:
        """Whether an expression mentions the column `text`."""
        outputs = (e for o in self.outputs for e in (*o.attributes.values(), *o.fields.values(), *o.data.values()))
        return any(text in expression.sql for expression in outputs)
