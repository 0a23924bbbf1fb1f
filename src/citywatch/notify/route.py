"""Routes: which alerts go to whom."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from citywatch.delivery import Follow
from citywatch.errors import Place
from citywatch.notify import Notifier
from citywatch.notify.hours import Hours
from citywatch.notify.pace import Rate
from citywatch.rules.problems import nearest


@dataclass(frozen=True, slots=True)
class Target:
    """One receiver: a notifier, made for it, and at most how many messages it is sent."""

    name: str
    kind: str
    notifier: Notifier
    rate: Rate | None
    bundle: int
    place: Place


@dataclass(frozen=True, slots=True)
class Route:
    """Which alerts go to whom. An empty condition holds for every alert; all of them have to hold."""

    name: str
    place: Place
    to: tuple[str, ...]
    level: tuple[str, ...] = ()
    at_least: str | None = None
    rule: tuple[str, ...] = ()
    zone: tuple[str, ...] = ()
    precinct: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    hours: Hours | None = None
    quiet: Hours | None = None
    reveal: str | None = None
    follow: Follow | None = None
    """What its receivers are told of an alert afterwards; None: what is usual for each."""


@dataclass(frozen=True, slots=True)
class Routes:
    """All routes of a data directory, and the receivers that they name. `page` is the address of the console."""

    routes: Sequence[Route] = ()
    targets: Mapping[str, Target] = field(default_factory=dict)
    members: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Name of a notifier -> names of its receivers."""
    page: str | None = None

    def route(self, name: str) -> Route | None:
        """The route of that name."""
        return next((route for route in self.routes if route.name == name), None)

    def follow(self, target: str, route: str) -> Follow:
        """What a receiver is told of an alert after the first message, which came by a route that may be gone."""
        if (found := self.route(route)) is not None and found.follow is not None:
            return found.follow
        return self.targets[target].notifier.FOLLOWS if target in self.targets else Follow.NOTHING

    def following(self) -> list[str]:
        """Names of the receivers that may be told of an alert again."""
        routed = {name for route in self.routes if route.follow for name in self.receivers(route)}
        return [name for name, t in self.targets.items() if name in routed or t.notifier.FOLLOWS is not Follow.NOTHING]

    def receivers(self, route: Route) -> list[str]:
        """Names of the receivers that a route leads to, each once."""
        return list(dict.fromkeys(member for name in route.to for member in self.members[name]))

    def doubts(self, *, rules: Sequence[str], zones: Sequence[str], tags: Sequence[str]) -> Iterator[str]:
        """Conditions that can hold for no alert of these rules and zones, as sentences with their places."""
        for route in self.routes:
            for kind, wanted, known in (
                ("rule", route.rule, rules),
                ("zone", route.zone, zones),
                ("tag", route.tags, tags),
            ):
                for word in wanted:
                    if not any(fnmatchcase(name, word) for name in known):
                        hint = nearest(word, known)
                        yield f"{route.place}: route {route.name}: no {kind} {word!r}" + (f" ({hint})" if hint else "")
