"""`citywatch console`: the console alone, on the data of an engine that runs elsewhere, later, or no more."""

from __future__ import annotations

import time
from pathlib import Path

import click

from citywatch.cli.options import data_option
from citywatch.cli.run import rules_option
from citywatch.errors import StoreError, UsageError


@click.command()
@data_option
@click.option(
    "--from",
    "source",
    type=click.Path(file_okay=False, path_type=Path),
    help="The same as --data: whose alerts are shown.",
)
@rules_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to serve on.")
@click.option(
    "--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="Port; 0 takes a free one."
)
@click.pass_context
def console(
    context: click.Context, *, data: Path, source: Path | None, rules: tuple[Path, ...], host: str, port: int
) -> None:
    """The console alone, without an engine, until Ctrl-C: see alerts and work on them, read the API.

    It serves what stands in the data directory, also while `up` or `run` writes there. What people do is kept; a
    correction becomes an event as soon as an engine runs again.
    """
    from citywatch.cli.hosting import Host
    from citywatch.cli.up import LOOK, ends_quietly, start_web
    from citywatch.cli.web import listen

    if source and context.get_parameter_source("data") is click.core.ParameterSource.COMMANDLINE and source != data:
        raise UsageError("--from and --data name two directories", hint="give one of them")
    hosted = Host(_kept(source or data), rules)
    listener = listen(host, port)
    context.call_on_close(listener.close)
    with ends_quietly():
        web = start_web(hosted, host, listener)
        context.call_on_close(web.stop)
        while True:
            web.check()
            time.sleep(LOOK)


def _kept(data: Path) -> Path:
    from citywatch.stores.directory import DataDirectory

    directory = DataDirectory(data)
    if not directory.desk.exists():
        raise StoreError(f"{data} holds no citywatch data", hint="`citywatch up` or `citywatch run` makes it")
    return directory.require().path
