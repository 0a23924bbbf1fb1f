"""`citywatch notify`: who is told of which alerts, whether that works, and what became of it."""

from __future__ import annotations

import json
import sys
import time
import uuid
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

from citywatch.cli.options import data_option
from citywatch.cli.run import rules_option
from citywatch.errors import DeliveryError, UsageError
from citywatch.wording import iso, micros

if TYPE_CHECKING:
    from citywatch.delivery import Standing
    from citywatch.notify.message import Message
    from citywatch.notify.route import Route, Routes, Target
    from citywatch.stores.desk import Desk
    from citywatch.triage import Listed


@click.group()
def notify() -> None:
    """Test, list and explain who is told of which alerts."""


def _routes(data: Path) -> Routes:
    from citywatch.notify.routes import FILE, load_routes

    routes = load_routes(data)
    if not (data / FILE).exists():
        click.echo(f"there is no {data / FILE}: `citywatch notify new` writes one to begin with", err=True)
    return routes


def _desk(data: Path) -> Desk:
    from citywatch.stores.desk import Desk

    return Desk(data / "desk.sqlite", create=False)


def _standings(data: Path) -> dict[str, Standing]:
    if not (data / "desk.sqlite").exists():
        return {}
    with _desk(data) as desk:
        return {standing.target: standing for standing in desk.standings()}


@notify.command()
@data_option
def new(data: Path) -> None:
    """Write a file of routes to begin with, and its schema for editors."""
    from citywatch.notify.routes import FILE
    from citywatch.notify.starter import SCHEMA_FILE, STARTER, routes_schema

    file = data / FILE
    if file.exists():
        raise UsageError(f"{file} is there already")
    data.mkdir(parents=True, exist_ok=True)
    file.write_text(STARTER, "utf-8")
    (data / SCHEMA_FILE).write_text(json.dumps(routes_schema(), indent=2) + "\n", "utf-8")
    click.echo(f"wrote {file}")


@notify.command("list")
@data_option
@rules_option
def list_(data: Path, rules: tuple[Path, ...]) -> None:
    """Show the routes as they are understood, and how each receiver stands."""
    from citywatch.cli.delivery import doubts
    from citywatch.cli.hosting import Host

    routes = _routes(data)
    for route in routes.routes:
        click.secho(route.name, bold=True)
        for words in _conditions(route):
            click.echo(f"  {words}")
        click.echo(f"  -> {', '.join(routes.receivers(route))}")
    standings = _standings(data)
    if routes.targets:
        click.secho("receivers", bold=True)
    for name, target in routes.targets.items():
        bound = f", at most {target.rate}" if target.rate else ""
        state = "beats while `citywatch up` runs" if target.kind == "heartbeat" else _state(standings.get(name))
        click.echo(f"  {name} ({target.kind}{bound})  {state}")
    for doubt in doubts(Host(data, rules), routes):
        click.echo(doubt, err=True)


def _conditions(route: Route) -> Iterator[str]:
    names = ("level", "rule", "zone", "precinct", "tags")
    found = [f"{name} {' or '.join(getattr(route, name))}" for name in names if getattr(route, name)]
    found += [f"at least {route.at_least}"] if route.at_least else []
    yield ", ".join(found) or "every alert"
    if route.hours:
        yield f"open {route.hours}"
    if route.quiet:
        yield f"quiet {route.quiet}: all but critical alerts wait until it is over"
    if route.follow:
        yield f"follows {route.follow} of each alert"
    if route.reveal:
        yield f"plates, names and faces are shown: {route.reveal}"


def _state(standing: Standing | None) -> str:
    if standing is None:
        return "nothing yet"
    parts = [f"{standing.told:,} told"]
    parts += [f"{standing.waiting:,} waiting"] if standing.waiting else []
    parts += [f"{standing.held:,} held back"] if standing.held else []
    parts += [f"{standing.given_up:,} given up"] if standing.given_up else []
    parts += [f"{'refuses us' if standing.refused else 'failing'}: {standing.error}"] if standing.error else []
    return ", ".join(parts)


@notify.command()
@click.argument("name", required=False)
@data_option
def test(name: str | None, data: Path) -> None:
    """Send a test alert, and say what happened.

    NAME is a route, a notifier or one of its receivers; without it, all are tried. Exit code 1 when one failed.
    """
    routes = _routes(data)
    chosen = _chosen(routes, name)
    if not chosen:
        raise UsageError("there is nobody to tell", hint="name notifiers in routes.yaml")
    failed = False
    for target in chosen:
        begin = time.monotonic()
        fine, words = _tried(target, _test_message(data, routes))
        failed = failed or not fine
        mark = click.style("ok", fg="green") if fine else click.style("FAILED", fg="red")
        click.echo(f"{mark}  {target.name}: {words} ({time.monotonic() - begin:.1f} s)")
    if failed:
        sys.exit(1)


def _chosen(routes: Routes, name: str | None) -> list[Target]:
    """The receivers that a word means: those of a route, of a notifier, or one alone."""
    if name is None:
        return list(routes.targets.values())
    if route := routes.route(name):
        return [routes.targets[receiver] for receiver in routes.receivers(route)]
    names = routes.members.get(name, (name,) if name in routes.targets else ())
    if not names:
        known = [route.name for route in routes.routes] + list(routes.members)
        raise UsageError(f"there is no route and no notifier {name!r}", hint=f"known: {', '.join(known) or 'none'}")
    return [routes.targets[receiver] for receiver in names]


def _tried(target: Target, message: Message) -> tuple[bool, str]:
    try:
        return True, target.notifier.send(message)
    except DeliveryError as error:
        return False, str(error)


def _test_message(data: Path, routes: Routes) -> Message:
    from citywatch.delivery import Kind
    from citywatch.notify.message import Message
    from citywatch.stores.directory import DataDirectory

    now = time.time_ns() // 1000
    key = uuid.uuid4().hex * 2
    return Message(
        key=key,
        kind=Kind.ALERT,
        alerts=[_test_alert(key, now)],
        total=1,
        rules={"test": 1},
        zone=DataDirectory(data).settings().zone,
        at=now,
        page=routes.page,
        test=True,
    )


def _test_alert(key: str, now: int) -> dict[str, Any]:
    """An alert that nothing happened for."""
    words = {"title": "This is a test of citywatch", "reason": "somebody called `citywatch notify test`"}
    fixed = {"rule": "test", "rule_id": str(uuid.UUID(int=0)), "rule_version": "1", "level": "informational"}
    nothing = dict.fromkeys(("lat", "lon", "address", "outcome", "assignee"))
    seen = dict.fromkeys(("first_seen", "last_seen", "updated_at"), iso(now))
    more = {"status": "test", "group": {}, "count": 1, "late": False, "values": {}, "evidence": [], "state": "open"}
    return {"id": key, **fixed, **words, **seen, **nothing, **more}


@notify.command()
@click.argument("alert")
@data_option
@rules_option
def explain(alert: str, data: Path, rules: tuple[Path, ...]) -> None:
    """Say which routes an alert took, why not the others, and what became of its messages.

    Routes are judged as they are now, at the time when it was decided who is told.
    """
    from citywatch.cli.delivery import city
    from citywatch.cli.hosting import Host
    from citywatch.notify.matching import obstacles, seen

    routes, around = _routes(data), city(Host(data, rules))
    with _desk(data) as desk:
        listed = desk.alert(alert)
        decided, at = desk.decided(alert)
        told = desk.deliveries_of(alert)
    at = at or (_long_ago(told, listed.alert) if decided else time.time_ns() // 1000)
    if why := _untold(listed, around.live, at=at, decided=decided):
        click.echo(why)
    view, takes = seen(listed.alert, around, at=at), "it would go" if why else "yes,"
    for route in routes.routes:
        against, to = "; ".join(obstacles(route, view)), ", ".join(routes.receivers(route))
        click.echo(f"{route.name}: " + (f"no, {against}" if against else f"{takes} to {to}"))
    _print_deliveries(told, around.zone)


def _untold(listed: Listed, live: int, *, at: int, decided: bool) -> str:
    """Why nobody is told of an alert, or not yet; empty when its routes decide that."""
    if not listed.notified:
        return "it notifies nobody: its rule is in test, or it told of the past (see the reference on alerts)"
    if not decided:
        return "it is not decided yet who is told: a running `citywatch up` does that"
    if at - micros(listed.alert["first_seen"]) > live:
        return "it notifies nobody: when that was decided it was older than the setting `live` allows"
    return ""


def _long_ago(told: Iterable[dict[str, Any]], alert: dict[str, Any]) -> int:
    """About when it was decided who is told, where the desk does not know it any more."""
    return min((row["planned"] for row in told if not row["held"]), default=micros(alert["first_seen"]))


def _print_deliveries(told: list[dict[str, Any]], zone: str) -> None:
    def local(us: int) -> str:
        return datetime.fromtimestamp(us / 1e6, UTC).astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M:%S")

    if not told:
        click.echo("nobody was told, or it is long ago")
    for row in told:
        words = f"{row['target']} by route {row['route']}: "
        if row["state"] == "planned":
            held = row["planned"] > time.time_ns() // 1000
            words += f"{'held back until' if held else 'waits since'} {local(row['planned'])}"
        else:
            words += (
                f"{row['state'].replace('_', ' ')} {local(row['at'])}, as {row['kind']}, {row['attempts']} failed tries"
            )
        click.echo(words + (f": {row['error']}" if row["error"] else ""))


@notify.command()
@click.argument("name", required=False)
@data_option
def retry(name: str | None, data: Path) -> None:
    """Try again now what was given up, or is put off: for NAME (a route, notifier or receiver), or for all.

    A running `citywatch up` does it, or the next one.
    """
    targets = [target.name for target in _chosen(_routes(data), name)]
    with _desk(data) as desk:
        click.echo(f"{desk.retry(targets):,} alerts that were given up are tried again, and now what was put off")
