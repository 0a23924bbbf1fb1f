"""YAML rule files as trees of nodes that know their lines.

Scalars follow the core schema of YAML 1.2: `no` and `on` are words, a date is text. A duplicate key, a tag, an alias
that multiplies, and nesting without end are errors: a rule file needs none of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from citywatch.errors import Place, RuleError

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DEEPEST = 40
_LARGEST = 200_000
_BYTES = 8 << 20

_NULLS = frozenset(("", "~", "null", "Null", "NULL"))
_TRUTHS = {word: word[0] in "tT" for word in ("true", "True", "TRUE", "false", "False", "FALSE")}
_WHOLE = re.compile(r"[-+]?[0-9]{1,40}\Z")
_DECIMAL = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?\Z")


@dataclass(slots=True)
class Scalar:
    """A single value. `text` is what stands in the file, unquoted; `start` and `end` are its place in `source`."""

    place: Place
    text: str
    plain: bool = True
    source: str = ""
    start: int = 0
    end: int = 0

    @property
    def value(self) -> str | int | float | bool | None:
        """What the scalar means: text when quoted, else by its look."""
        text = self.text
        if not self.plain:
            return text
        if text in _NULLS:
            return None
        if text in _TRUTHS:
            return _TRUTHS[text]
        if _WHOLE.match(text):
            return int(text)
        return float(text) if _DECIMAL.match(text) else text

    def line_of(self, offset: int) -> Place:
        """Place of the character at `offset` of `text`, also where the text spans lines."""
        raw = self.source[self.start : self.end]
        before = sum(not c.isspace() for c in self.text[:offset])
        index = next(islice(_ink(raw), before, None), 0)
        return Place(self.place.file, self.place.line + raw.count("\n", 0, index))


@dataclass(slots=True)
class Sequence:
    """A list of values."""

    place: Place
    items: list[Node] = field(default_factory=list)

    @property
    def value(self) -> list[Any]:
        """As plain values."""
        return [item.value for item in self.items]


@dataclass(slots=True)
class Mapping:
    """Values by key, in the order of the file; `places` says where each key stands."""

    place: Place
    items: dict[str, Node] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)

    @property
    def value(self) -> dict[str, Any]:
        """As plain values."""
        return {key: node.value for key, node in self.items.items()}


Node = Scalar | Sequence | Mapping


def read_documents(file: Path) -> list[Node]:
    """All YAML documents of a file, empty ones left out. Raises RuleError with the line."""
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise RuleError(f"cannot be read: {error.strerror}", where=Place(file)) from error
    if len(raw) > _BYTES:
        raise RuleError(f"has {len(raw):,} bytes, a rule file has at most {_BYTES:,}", where=Place(file))
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = Place(file, raw.count(b"\n", 0, error.start) + 1)
        raise RuleError("is not UTF-8", where=place, hint="save the file as UTF-8") from error
    return list(parse_documents(text, file))


def parse_documents(text: str, file: Path | str) -> Iterator[Node]:
    """The documents in `text`; `file` is only named in errors."""
    try:
        yield from _Composer(text, file).documents()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = ", ".join(part for part in (error.problem, error.context) if part)
        raise RuleError(f"not valid YAML: {what}", where=Place(file, mark.line + 1 if mark else 1)) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise RuleError(f"not valid YAML: {error.reason}", where=Place(file, line)) from error


class _Composer:
    """Builds nodes from parser events, without recursion: a file cannot exhaust the stack."""

    def __init__(self, text: str, file: Path | str) -> None:
        self._text = text
        self._file = file
        self._open: list[tuple[Sequence | Mapping, str | None, str | None]] = []
        """Collections not yet closed, each with its anchor and, for a mapping, the key that waits for a value."""
        self._anchors: dict[str, tuple[Node, int]] = {}
        self._size = 0

    def documents(self) -> Iterator[Node]:
        root: Node | None = None
        for event in yaml.parse(self._text, Loader=_LOADER):
            if isinstance(event, yaml.DocumentStartEvent):
                self._anchors, self._size = {}, 0
            node = self._node(event)
            if node is not None and not self._open:
                root = node
            if isinstance(event, yaml.DocumentEndEvent) and root is not None:
                if not (isinstance(root, Scalar) and root.value is None):
                    yield root
                root = None

    def _node(self, event: yaml.Event) -> Node | None:
        """The node that this event completes, if any, put into the collection around it."""
        place = Place(self._file, event.start_mark.line + 1 if event.start_mark else 1)
        if (tag := getattr(event, "tag", None)) not in {None, "!"}:
            raise RuleError(f"tag {tag} has no meaning in a rule", where=place, hint="leave it out")
        if isinstance(event, yaml.AliasEvent):
            return self._put(self._alias(str(event.anchor), place), None, place)
        if isinstance(event, yaml.ScalarEvent):
            marks = [mark.index if mark else 0 for mark in (event.start_mark, event.end_mark)]
            return self._put(Scalar(place, event.value, not event.style, self._text, *marks), event.anchor, place)
        if isinstance(event, (yaml.SequenceStartEvent, yaml.MappingStartEvent)):
            self._grow(1, place)
            if len(self._open) >= _DEEPEST:
                raise RuleError(f"nested deeper than {_DEEPEST} levels", where=place)
            made = Sequence(place) if isinstance(event, yaml.SequenceStartEvent) else Mapping(place)
            self._open.append((made, event.anchor, None))
        elif isinstance(event, (yaml.SequenceEndEvent, yaml.MappingEndEvent)):
            made, anchor, _ = self._open.pop()
            return self._put(made, anchor, made.place)
        return None

    def _alias(self, anchor: str, place: Place) -> Node:
        if anchor not in self._anchors:
            raise RuleError(f"alias *{anchor} stands before its anchor is complete", where=place)
        node, size = self._anchors[anchor]
        self._grow(size, place)
        return node

    def _grow(self, by: int, place: Place) -> None:
        self._size += by
        if self._size > _LARGEST:
            raise RuleError(f"more than {_LARGEST:,} values in one document", where=place)

    def _put(self, node: Node, anchor: str | None, place: Place) -> Node:
        if isinstance(node, Scalar):
            self._grow(1, place)
        if anchor:
            self._anchors[anchor] = (node, _size(node))
        if not self._open:
            return node
        around, own_anchor, key = self._open[-1]
        if isinstance(around, Sequence):
            around.items.append(node)
        elif key is None:
            self._open[-1] = (around, own_anchor, self._key(around, node))
        else:
            around.items[key] = node
            self._open[-1] = (around, own_anchor, None)
        return node

    @staticmethod
    def _key(around: Mapping, node: Node) -> str:
        if not isinstance(node, Scalar):
            raise RuleError("a key is text, not a list or a table", where=node.place)
        if node.text in around.places:
            raise RuleError(
                f"key {node.text!r} stands twice",
                where=node.place,
                hint=f"first in line {around.places[node.text].line}",
            )
        around.places[node.text] = node.place
        return node.text


def _size(node: Node) -> int:
    """Number of values in a tree; never deeper than `_DEEPEST`, so recursion is safe."""
    if isinstance(node, Scalar):
        return 1
    children = node.items if isinstance(node, Sequence) else node.items.values()
    return 1 + sum(map(_size, children))


_ESCAPE = re.compile(r"\\(x..|u....|U........|\n\s*|.)", re.DOTALL)


def _ink(raw: str) -> Iterator[int]:
    """Where in a scalar as it stands in the file each character of its text that is not a blank begins."""
    start = 1 if raw[:1] in {"'", '"'} else 0
    if raw[:1] in {"|", ">"}:
        start = raw.find("\n") + 1 or len(raw)
    index = start
    while index < len(raw):
        step, shown = 1, raw[index]
        if raw[0] == '"' and (escape := _ESCAPE.match(raw, index)):
            step, shown = len(escape[0]), " " if escape[1][0] in "nrtNLP_ \n" else "x"
        elif raw.startswith("''", index) and raw[0] == "'":
            step = 2
        if not shown.isspace():
            yield index
        index += step
