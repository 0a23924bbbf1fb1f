"""A rule as its author wrote it, checked key by key; what other rules have to say about it comes later, in `build`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from citywatch.errors import Place
from citywatch.event import BY_NAME
from citywatch.rules import document
from citywatch.rules.document import Node, Scalar
from citywatch.rules.forms import Block
from citywatch.rules.language import RULE
from citywatch.rules.problems import Problems, nearest
from citywatch.rules.syntax import literal


@dataclass(slots=True)
class Draft:
    """One document: its values, its name, its parameters as SQL literals, and whether anything is wrong with it."""

    block: Block
    name: str
    named: bool
    parameters: dict[str, str] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    """Parameters that the correlation or suppression uses."""
    broken: bool = False

    @property
    def place(self) -> Place:
        """Where the document begins."""
        return self.block.node.place

    @property
    def correlation(self) -> Block | None:
        """Its correlation, if it has one."""
        found: Block | None = self.block["correlation"]
        return found

    @property
    def base_names(self) -> tuple[str, ...]:
        """Names of the rules that its correlation is about; empty for its own events."""
        return tuple(filter(None, self.correlation["rules"] or ())) if self.correlation else ()

    @property
    def types(self) -> tuple[str, ...]:
        """Event types of its own logsource; empty = all."""
        logsource: Block | None = self.block["logsource"]
        return tuple(dict.fromkeys((logsource["category"] if logsource else None) or ()))


def read_draft(
    node: Node, file: Path, number: int, settings: Mapping[str, Mapping[str, Any]], problems: Problems
) -> Draft | None:
    """Check one document; `number` counts the documents of its file. None when nothing can be made of it."""
    before = len(problems)
    if not isinstance(node, document.Mapping):
        problems.add("a rule is a table, one key: value a line", node.place)
        return None
    name = _name(node, file, number)
    parameters, used = _parameters(node, settings.get(name, {}), problems)
    filled = _filled(node, {key: text for key, (text, _) in parameters.items()}, used, problems)
    block = RULE.read(filled, problems)
    if block is None:
        return None
    draft = Draft(block, name, "name" in block, {key: sql for key, (_, sql) in parameters.items()}, used)
    _check_plain(draft, problems)
    draft.broken = len(problems) > before
    return draft


def _name(node: document.Mapping, file: Path, number: int) -> str:
    given = node.items.get("name")
    if isinstance(given, Scalar):
        return given.text
    return file.stem if number == 1 else f"{file.stem}_{number}"


def _parameters(
    node: document.Mapping, settings: Mapping[str, Any], problems: Problems
) -> tuple[dict[str, tuple[str, str]], set[str]]:
    """(text, SQL literal) of each parameter: that of the settings, else that of the rule."""
    declared = node.items.get("params")
    items = declared.items if isinstance(declared, document.Mapping) else {}
    found: dict[str, tuple[str, str]] = {}
    for name, default in items.items():
        if isinstance(default, Scalar) and default.value is not None:
            found[name] = _resolved(name, default, settings, problems)
    for name in settings.keys() - items.keys():
        problems.add(f"the settings give parameter {name!r}, which this rule has not", node.place, nearest(name, items))
    return found, set()


def _resolved(name: str, default: Scalar, settings: Mapping[str, Any], problems: Problems) -> tuple[str, str]:
    value = default.value
    if name in settings:
        given = settings[name]
        if _kind(given) != _kind(value):
            problems.add(
                f"the settings give parameter {name!r} the value {given!r}, not a {_kind(value)}", default.place
            )
        elif _kind(given) != "number" or abs(given) < 1 << 63:  # NaN and infinity compare false
            return str(given), literal(given)
        else:
            problems.add(f"the settings give parameter {name!r} the value {given!r}", default.place)
    if isinstance(value, float):
        return default.text, f"({default.text})" if value < 0 else default.text
    return default.text, literal(value if value is not None else "")


def _kind(value: Any) -> str:
    return "truth value" if isinstance(value, bool) else "number" if isinstance(value, (int, float)) else "text"


def _filled(node: document.Mapping, texts: Mapping[str, str], used: set[str], problems: Problems) -> document.Mapping:
    """The document with `$name` replaced in its correlation and suppression."""

    def fill(part: Node) -> Node:
        if isinstance(part, Scalar):
            if not (part.plain and part.text.startswith("$")):
                return part
            name = part.text[1:]
            if name not in texts:
                problems.add(f"unknown parameter {part.text}", part.place, nearest(name, texts))
                return part
            used.add(name)
            return Scalar(part.place, texts[name])
        if isinstance(part, document.Sequence):
            return document.Sequence(part.place, [fill(item) for item in part.items])
        return document.Mapping(part.place, {k: fill(v) for k, v in part.items.items()}, part.places)

    settable: dict[str, Node] = {
        key: fill(node.items[key]) for key in ("correlation", "suppression") if key in node.items
    }
    return document.Mapping(node.place, {**node.items, **settable}, node.places)


def _check_plain(draft: Draft, problems: Problems) -> None:
    """What can be said of suppression and of a rule without a correlation."""
    block = draft.block
    suppression: Block | None = block["suppression"]
    if "correlation" in block:
        if suppression and "group-by" in suppression:
            problems.add(
                "suppression.group-by has no meaning beside a correlation",
                suppression.place("group-by"),
                "its key is correlation.group-by",
            )
        return
    if suppression is None:
        return
    check_fields(suppression["group-by"], suppression.place("group-by"), problems)
    if "duration" in suppression and "group-by" not in suppression:
        problems.add(
            "suppression.duration needs a group-by",
            suppression.place("duration"),
            "name the fields whose equal values make one alert",
        )
    if "group-by" in suppression and "duration" not in suppression:
        problems.add("suppression.group-by needs a duration", suppression.place("group-by"))


def check_fields(names: tuple[str | None, ...] | None, place: Place, problems: Problems) -> None:
    """Whether all are known fields, each once."""
    given = [name for name in names or () if name is not None]
    for name in given:
        if name not in BY_NAME:
            problems.add(f"unknown field {name!r}", place, nearest(name, BY_NAME))
    for name in sorted({name for name in given if given.count(name) > 1}):
        problems.add(f"field {name!r} stands twice", place)


def duplicates(drafts: list[Draft]) -> Iterator[tuple[Draft, str, Draft]]:
    """(draft, what, the earlier one) for names and ids that are not unique."""
    names: dict[str, Draft] = {}
    ids: dict[str, Draft] = {}
    for draft in drafts:
        if (first := names.setdefault(draft.name, draft)) is not draft:
            yield draft, f"name {draft.name!r}", first
        identity = str(draft.block["id"] or "").lower()
        if identity and (first := ids.setdefault(identity, draft)) is not draft:
            yield draft, f"id {identity}", first
