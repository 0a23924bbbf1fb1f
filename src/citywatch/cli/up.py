"""`citywatch up`: ingest, engine and console on this machine."""

from __future__ import annotations

import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import click
from click.core import ParameterSource

from citywatch.background import Background
from citywatch.cli.interruption import as_interrupt
from citywatch.cli.log import say
from citywatch.cli.options import TRUTH_FILE, data_option, demo_directory, person
from citywatch.cli.refusals import rejected_option, telling_rejected
from citywatch.cli.run import rules_option
from citywatch.cli.stores import store_option, storing
from citywatch.cli.tail import Tail
from citywatch.errors import DataDirectoryBusyError, StoreError
from citywatch.stores.desk import Desk
from citywatch.stores.directory import DataDirectory

if TYPE_CHECKING:
    import socket

    from citywatch.cli.hosting import Host
    from citywatch.cli.web import Web
    from citywatch.engine.embedded import Engine
    from citywatch.sources.model import Source

DEMO = "sim://city?rate=50&history=30m"
"""The simulated city of --demo: half an hour of it has passed when one starts to look."""

LOOK = 0.1
"""Seconds between two looks at what may have gone wrong."""

AGAIN = 1.0
"""Seconds until the alarm is tried again."""


@click.command()
@click.argument("sources", nargs=-1, metavar="[SOURCE]...")
@click.option("--demo", is_flag=True, help="A simulated city, in a data directory of its own that is made anew.")
@data_option
@rules_option
@click.option("--mapping", help="Mapping for all records; else each is recognised by its fields.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to serve on.")
@click.option(
    "--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="Port; 0 takes a free one."
)
@click.option("--until-alert", is_flag=True, help="End when there is a page and a first alert.")
@store_option
@rejected_option
@click.pass_context
def up(
    context: click.Context,
    *,
    sources: tuple[str, ...],
    demo: bool,
    data: Path,
    rules: tuple[Path, ...],
    mapping: str | None,
    host: str,
    port: int,
    until_alert: bool,
    store: str | None,
    rejected_to: str | None,
) -> None:
    """Everything on this machine: ingest, engine, console, until Ctrl-C.

    SOURCE is what `run` takes: files are read first, whole; live ones (sim://city?rate=50, mqtt://host/TOPIC, -) are
    listened to. Alerts are printed as they come, and shown on the page whose address is printed.
    """
    from citywatch.cli.delivery import Deliveries
    from citywatch.cli.hosting import Host
    from citywatch.cli.web import listen
    from citywatch.engine.embedded.proposing import Proposing
    from citywatch.sources import open_source

    listener = listen(host, port)
    context.call_on_close(listener.close)
    opened = [source for text in sources for source in open_source(text)]
    if demo:
        if context.get_parameter_source("data") is ParameterSource.DEFAULT:
            data = _made_anew(demo_directory())
        opened += open_source(f"{DEMO}&{urlencode({'truth': data / TRUTH_FILE})}")
    with ends_quietly(), ExitStack() as stack:
        hosted = Host(_free(data), rules, mapping=mapping)
        hosted.check(opened)
        deliveries = Deliveries(hosted)
        web = start_web(hosted, host, listener)
        stack.callback(web.stop)
        alarm = Alarm(hosted)
        engine = stack.enter_context(hosted.engine(told=alarm.news.set))
        stack.callback(web.end)
        stack.enter_context(deliveries)
        stack.enter_context(alarm)
        proposing = stack.enter_context(Proposing(hosted.directory.path, within=hosted.settings.same_offence))
        relaying = stack.enter_context(storing(hosted, store))
        stack.enter_context(telling_rejected(hosted, rejected_to))

        def done() -> bool:
            web.check()
            if relaying is not None:
                relaying.check()
            proposing.check()
            return until_alert and web.serves and alarm.rang()

        _work(engine, hosted, opened, done)


def _made_anew(directory: Path) -> Path:
    """The demo begins with an empty city; a running one is left alone."""
    shutil.rmtree(_free(directory))
    return directory


def _free(data: Path) -> Path:
    """The directory, made when it is absent, if no engine holds it. Raises DataDirectoryBusyError, StoreError."""
    directory = DataDirectory(data)
    if directory.busy():
        raise DataDirectoryBusyError(
            f"process {directory.writer() or 'unknown'} already writes {data}",
            hint="its page is at the address that it printed; stop it, or use another --data directory",
        )
    try:
        data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"cannot make the data directory {data}: {error.strerror}") from error
    return data


def start_web(hosted: Host, host: str, listener: socket.socket, database: str | None = None) -> Web:
    """The console's process; links to sign in are printed. `database`: address of a desk on a server."""
    from citywatch.cli.web import Served, Web, outlines, rule_notes

    settings = hosted.settings
    served = Served(
        data=str(hosted.directory.path),
        host=host,
        port=listener.getsockname()[1],
        zone=settings.zone,
        live=settings.live,
        person=person(),
        rules=rule_notes(hosted.ruleset),
        zones=outlines(hosted.ruleset),
        image_bytes=settings.image_bytes,
        first_summons=settings.first_summons,
        address=settings.address,
        database=database,
    )
    return Web(served, listener, _say_link)


def _say_link(link: str) -> None:
    say(f"sign in, once, with {click.style(link, bold=True)}")


class Alarm(Background):
    """The alarm in the terminal, in a thread of its own: alerts come while files are still being read."""

    def __init__(self, hosted: Host) -> None:
        super().__init__("alarm")
        self.news = threading.Event()
        """Set when the desk has some."""
        self._hosted = hosted
        self._tail: Tail | None = None

    def stop(self) -> None:
        """As always; what is new is printed first."""
        self.stopping.set()
        self.news.set()
        super().stop()

    def rang(self) -> bool:
        """Whether an alert was printed."""
        return self._tail is not None and self._tail.printed > 0

    def work(self) -> None:
        """Print alerts; what goes wrong is said, and it is tried again."""
        said = ""
        while not self.stopping.is_set():
            try:
                self._follow()
            except OSError as error:  # nobody reads this terminal any more; all others are served
                say(f"no alarm in this terminal any more: {error.strerror}")
                return
            except Exception as error:  # whatever it is, the alarm must not end in silence
                if str(error) != said:
                    say(f"the alarm waits: {error}")
                said = str(error)
                self.stopping.wait(AGAIN)

    def _follow(self) -> None:
        settings = self._hosted.settings
        with Desk(self._hosted.directory.desk, live=settings.live) as desk:
            self._tail = Tail(desk, cursor="up", zone=settings.zone)
            self._tail.follow(self.stopping, self.news)
            self._tail.catch_up()


def _work(engine: Engine, hosted: Host, sources: Sequence[Source], done: Callable[[], bool]) -> None:
    """Read what has an end, then listen to the rest, and to the doors, until `done`."""
    from citywatch.cli.doors import open_doors
    from citywatch.cli.responsive import be_responsive

    bounded = [source for source in sources if source.bounded and source.name != "-"]
    if bounded:
        say(f"reading {', '.join(source.name for source in bounded)}")
        say(f"{engine.run_bounded(bounded, hosted.parsers())}")
    with ExitStack() as stack:
        engine.go_live(hosted.parser())
        stack.callback(hosted.follow_edits(engine))
        live = [source for source in sources if source not in bounded]
        listening = engine.listen([(source, hosted.parsers_for(source)) for source in live], say)
        stack.callback(listening.stop)
        be_responsive()
        stack.enter_context(open_doors(engine, hosted))
        while not done():
            time.sleep(LOOK)
            engine.check()
            listening.check()


@contextmanager
def ends_quietly() -> Iterator[None]:
    """Ctrl-C and SIGTERM are how this ends; the second one does not wait for anything."""

    def interrupt(*_: object) -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        say("stopping")
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, interrupt)
    with suppress(KeyboardInterrupt), as_interrupt():
        yield
