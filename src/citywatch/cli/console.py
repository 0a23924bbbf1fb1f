"""`citywatch console`: the console alone, on the data of an engine that runs elsewhere, later, or no more."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from citywatch.cli.options import data_option
from citywatch.cli.run import rules_option
from citywatch.connections.postgresql import VARIABLE
from citywatch.errors import StoreError, UsageError

if TYPE_CHECKING:
    from citywatch.cli.feeding import Feeding
    from citywatch.cli.hosting import Host
    from citywatch.cli.web import Web
    from citywatch.connections.postgresql import Address

database_option = click.option(
    "--database",
    envvar=VARIABLE,
    show_envvar=True,
    metavar="URL",
    help="Desk on PostgreSQL: postgresql://user@host:5432/name. The password is read from the file that "
    "CITYWATCH_DATABASE_PASSWORD_FILE names.",
)


@click.command()
@data_option
@click.option(
    "--from",
    "source",
    metavar="DIR|kafka://…",
    help="Whose alerts are shown: a data directory (the same as --data) or, with --database, a topic of alerts.",
)
@database_option
@click.option(
    "--events", default="citywatch.events", show_default=True, metavar="TOPIC", help="Topic that corrections go to."
)
@click.option("--processes", default=1, show_default=True, type=click.IntRange(1, 64), help="With --database.")
@click.option("--prepare", metavar="ROLE", help="Make the tables, let ROLE use them, and end. For their owner.")
@rules_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to serve on.")
@click.option(
    "--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="Port; 0 takes a free one."
)
@click.pass_context
def console(
    context: click.Context,
    *,
    data: Path,
    source: str | None,
    database: str | None,
    events: str,
    processes: int,
    prepare: str | None,
    rules: tuple[Path, ...],
    host: str,
    port: int,
) -> None:
    """The console alone, without an engine, until Ctrl-C: see alerts and work on them, read the API.

    It serves what stands in the data directory, also while `up` or `run` writes there. What people do is kept; a
    correction becomes an event as soon as an engine runs again.

    With --database it serves a desk on PostgreSQL, which consoles on several machines share; --from kafka://host/TOPIC
    keeps that up with the alerts of engines elsewhere, and corrections go to --events.
    """
    from citywatch.cli.hosting import Host

    typed = context.get_parameter_source("database") is click.core.ParameterSource.COMMANDLINE
    address = _address(database, typed=typed)
    if address is None:
        if prepare or processes > 1 or "://" in (source or ""):
            raise UsageError("that needs a desk on PostgreSQL", hint="name it with --database postgresql://…")
        if source and context.get_parameter_source("data") is click.core.ParameterSource.COMMANDLINE:
            _require_one(data, Path(source))
        data = _kept(Path(source) if source else data)
    elif prepare:
        _prepare(address, prepare, data)
        return
    with _serving(Host(data, rules), host, port, database, processes) as check, ExitStack() as stack:
        fed = _fed(stack, address, source, events) if address is not None and source else None
        while True:
            check()
            if fed is not None:
                fed.check()
            time.sleep(_LOOK)


_LOOK = 0.1


def _address(database: str | None, *, typed: bool) -> Address | None:
    from citywatch.connections.postgresql import database_address

    return database_address(database, typed=typed) if database else None


def _require_one(data: Path, source: Path) -> None:
    if source != data:
        raise UsageError("--from and --data name two directories", hint="give one of them")


def _kept(data: Path) -> Path:
    from citywatch.stores.directory import DataDirectory

    directory = DataDirectory(data)
    if not directory.desk.exists():
        raise StoreError(f"{data} holds no citywatch data", hint="`citywatch up` or `citywatch run` makes it")
    return directory.require().path


def _prepare(address: Address, role: str, data: Path) -> None:
    """Make or update all tables as their owner, and give a role what it needs of them."""
    from citywatch.console import site
    from citywatch.console.port import Site
    from citywatch.stores.desk.server import Server

    server = Server(address)
    try:
        site.install(Site(data=data, desk=server.desk, database=address.for_django(), secret="-" * 50))
        server.grant(role)
    finally:
        site.leave()
        server.close()
    click.echo(f"citywatch: {address} is ready for {role}", err=True)


@contextmanager
def _serving(hosted: Host, host: str, port: int, database: str | None, processes: int) -> Iterator[Callable[[], None]]:
    """Processes that serve one address; gives what to call now and then, which raises where one has ended."""
    from citywatch.cli.up import ends_quietly, start_web
    from citywatch.cli.web import listen

    listener = listen(host, port)
    with ends_quietly(), ExitStack() as stack:
        stack.callback(listener.close)
        webs: list[Web] = []
        for _ in range(processes):
            webs.append(start_web(hosted, host, listener, database))
            stack.callback(webs[-1].stop)

        def check() -> None:
            for web in webs:
                web.check()

        yield check


def _fed(stack: ExitStack, address: Address, source: str, events: str) -> Feeding:
    """Keep the desk up with a topic of alerts while the console is served."""
    from citywatch.cli.feeding import Feeding
    from citywatch.connections.kafka.address import ALERTS, parse
    from citywatch.connections.kafka.configuration import require
    from citywatch.stores.desk.server import Server

    if not source.startswith("kafka://"):
        raise UsageError(f"a desk on PostgreSQL is not fed from {source}", hint="give kafka://host:9092/TOPIC")
    require()
    topic = parse(source, ("group", "config"), ALERTS)
    server = Server(address, most=2)
    stack.callback(server.close)
    return stack.enter_context(Feeding(topic, events, server.desk))
