"""The file of routes: who is told of which alerts. Read from YAML, with the line of whatever is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from citywatch.alert import Level
from citywatch.delivery import Follow
from citywatch.errors import RouteError, RouteErrors, RuleError
from citywatch.notify import NOTIFIERS, UNROUTED, Notifier, notifier
from citywatch.notify.hours import Hours, Span
from citywatch.notify.options import RATE, REQUIRED, Option, check_url, listed, parsed, text
from citywatch.notify.pace import Rate
from citywatch.notify.route import Route, Routes, Target
from citywatch.rules import document
from citywatch.rules.document import Node
from citywatch.rules.problems import nearest

FILE = "routes.yaml"

TOP = ("page", "notifiers", "routes")

LEVELS = tuple(level.value for level in Level)


NO_ROUTES = Routes()


def load_routes(data: Path) -> Routes:
    """The routes of a data directory; none where it has no such file. Raises RouteErrors with all that is wrong."""
    file = data / FILE
    if not file.exists():
        return NO_ROUTES
    try:
        documents = document.read_documents(file)
    except RuleError as error:
        raise RouteErrors([RouteError(error.what, where=error.where, hint=error.hint)]) from error
    if not documents:
        return NO_ROUTES
    return _Reading(data).routes(documents)


class _Reading:
    """Reads one file, and gathers what is wrong with it."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._errors: list[RouteError] = []

    def routes(self, documents: list[Node]) -> Routes:
        """All of it; raises RouteErrors."""
        found = NO_ROUTES
        with self._gathering():
            found = self._routes(documents)
        if self._errors:
            raise RouteErrors(self._errors)
        return found

    def _routes(self, documents: list[Node]) -> Routes:
        if len(documents) > 1:
            raise RouteError("a second document begins here: a file of routes is one", where=documents[1].place)
        top = _table(documents[0])
        _only(top, TOP)
        made: dict[str, list[Target]] = {}
        for name, node in _items(top, "notifiers"):
            made[name] = []
            with self._gathering():
                made[name] = list(self._targets(name, node))
        routes: dict[str, Route] = {}
        for node in _list(top, "routes"):
            with self._gathering():
                route = _route(node, made, routes)
                routes[route.name] = route
        return Routes(
            tuple(routes.values()),
            {target.name: target for targets in made.values() for target in targets},
            {name: tuple(target.name for target in targets) for name, targets in made.items()},
            parsed(top.items["page"], check_url).rstrip("/") if "page" in top.items else None,
        )

    def _targets(self, name: str, node: Node) -> Iterator[Target]:
        """The receivers of one notifier."""
        table = _table(node)
        kind, made = _kind(table)
        _only(table, ("type", *(["at_most"] if made.RATE else []), *(option.name for option in made.OPTIONS)))
        given = {option.argument or option.name: self._value(option, table) for option in made.OPTIONS}
        rate = Rate.read(made.RATE) if made.RATE else None
        if "at_most" in table.items:
            rate = RATE.read(table.items["at_most"], self._data)
        each = getattr(made, "EACH", None)
        for one in given.pop(each) if each else (None,):
            try:
                opened = made(**given, **({each: one} if each else {}))
            except ValueError as error:
                raise RouteError(f"notifier {name}: {error}", where=table.place) from error
            yield Target(f"{name}/{one}" if each else name, kind, opened, rate, made.BUNDLE, table.place)

    def _value(self, option: Option, table: document.Mapping) -> Any:
        if option.name in table.items:
            return option.form.read(table.items[option.name], self._data)
        if option.default is REQUIRED:
            raise RouteError(f"{option.name} is missing", where=table.place, hint=option.meaning)
        return self._data / option.default if isinstance(option.default, Path) else option.default

    @contextmanager
    def _gathering(self) -> Iterator[None]:
        """What is wrong here is kept, and reading goes on behind it."""
        try:
            yield
        except RouteError as error:
            self._errors.append(error)


def _kind(table: document.Mapping) -> tuple[str, type[Notifier]]:
    kind = text(_needed(table, "type"))
    routed = [name for name in NOTIFIERS if name not in UNROUTED]
    if kind not in routed:
        hint = "the terminal shows every alert by itself" if kind in UNROUTED else nearest(kind, routed)
        raise RouteError(f"there is no notifier of type {kind!r}", where=table.places["type"], hint=hint)
    return kind, notifier(kind)


ROUTE_KEYS = {
    "name": "name of the route",
    "to": "notifiers, one or a list",
    "level": "only alerts of this level, or of one of these",
    "at_least": "only alerts of this level and above",
    "rule": "only alerts of this rule, or of one of these; `*` stands for any letters",
    "zone": "only alerts whose place lies in this zone, or in one of these",
    "precinct": "only alerts of this precinct, or of one of these",
    "tags": "only alerts of rules with this tag, or one of these",
    "hours": "only at these times of the week: when it is decided who is told, in the city's local time",
    "quiet": "at these times of the week all but critical alerts wait, and come as one message when they are over",
    "follow": "what is told of an alert afterwards: `nothing`, its `outcome` (closed, corrected, open again, level up)"
    " or `everything` (acknowledged and shelved, too). Absent: `everything` for cap and geojson, else `nothing`",
    "reveal": "show plates, names and faces, for the purpose that is written here; each such alert is recorded",
}
"""Keys of a route, and what they mean."""


def _route(node: Node, made: Mapping[str, Sequence[Target]], before: Mapping[str, Route]) -> Route:
    table = _table(node)
    _only(table, tuple(ROUTE_KEYS))
    name = text(_needed(table, "name"))
    if name in before:
        raise RouteError(
            f"a second route {name!r}", where=table.places["name"], hint=f"the first is {before[name].place}"
        )
    follow = parsed(table.items["follow"], _follow) if "follow" in table.items else None
    for item in listed(_needed(table, "to")):
        _check_receiver(item, made, follow)
    return Route(
        name=name,
        place=table.place,
        to=_texts(table, "to"),
        level=_levels(table, "level"),
        at_least=next(iter(_levels(table, "at_least")), None),
        rule=_texts(table, "rule"),
        zone=_texts(table, "zone"),
        precinct=_texts(table, "precinct"),
        tags=_texts(table, "tags"),
        hours=_hours(table, "hours"),
        quiet=_hours(table, "quiet"),
        follow=follow,
        reveal=text(table.items["reveal"]) if "reveal" in table.items else None,
    )


def _follow(word: str) -> Follow:
    try:
        return Follow(word)
    except ValueError:
        raise ValueError(f"{word!r} is not possible here: {', '.join(Follow)}") from None


def _check_receiver(item: Node, made: Mapping[str, Sequence[Target]], follow: Follow | None) -> None:
    name = text(item)
    if name not in made:
        hint = nearest(name, made) or "name it under notifiers:"
        raise RouteError(f"there is no notifier {name!r} in this file", where=item.place, hint=hint)
    if any(target.kind == "heartbeat" for target in made[name]):
        raise RouteError(
            f"{name} is a heartbeat: it is told of no alert", where=item.place, hint="it beats without a route"
        )
    if follow not in (None, Follow.NOTHING) and any(getattr(target.notifier, "once", False) for target in made[name]):
        raise RouteError(f"{name} has no word for what becomes of an alert: it cannot follow", where=item.place)


def _levels(table: document.Mapping, key: str) -> tuple[str, ...]:
    for item in listed(table.items[key]) if key in table.items else ():
        if text(item) not in LEVELS:
            raise RouteError(f"there is no level {text(item)!r}", where=item.place, hint=f"known: {', '.join(LEVELS)}")
    return _texts(table, key)


def _hours(table: document.Mapping, key: str) -> Hours | None:
    if key not in table.items:
        return None
    return Hours(tuple(parsed(item, Span.read) for item in listed(table.items[key])))


def _texts(table: document.Mapping, key: str) -> tuple[str, ...]:
    return tuple(text(item) for item in listed(table.items[key])) if key in table.items else ()


def _items(table: document.Mapping, key: str) -> Iterator[tuple[str, Node]]:
    if key in table.items:
        yield from _table(table.items[key]).items.items()


def _list(table: document.Mapping, key: str) -> list[Node]:
    if key not in table.items:
        return []
    node = table.items[key]
    if not isinstance(node, document.Sequence):
        raise RouteError("a list of routes is wanted here", where=node.place, hint="begin each with `- name:`")
    return node.items


def _table(node: Node) -> document.Mapping:
    if not isinstance(node, document.Mapping):
        raise RouteError("a table of keys is wanted here", where=node.place)
    return node


def _needed(table: document.Mapping, key: str) -> Node:
    if key not in table.items:
        raise RouteError(f"{key} is missing", where=table.place)
    return table.items[key]


def _only(table: document.Mapping, keys: Sequence[str]) -> None:
    for key, place in table.places.items():
        if key not in keys:
            raise RouteError(f"unknown key {key!r}", where=place, hint=nearest(key, keys))
