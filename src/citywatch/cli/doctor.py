"""`citywatch doctor`: what is here, what is missing, and how to get it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from citywatch.cli.finding import Finding
from citywatch.cli.kept import key_problems, retention_in_words
from citywatch.cli.options import data_option
from citywatch.errors import CitywatchError
from citywatch.settings import MINUTE
from citywatch.wording import printable

if TYPE_CHECKING:
    from citywatch.delivery import Standing

_GIB = 1 << 30
_NEEDS = ("duckdb", "pyarrow", "numpy", "django", "shapely", "vl-convert-python")
_BEHIND = 10_000
_STUCK = 5 * MINUTE
_MARKS = {"ok": ("ok", "green"), "note": ("note", "yellow"), "bad": ("BAD", "red")}


@click.command()
@data_option
@click.option("--cluster", "far", is_flag=True, help="Look at the connections of the setting `cluster`, too.")
def doctor(data: Path, *, far: bool) -> None:
    """Explain this machine and this data directory: what is well, what is not, and what to do next.

    Exit code 1 when something has to be mended.
    """
    bad = False
    looks = {"machine": machine, "data directory": directory, "engine": engine, "places": places}
    looks |= {"images and tickets": work, "rules": rules, "routes": routes}
    if far:
        from citywatch.cli.cluster import cluster

        looks["cluster"] = cluster
    for title, look in looks.items():
        if found := list(_found(look, data)):
            click.echo(click.style(title, bold=True))
        for finding in found:
            bad = bad or finding.state == "bad"
            mark, color = _MARKS[finding.state]
            click.echo(f"  {click.style(f'{mark:<4}', fg=color)}  {printable(finding.what)}")
            if finding.next:
                click.echo(f"        {printable(finding.next)}")
    if bad:
        sys.exit(1)


def _found(look: Callable[[Path], Iterator[Finding]], data: Path) -> Iterator[Finding]:
    """What `look` finds; an error that a user can meet is a finding as well."""
    try:
        yield from look(data)
    except CitywatchError as error:
        yield Finding("bad", f"{error.where}: {error.what}" if error.where else error.what, error.hint or "")


def machine(_: Path) -> Iterator[Finding]:
    """Python, packages, cores, memory."""
    yield Finding("ok", f"Python {platform.python_version()} on {platform.system()} {platform.machine()}")
    for name in _NEEDS:
        try:
            yield Finding("ok", f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            yield Finding("bad", f"{name} is not installed", "install it with `make setup` or `uv sync --frozen`")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIB
    small = "" if memory >= 2 else "2 GiB are enough for any load; with less, keep rules' timespans short"
    yield Finding("note" if small else "ok", f"{cores} cores, {memory:.1f} GiB of memory", small)


def directory(data: Path) -> Iterator[Finding]:
    """Format, settings, room, history, identities."""
    from citywatch.stores.directory import FORMAT_VERSION, DataDirectory
    from citywatch.stores.history import summary

    found = DataDirectory(data)
    if not found.exists():
        yield Finding(
            "note", f"{data.absolute()} is no data directory yet", "`citywatch run` and `citywatch up` make it"
        )
        return
    settings = ", ".join(f"{name} {_setting(value)}" for name, value in found.stored().items())
    yield Finding("ok", f"{data.absolute()}, format {FORMAT_VERSION}; made with {settings}")
    yield _room(*found.free())
    history = summary(found)
    yield Finding(
        "ok",
        f"{history['events']:,} events in {history['files']:,} files ({history['days']:,} days are put together), "
        f"{history['bytes'] / _GIB:.2f} GiB",
    )
    yield Finding("ok", retention_in_words(found.settings().retention))
    yield from (Finding("bad", what, next_) for what, next_ in key_problems(data / "pseudonyms.key"))


def _room(free: int, reserve: int) -> Finding:
    """What is left of the disk above the reserve, in bytes both."""
    room = f"{_size(max(free, 0))} free, and {_size(reserve)} kept back"
    if free <= 0:
        return Finding("bad", room, "free some space: nothing is accepted until then")
    if free < reserve:
        return Finding("note", room, "free some space: much at once is refused already")
    return Finding("ok", room)


def _size(size: int) -> str:
    return f"{size / _GIB:.1f} GiB" if size >= _GIB else f"{size >> 20} MiB"


def _setting(value: Any) -> str:
    return f"{value / 1_000_000:g}s" if isinstance(value, int) else str(value)


def engine(data: Path) -> Iterator[Finding]:
    """Who writes here, clocks, and what has become of the records."""
    from citywatch.stores.desk import Desk
    from citywatch.stores.directory import DataDirectory
    from citywatch.triage import Choice

    found = DataDirectory(data)
    if not found.exists():
        return
    running = found.busy()
    yield Finding("ok", f"process {found.writer()} writes here" if running else "no engine is running here")
    with Desk(found.desk) as desk:
        status, stores = desk.status().get("engine"), desk.status().get("stores", {})
        rejected = desk.rejected_count()
        resting = sum(1 for _ in desk.lines(Choice(rules=("key_overflow",), states=("open",))))
    if status:
        yield from _clocks(status, running=running)
        yield from _counts(status["counts"])
        yield from _silent(status) if running else ()
    yield from _stores(stores)
    if resting:
        what = f"{resting:,} open alerts say that a key has too many events for a rule, which leaves it out meanwhile"
        yield Finding("note", what, "`citywatch alerts list --rule key_overflow` names rule and key")
    look = "`citywatch rejected list` says why; `citywatch rejected replay` tries again" if rejected else ""
    yield Finding("note" if rejected else "ok", f"{rejected:,} different rejected records are waiting", look)


def _clocks(status: dict[str, Any], *, running: bool) -> Iterator[Finding]:
    now = time.time_ns() // 1000
    clock = status["clock"]
    if status["events"]:
        behind = f", {_span(now - clock)} behind this machine's" if running else ""
        yield Finding("ok", f"the clock stands at {_iso(clock)}{behind}")
    waiting = status["events"] - status["evaluated"]
    slow = "the rules are slower than the events: see `citywatch rules list` for the largest windows"
    yield Finding(
        "note" if waiting > _BEHIND else "ok",
        f"{waiting:,} accepted events have not yet been through the rules",
        slow if waiting > _BEHIND else "",
    )
    for predicate, rows in status["errors"].items():
        yield Finding("note", f"{predicate} failed on {rows:,} events, and was not true there", "see `citywatch rules`")


def _silent(status: dict[str, Any]) -> Iterator[Finding]:
    """Live sources that are not heard."""
    for name, why in status.get("silent", {}).items():
        yield Finding("note", f"{name} is not heard: {why}", "it is tried again until it answers")


def _stores(stores: dict[str, Any]) -> Iterator[Finding]:
    """How far each store elsewhere is behind."""
    for name, standing in stores.items():
        lacks = (
            f"{standing['events']:,} events and {standing['alerts']:,} changes of alerts" if standing["alerts"] else ""
        )
        lacks = lacks or (f"{standing['events']:,} events" if standing["events"] else "")
        if standing["trouble"]:
            what = f"{name} lacks {lacks or 'nothing that is known'}, since {_iso(standing['level_at'])}"
            yield Finding("note", f"{what}: {standing['trouble']}", "nothing is lost: it gets them when it is back")
        else:
            yield Finding("ok", f"{name} " + (f"still gets {lacks}" if lacks else "has all events and alerts"))
        if refused := standing.get("refused"):
            yield Finding("note", f"{name} can never store {refused:,} rows since the last start: {standing['why']}")


def _counts(counts: dict[str, int]) -> Iterator[Finding]:
    yield Finding(
        "ok",
        f"read so far: {counts['events']:,} events, {counts['duplicates']:,} duplicates, "
        f"{counts['rejected']:,} rejected; of the events {counts['late']:,} late, {counts['stale']:,} stale",
    )
    if conflicts := counts["conflicts"]:
        yield Finding(
            "note",
            f"{conflicts:,} conflicts: a known source and id came again with another time or payload; the first stays",
            "its sender gives the same id to different events",
        )
    if backfill := counts["backfill"]:
        yield Finding(
            "note",
            f"{backfill:,} events are backfill: received before the clock, so kept in history and seen by no rule",
            "`citywatch rules backtest` applies rules to them; an old file is best read before newer ones",
        )


def places(data: Path) -> Iterator[Finding]:
    """Devices and precincts, and devices of the last day whose place nobody knows."""
    from citywatch.cli.places import devices, lost, precincts

    if (known := devices(data)) is None:
        return
    if known.entries:
        yield Finding("ok", f"{len(known.ids):,} devices in devices.csv")
    if outlines := precincts(data):
        yield Finding("ok", f"{outlines:,} precincts in precincts.geojson")
    if what := lost(data, known):
        yield Finding("note", what, f"name them in {data}/devices.csv: device_id,device_kind,lat,lon,name,from,until")


def work(data: Path) -> Iterator[Finding]:
    """Images that are kept, and proposals for tickets that wait for a person."""
    from citywatch.stores.desk import Desk
    from citywatch.stores.directory import DataDirectory
    from citywatch.stores.gallery import Gallery

    found = DataDirectory(data)
    if not found.exists():
        return
    images, size = Gallery(found).totals()
    yield Finding("ok", f"{images:,} images, {size / _GIB:.2f} GiB")
    with Desk(found.desk) as desk:
        waiting = desk.proposal_counts()["proposed"]
    decide = "`citywatch tickets list` shows them, as does the page" if waiting else ""
    yield Finding("ok", f"{waiting:,} proposals for tickets wait for a decision", decide)


def rules(data: Path) -> Iterator[Finding]:
    """Whether the rules and mappings load."""
    from citywatch.cli.hosting import Host

    host = Host(data)
    alerting = sum(rule.alerts for rule in host.ruleset.rules)
    places = ", ".join(str(path) for path in host.rules())
    yield Finding("ok", f"{alerting} rules that alert, from {places}")
    yield Finding("ok", f"{len(host.mappings)} mappings")


def routes(data: Path) -> Iterator[Finding]:
    """Whether the routes load, and who could not be told of alerts."""
    from citywatch.notify.routes import FILE, load_routes
    from citywatch.stores.desk import Desk
    from citywatch.stores.directory import DataDirectory

    if not (data / FILE).exists():
        yield Finding(
            "ok", "no routes: alerts are shown here, and sent to nobody", "`citywatch notify new` begins some"
        )
        return
    found = load_routes(data)
    yield Finding("ok", f"{len(found.routes)} routes to {len(found.targets)} receivers")
    if not DataDirectory(data).desk.exists():
        return
    with Desk(DataDirectory(data).desk) as desk:
        standings, undecided, status = desk.standings(), desk.undecided(), desk.status()
    if undecided:
        yield Finding("note", f"{undecided:,} alerts wait for `citywatch up`, which tells people of them")
    for standing in standings:
        yield from _standing(standing, time.time_ns() // 1000)
    for name in (name for name, target in found.targets.items() if target.kind == "heartbeat"):
        if trouble := (status.get(f"heartbeat/{name}") or {}).get("trouble"):
            yield Finding("note", f"heartbeat {name}: {trouble}")


def _standing(standing: Standing, now: int) -> Iterator[Finding]:
    name = standing.target
    if standing.refused:
        yield Finding(
            "bad",
            f"{name} takes nothing of ours: {standing.error}",
            f"mend it, then try `citywatch notify test {name}`",
        )
    elif standing.failures:
        yield Finding(
            "note", f"{name} fails, {standing.failures} times in a row: {standing.error}", "it is tried again"
        )
    if standing.oldest is not None and now - standing.oldest > _STUCK:
        waits = f"{standing.waiting:,} alerts wait for {name}, the oldest for {_span(now - standing.oldest)}"
        yield Finding("note", waits, "they are sent while `citywatch up` runs, within the receiver's bound")
    if standing.given_up:
        lost = f"{standing.given_up:,} alerts were not taken by {name}, and are not tried any more"
        yield Finding("note", lost, f"`citywatch notify retry {name}` tries again")


def _iso(time_us: int) -> str:
    return datetime.fromtimestamp(time_us / 1e6, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _span(us: int) -> str:
    seconds = us / 1_000_000
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if abs(seconds) >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"
