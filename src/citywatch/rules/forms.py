"""The forms a value in a rule file can have: each checks a node, and describes itself as JSON Schema.

Loader and editor schema come from the same objects, so they cannot say different things.
"""

# ruff: noqa: D102 - the protocol Form says what read and schema are in every form

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

from citywatch.errors import Place
from citywatch.rules.document import Mapping, Node, Scalar, Sequence
from citywatch.rules.problems import Problems, nearest
from citywatch.settings import DAY, duration

LONGEST = 3660 * DAY
"""The longest duration a rule may name: ten years."""

PARAMETER = r"^\$[A-Za-z_][A-Za-z0-9_]*$"
_NUMBER = re.compile(r"[0-9]{1,18}(\.[0-9]{1,18})?\Z")


class Form(Protocol):
    """What a value may look like."""

    def read(self, node: Node, problems: Problems) -> Any:
        """The value, or None after noting a problem."""

    def schema(self) -> dict[str, Any]:
        """The same as JSON Schema."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text; `pattern` and `called` narrow it ("a UUID"), `choices` list all it may be."""

    pattern: str | None = None
    called: str = "a text"
    choices: tuple[str, ...] = ()

    def read(self, node: Node, problems: Problems) -> str | None:
        if not isinstance(node, Scalar) or node.value is None or not node.text.strip():
            problems.add(f"{self.called} is wanted here", node.place)
        elif self.choices and node.text not in self.choices:
            problems.add(f"{node.text!r} is not possible here", node.place, nearest(node.text, self.choices))
        elif self.pattern and not re.fullmatch(self.pattern, node.text, re.ASCII):
            problems.add(f"{node.text!r} is not {self.called}", node.place)
        else:
            return node.text
        return None

    def schema(self) -> dict[str, Any]:
        if self.choices:
            return {"enum": list(self.choices)}
        return {"type": "string", "pattern": f"^(?:{self.pattern})$" if self.pattern else r"\S"}


@dataclass(frozen=True, slots=True)
class Truth:
    """true or false."""

    def read(self, node: Node, problems: Problems) -> bool | None:
        if isinstance(node, Scalar) and isinstance(node.value, bool):
            return node.value
        problems.add("true or false is wanted here", node.place)
        return None

    def schema(self) -> dict[str, Any]:
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number of at least `least`."""

    least: int = 0

    def read(self, node: Node, problems: Problems) -> int | None:
        value = node.value if isinstance(node, Scalar) else None
        if isinstance(value, int) and not isinstance(value, bool) and self.least <= value < 1 << 53:
            return value
        problems.add(f"a whole number of at least {self.least} is wanted here", node.place)
        return None

    def schema(self) -> dict[str, Any]:
        return {"type": "integer", "minimum": self.least}


@dataclass(frozen=True, slots=True)
class Exact:
    """A decimal number, kept exactly as it is written; not negative."""

    positive: bool = False

    def read(self, node: Node, problems: Problems) -> Fraction | None:
        text = node.text if isinstance(node, Scalar) and node.plain else ""
        if _NUMBER.match(text) and (Fraction(text) > 0 or not self.positive):
            return Fraction(text)
        least = "above 0" if self.positive else "of at least 0"
        problems.add(f"a decimal number {least} is wanted here", node.place, "such as 2 or 1.5")
        return None

    def schema(self) -> dict[str, Any]:
        return {"type": "number", ("exclusiveMinimum" if self.positive else "minimum"): 0}


@dataclass(frozen=True, slots=True)
class Span:
    """A duration, read as microseconds."""

    zero: bool = False

    def read(self, node: Node, problems: Problems) -> int | None:
        try:
            micros = duration(node.text if isinstance(node, Scalar) else "")
        except ValueError as error:
            problems.add(str(error), node.place)
            return None
        if micros == 0 and not self.zero:
            problems.add("a duration above 0 is wanted here", node.place)
        elif micros > LONGEST:
            problems.add(f"{node.value} is longer than ten years", node.place)
        else:
            return micros
        return None

    def schema(self) -> dict[str, Any]:
        return {
            "type": "string",
            "pattern": f"^{'' if self.zero else '0*[1-9]'}[0-9]{'+' if self.zero else '*'}(ms|s|m|h|d|w)$",
        }


@dataclass(frozen=True, slots=True)
class Settable:
    """A number or duration that may also be a `$parameter`; the loader fills parameters in before it reads."""

    form: Form

    def read(self, node: Node, problems: Problems) -> Any:
        return self.form.read(node, problems)

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [self.form.schema(), {"type": "string", "pattern": PARAMETER}]}


@dataclass(frozen=True, slots=True)
class Many:
    """A list of values; with `single`, one value stands for a list of one."""

    form: Form
    single: bool = False
    least: int = 0

    def read(self, node: Node, problems: Problems) -> tuple[Any, ...] | None:
        if isinstance(node, Sequence) and len(node.items) >= self.least:
            return tuple(self.form.read(item, problems) for item in node.items)
        if self.single and isinstance(node, Scalar) and node.value is not None:
            return (self.form.read(node, problems),)
        problems.add(f"a list{' that is not empty' if self.least else ''} is wanted here", node.place, "such as [a, b]")
        return None

    def schema(self) -> dict[str, Any]:
        many: dict[str, Any] = {"type": "array", "items": self.form.schema()}
        if self.least:
            many["minItems"] = self.least
        return {"anyOf": [self.form.schema(), many]} if self.single else many


@dataclass(frozen=True, slots=True)
class Table:
    """Values of one form by names that the author chooses."""

    form: Form
    name: str = r"\S(.*\S)?"
    called: str = "name"

    def read(self, node: Node, problems: Problems) -> Block | None:
        if not isinstance(node, Mapping):
            problems.add(f"a table is wanted here, one {self.called}: value a line", node.place)
            return None
        for key, place in node.places.items():
            if not re.fullmatch(self.name, key, re.ASCII):
                problems.add(f"{key!r} cannot be a {self.called}", place)
        return Block(node, {key: self.form.read(value, problems) for key, value in node.items.items()})

    def schema(self) -> dict[str, Any]:
        names = {"pattern": f"^(?:{self.name})$"}
        return {"type": "object", "additionalProperties": self.form.schema(), "propertyNames": names}


@dataclass(frozen=True, slots=True)
class Free:
    """Any value."""

    def read(self, node: Node, problems: Problems) -> Any:  # noqa: ARG002 - the signature of every form
        return node.value

    def schema(self) -> dict[str, Any]:
        return {}


@dataclass(frozen=True, slots=True)
class Single:
    """Any number, text, true or false; the scalar itself is kept, so that decimals stay exact."""

    def read(self, node: Node, problems: Problems) -> Scalar | None:
        if isinstance(node, Scalar) and node.value is not None:
            return node
        problems.add("a number, a text, true or false is wanted here", node.place)
        return None

    def schema(self) -> dict[str, Any]:
        return {"type": ["number", "string", "boolean"]}


@dataclass(frozen=True, slots=True)
class Raw:
    """Any value, kept as its node for a later check that needs the field's type."""

    def read(self, node: Node, problems: Problems) -> Node:  # noqa: ARG002 - the signature of every form
        return node

    def schema(self) -> dict[str, Any]:
        return {}


@dataclass(frozen=True, slots=True)
class Key:
    """One key of an object, with what the reference page says about it."""

    name: str
    form: Form
    meaning: str
    required: bool = False


@dataclass(frozen=True, slots=True)
class Object:
    """A table with known keys; with `rest`, further ones have that form."""

    keys: tuple[Key, ...]
    rest: Form | None = None

    def read(self, node: Node, problems: Problems) -> Block | None:
        if not isinstance(node, Mapping):
            problems.add("a table is wanted here, one key: value a line", node.place)
            return None
        known = {key.name: key for key in self.keys}
        values: dict[str, Any] = {}
        for name, value in node.items.items():
            form = known[name].form if name in known else self.rest
            if form is None:
                problems.add(f"unknown key {name!r}", node.places[name], nearest(name, known))
            else:
                values[name] = form.read(value, problems)
        for key in self.keys:
            if key.required and key.name not in node.items:
                problems.add(f"key {key.name!r} is missing", node.place)
        return Block(node, values)

    def schema(self) -> dict[str, Any]:
        made: dict[str, Any] = {
            "type": "object",
            "properties": {key.name: {**key.form.schema(), "description": key.meaning} for key in self.keys},
            "additionalProperties": self.rest.schema() if self.rest else False,
        }
        if required := [key.name for key in self.keys if key.required]:
            made["required"] = required
        return made


@dataclass(slots=True)
class Block:
    """An object as read: `values` by key (None where a problem was noted), and its node."""

    node: Mapping
    values: dict[str, Any]

    def __contains__(self, name: str) -> bool:
        return name in self.node.items

    def __getitem__(self, name: str) -> Any:
        return self.values.get(name)

    def get(self, name: str, default: Any) -> Any:
        """The value, or `default` when the key is not there."""
        return self.values[name] if name in self.node.items else default

    def place(self, name: str) -> Place:
        """Where the key stands, or the object when it does not have it."""
        return self.node.places.get(name, self.node.place)
