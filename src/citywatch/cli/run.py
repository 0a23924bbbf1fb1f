"""`citywatch run`: read sources, apply the rules, keep history."""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from citywatch.cli.alert_topic import telling_alerts, to_option
from citywatch.cli.interruption import as_interrupt
from citywatch.cli.log import say
from citywatch.cli.options import data_option
from citywatch.cli.refusals import rejected_option, telling_rejected
from citywatch.cli.stores import store_option, storing
from citywatch.errors import UsageError

if TYPE_CHECKING:
    from citywatch.cli.hosting import Host
    from citywatch.engine.embedded import Engine, Summary
    from citywatch.sources.model import Source

_PROGRESS_S = 0.5
_ENDING = (signal.SIGINT, signal.SIGTERM)

rules_option = click.option(
    "--rules",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    help="Rules directory; several may be given. Default: those shipped, and rules/ in the data directory.",
)


def _setting(name: str, meaning: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return click.option(f"--{name}", help=f"{meaning} Belongs to the data directory.")


@click.command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option("--once", is_flag=True, help="Read everything as one input in the order of receipt, then end.")
@data_option
@rules_option
@click.option("--mapping", help="Mapping for all records; else each is recognised by its fields.")
@click.option("--date", type=click.DateTime(["%Y-%m-%d"]), help="Day of records whose time has no date.")
@_setting("lateness", "Events received later than this after they happened are late.")
@_setting("disorder", "How much the order of receipt may be disturbed.")
@_setting("stale", "Events received later than this are kept, and no rule sees them.")
@_setting("zone", "The city's time zone (IANA name).")
@store_option
@to_option
@rejected_option
def run(
    *,
    sources: tuple[str, ...],
    once: bool,
    data: Path,
    rules: tuple[Path, ...],
    mapping: str | None,
    date: datetime | None,
    store: str | None,
    alerts_to: str | None,
    rejected_to: str | None,
    **settings: str | None,
) -> None:
    """Read sources, apply the rules, keep history.

    SOURCE is a path or a glob (.csv .ndjson .json, also .gz, .parquet), - for standard input, sim://city?rate=50,
    mqtt://host/TOPIC or kafka://host/TOPIC.
    Files are read whole, as one input; live sources until they end or Ctrl-C.
    """
    from citywatch.cli.hosting import Host
    from citywatch.sources import open_source
    from citywatch.sources.model import Options

    options = Options(date=date.date() if date else None)
    opened = [source for text in sources for source in open_source(text, options)]
    bounded, live = _sorted_out(opened, once=once)
    overrides = {name: value for name, value in settings.items() if value is not None}
    host = Host(data, rules, overrides, mapping)
    host.check(live)
    with (
        _interruptible(),
        host.engine() as engine,
        storing(host, store) as relaying,
        telling_alerts(host, alerts_to) as alerts,
        telling_rejected(host, rejected_to) as refusals,
    ):
        summary = _read(engine, host, bounded)
        if live:
            summary = _listen(engine, host, live, summary)
        click.echo(json.dumps(summary.as_json()))
        if relaying is not None:
            relaying.drain()
        for relay in (alerts, refusals):
            if relay is not None:
                relay.drain()


def _sorted_out(sources: Sequence[Source], *, once: bool) -> tuple[list[Source], list[Source]]:
    """(sources with an end, live sources). Standard input is live unless it is to be read `once`, to its end."""
    endless = [source for source in sources if not source.bounded]
    if once and endless:
        hint = "try ?duration=10m" if endless[0].name.startswith("sim://") else "leave --once out"
        raise UsageError(f"{endless[0].name} has no end, and --once reads to the end", hint=hint)
    if once:
        return list(sources), []
    live = [source for source in sources if not source.bounded or source.name == "-"]
    return [source for source in sources if source not in live], live


def _read(engine: Engine, host: Host, sources: Sequence[Source]) -> Summary:
    from citywatch.engine.embedded import Summary

    if not sources:
        return Summary()
    with _progress(engine):
        return engine.run_bounded(sources, host.parsers())


def _listen(engine: Engine, host: Host, sources: Sequence[Source], read: Summary) -> Summary:
    """Listen to live sources until all have ended or somebody interrupts."""
    from citywatch.cli.responsive import be_responsive
    from citywatch.engine.embedded import LogFeed

    be_responsive()
    with ExitStack() as stack:
        engine.go_live(host.parser(), misses=not all(isinstance(source, LogFeed) for source in sources))
        stack.callback(host.follow_edits(engine))
        say(f"listening to {', '.join(source.name for source in sources)}")
        listening = engine.listen([(source, host.parsers_for(source)) for source in sources], say)
        stack.callback(listening.stop)
        try:
            listening.wait()
        except KeyboardInterrupt:
            say("stopping")
        listening.stop()
        engine.drain()
    return listening.summary(read)


@contextmanager
def _interruptible() -> Iterator[None]:
    """SIGTERM ends the run as Ctrl-C does: what was accepted is finished. The second one does not wait for that."""

    def interrupt(*_: object) -> None:
        for name in _ENDING:
            signal.signal(name, signal.SIG_DFL)
        raise KeyboardInterrupt

    here = _ENDING if threading.current_thread() is threading.main_thread() else ()
    before = {name: signal.signal(name, interrupt) for name in here}
    try:
        with as_interrupt():
            yield
    except KeyboardInterrupt:
        say("interrupted; the same command reads the rest: what is known already counts as duplicates")
        sys.exit(1)
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


@contextmanager
def _progress(engine: Engine) -> Iterator[None]:
    """A line on a terminal that says how far the run is; nothing in a pipe."""
    if not sys.stderr.isatty():
        yield
        return
    stop = threading.Event()

    def show() -> None:
        while not stop.wait(_PROGRESS_S):
            click.echo(f"\r\033[K{engine.progress}", err=True, nl=False)
        click.echo("\r\033[K", err=True, nl=False)

    thread = threading.Thread(target=show, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
