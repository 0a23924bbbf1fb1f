"""Load mapping files: YAML with SQL expressions, each judged against the columns it may use, errors with their line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from citywatch.errors import MappingError, Place, RuleError
from citywatch.event import BY_NAME
from citywatch.mappings.drafts import SENT
from citywatch.mappings.model import Expression, Field, Mapping, Output, Refusal, Return, Sample
from citywatch.mappings.verify import verify
from citywatch.records.chunk import Format
from citywatch.records.csv_rows import column_names
from citywatch.rules import document
from citywatch.rules.document import Node, Scalar
from citywatch.rules.problems import nearest

ATTRIBUTES = ("id", "source", "type", "subject", "time", "received_at", "time_precision")
_KEYS = (
    "name",
    "title",
    "description",
    "format",
    "recognise",
    "absent",
    "columns",
    "fields",
    "null",
    "refuse",
    "to",
    "from",
    "samples",
)
_OUTPUT_KEYS = ("when", "each", "fields", "data", *ATTRIBUTES)


def shipped() -> Path:
    """Directory of the mappings that come with citywatch."""
    return Path(__file__).parent / "shapes"


def mapping_files(paths: Iterable[Path]) -> list[Path]:
    """Mapping files in `paths`, directories looked into. Raises MappingError for a path that is not there."""
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            files += sorted(path.glob("*.yaml"))
        elif path.exists():
            files.append(path)
        else:
            raise MappingError(f"no such mapping file or directory: {path}")
    return files


def load_mappings(paths: Sequence[Path] | None = None, *, judged: bool = False) -> list[Mapping]:
    """Mappings of files and directories; by default those that are shipped.

    Raises MappingError, with the place in its file, for the first thing that is wrong. The expressions of shipped
    mappings are judged where `judged` asks for it (as the tests do): they come as tested, and a start is quick.
    """
    files = mapping_files(paths if paths is not None else [shipped()])
    mappings = [read_mapping(file, judged=judged or file.parent != shipped()) for file in files]
    seen: dict[str, Mapping] = {}
    for mapping in mappings:
        if mapping.name in seen:
            raise MappingError(
                f"a second mapping {mapping.name!r}",
                where=mapping.place,
                hint=f"the first is {seen[mapping.name].place}",
            )
        seen[mapping.name] = mapping
    return mappings


def read_mapping(file: Path, *, judged: bool = True) -> Mapping:
    """The mapping in `file`, its expressions judged. Raises MappingError."""
    try:
        nodes = document.read_documents(file)
    except RuleError as error:
        raise MappingError(error.what, where=error.where, hint=error.hint) from error
    if len(nodes) != 1:
        raise MappingError(f"holds {len(nodes)} documents, a mapping file holds one", where=Place(file))
    mapping = _mapping(_table(nodes[0]), file)
    if judged:
        verify(mapping)
    return mapping


def _mapping(node: document.Mapping, file: Path) -> Mapping:
    _only(node, _KEYS)
    name = _text(_needed(node, "name"))
    if name != file.stem:
        raise MappingError(f"name is {name!r} but the file is {file.name}", where=node.places["name"])
    named = _table(_needed(node, "fields"))
    fields = tuple(_field(key, value, named.places[key]) for key, value in named.items.items())
    returns = node.items.get("from")
    return Mapping(
        name=name,
        title=_text(_needed(node, "title")),
        place=node.place,
        formats=frozenset(_format(item) for item in _listed(node.items.get("format"))) or frozenset({Format.JSON}),
        required=_recognised(_needed(node, "recognise")),
        absent=frozenset(_texts(node.items.get("absent"))),
        fields=fields,
        outputs=tuple(_output(_table(item)) for item in _some(_needed(node, "to"), "no record becomes an event")),
        refusals=tuple(_refusal(_table(item)) for item in _listed(node.items.get("refuse"))),
        returns=_return(_table(returns)) if returns else None,
        samples=tuple(_sample(_table(item)) for item in _listed(node.items.get("samples"))),
        description=_text(node.items["description"]) if "description" in node.items else "",
        null=frozenset(_texts(node.items.get("null"))),
        layouts=tuple(_layout(item) for item in _listed(node.items.get("columns"))),
    )


def _recognised(node: Node) -> tuple[frozenset[str], ...]:
    """Groups of keys, of each of which one is in every record of the shape."""
    every = "a mapping that is recognised by nothing fits every record"
    return tuple(frozenset(_texts(item)) for item in _some(node, every) if _some(item, every))


def _field(name: str, node: Node, place: Place) -> Field:
    return Field(name, tuple(_texts(node)) or (name,), place)


def _format(node: Node) -> Format:
    try:
        return Format(_text(node))
    except ValueError as error:
        raise MappingError(f"unknown format {_text(node)!r}", where=node.place, hint="json or csv") from error


def _layout(node: Node) -> tuple[str, ...]:
    """Names of columns, written as the header that the rows lack."""
    return tuple(column_names(_text(node).split(",")))


def _output(node: document.Mapping) -> Output:
    _only(node, _OUTPUT_KEYS)
    for name in ("source", "type", "id"):
        _needed(node, name)
    fields = _expressions(node.items.get("fields"))
    for name, expression in fields.items():
        if name not in SENT:
            known = "derived, not set" if name in BY_NAME else "no known field"
            hint = None if name in BY_NAME else nearest(name, SENT)
            raise MappingError(f"{name} is {known}", where=expression.place, hint=hint or "put it below data")
    return Output(
        attributes={name: _expression(node.items[name]) for name in ATTRIBUTES if name in node.items},
        fields=fields,
        data=_expressions(node.items.get("data")),
        place=node.place,
        when=_maybe(node, "when"),
        each=_maybe(node, "each"),
    )


def _refusal(node: document.Mapping) -> Refusal:
    _only(node, ("when", "reason"))
    return Refusal(_expression(_needed(node, "when")), _expression(_needed(node, "reason")))


def _return(node: document.Mapping) -> Return:
    _only(node, ("when", "record", "line", "header"))
    line = _maybe(node, "line")
    record = None if line else _needed(node, "record")
    header = _optional(node, "header")
    if header is not None and line is None:
        raise MappingError("only lines have a header", where=node.places["header"], hint="write line, not record")
    return Return(_expression(_needed(node, "when")), _expressions(record), line, header)


def _sample(node: document.Mapping) -> Sample:
    _only(node, ("name", "record", "events", "rejected", "arrived", "date", "returns"))
    record = _needed(node, "record")
    raw = _text(record) if isinstance(record, Scalar) else json.dumps(record.value, ensure_ascii=False)
    return Sample(
        name=_text(_needed(node, "name")),
        place=node.place,
        raw=raw,
        events=tuple(_table(item).value for item in _listed(node.items.get("events"))),
        rejected=tuple(_texts(node.items.get("rejected"))),
        arrived=_optional(node, "arrived"),
        date=_optional(node, "date"),
        returns="returns" not in node.items or bool(node.items["returns"].value),
    )


def _optional(node: document.Mapping, key: str) -> str | None:
    return _text(node.items[key]) if key in node.items else None


def _maybe(node: document.Mapping, key: str) -> Expression | None:
    return _expression(node.items[key]) if key in node.items else None


def _expressions(node: Node | None) -> dict[str, Expression]:
    return {key: _expression(value) for key, value in _items(node)} if node else {}


def _expression(node: Node) -> Expression:
    return Expression(_text(node).strip(), node.place)


def _items(node: Node) -> Iterable[tuple[str, Node]]:
    return _table(node).items.items()


def _needed(node: document.Mapping, key: str) -> Node:
    if key not in node.items:
        raise MappingError(f"{key} is missing", where=node.place, hint="docs: how to write a mapping")
    return node.items[key]


def _only(node: document.Mapping, keys: Sequence[str]) -> None:
    for key, place in node.places.items():
        if key not in keys:
            hint = nearest(key, keys) or f"known: {', '.join(keys)}"
            raise MappingError(f"unknown key {key!r}", where=place, hint=hint)


def _table(node: Node) -> document.Mapping:
    if not isinstance(node, document.Mapping):
        raise MappingError("a table of keys is wanted here", where=node.place)
    return node


def _listed(node: Node | None) -> list[Node]:
    """Items of a list; one value alone is a list of one."""
    if node is None:
        return []
    return node.items if isinstance(node, document.Sequence) else [node]


def _some(node: Node, otherwise: str) -> list[Node]:
    """Items of a list that has any. Raises MappingError."""
    items = [item for item in _listed(node) if not (isinstance(item, Scalar) and item.value is None)]
    if not items:
        raise MappingError(f"the list is empty: {otherwise}", where=node.place)
    return items


def _texts(node: Node | None) -> list[str]:
    return [_text(item) for item in _listed(node) if not (isinstance(item, Scalar) and item.value is None)]


def _text(node: Node) -> str:
    if not isinstance(node, Scalar):
        raise MappingError("a text is wanted here", where=node.place)
    return node.text
