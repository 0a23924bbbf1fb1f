"""`citywatch compact`, `retention`, `backup`, `restore`: keep a data directory in shape, also beside an engine."""

from __future__ import annotations

import json
import shutil
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from citywatch.cli.keeping_elsewhere import compact_archive, expire_archive, expire_desk
from citywatch.cli.options import anywhere_option, data_option
from citywatch.errors import DataDirectoryBusyError, StoreError, UsageError

if TYPE_CHECKING:
    from citywatch.stores.backup import Contents
    from citywatch.stores.directory import DataDirectory

_LOOK_S = 0.1
_MIB = 1 << 20


@click.command()
@anywhere_option
def compact(*, data: Path | str) -> None:
    """Put all events into files by day, as few as can be, now. An engine that runs does it, and goes on meanwhile.

    In an archive (--data hdfs://… or file://…): by day and type, of up to 512 MB; who reads meanwhile does not notice.
    """
    if isinstance(data, str):
        compact_archive(data)
        return
    done = _done(data, "compact")
    before, after = done["before"], done["after"]
    click.echo(
        f"{after['events']:,} events: {before['files']:,} files of {before['bytes'] / _MIB:,.1f} MiB are now "
        f"{after['files']:,} of {after['bytes'] / _MIB:,.1f} MiB",
        err=True,
    )


@click.group()
def retention() -> None:
    """Remove what is older than `[retention]` in citywatch.toml keeps it."""


@retention.command()
@anywhere_option
@click.option(
    "--keep", "keeps", multiple=True, metavar="WHAT=SPAN", help="For an archive: how long, as 'drone.*=90d', '*=1095d'."
)
@click.option("--database", metavar="URL", help="A desk on PostgreSQL instead: postgresql://owner@host:5432/name.")
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@click.option(
    "--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True, help="Form."
)
def apply(*, data: Path | str, keeps: tuple[str, ...], database: str | None, dry_run: bool, form: str) -> None:
    """Remove it now; a running `up` does the same by itself, four times a day.

    Events that an alert rests on stay until the alert is closed. With --database: what the desk on PostgreSQL has, as
    `[retention]` of the data directory says; its owner may. With --data hdfs://… or file://…: whole days of an archive,
    as --keep says.
    """
    if isinstance(data, str):
        removed = expire_archive(data, keeps, dry_run=dry_run)
    elif keeps:
        raise UsageError("--keep is for an archive", hint="[retention] in citywatch.toml is for a data directory")
    elif database:
        removed = expire_desk(database, data, dry_run=dry_run)
    else:
        wanted = str(_directory(data).settings().retention)
        removed = _done(data, "expire", dry_run=dry_run, retention=wanted)
    if form == "json":
        click.echo(json.dumps({"dry_run": dry_run, "removed": removed}))
        return
    rows = [(f"events of the type {kind}", n) for kind, n in removed.pop("events", {}).items()]
    rows += [(_WORDS[kind], n) for kind, n in removed.items()]
    for what, n in rows:
        click.echo(f"{n:>12,}  {what}")
    if not rows:
        click.echo("citywatch: nothing is due", err=True)
    click.echo(f"citywatch: {'nothing was removed: a dry run' if dry_run else 'done'}", err=True)


_WORDS = {
    "alerts": "alerts",
    "media": "images",
    "rejected": "rejected records",
    "audit": "entries of the audit log",
}


@click.command()
@click.argument("destination", type=click.Path(path_type=Path))
@data_option
def backup(*, destination: Path, data: Path) -> None:
    """Copy the data directory as it is at one moment to DESTINATION, a new directory, while everything goes on.

    Events, alerts, what people did, images, settings, rules and keys are in it: keep it as safe as the original.
    """
    from citywatch.stores.backup import write_backup

    _directory(data)
    if destination.exists():
        raise StoreError(f"{destination} is already there", hint="name a new directory, as backup-2026-05-01")
    snapshot = Path(_done(data, "snapshot", name=uuid.uuid4().hex)["path"])
    try:
        with _progress("copied") as progress:
            found = write_backup(snapshot, destination, progress)
    finally:
        shutil.rmtree(snapshot, ignore_errors=True)
    click.echo(f"citywatch: {destination} holds {_in_words(found)}", err=True)


@click.command()
@click.argument("source", metavar="BACKUP", type=click.Path(exists=True, file_okay=False, path_type=Path))
@data_option
def restore(*, source: Path, data: Path) -> None:
    """Make a data directory of BACKUP, which must not be there yet or be empty, and check all that is in it.

    `citywatch up` on it goes on where the backup was made.
    """
    from citywatch.stores.backup import restore_backup

    with _progress("restored") as progress:
        found = restore_backup(source, data, progress)
    click.echo(f"citywatch: {data} holds {_in_words(found)}, as of {found.made}; every file is as it was", err=True)


def _in_words(found: Contents) -> str:
    return f"{found.events:,} events and {found.alerts:,} alerts in {found.bytes / _MIB:,.1f} MiB"


def _directory(data: Path) -> DataDirectory:
    from citywatch.stores.directory import DataDirectory

    return DataDirectory(data).require()


def _done(data: Path, what: str, **how: Any) -> dict[str, Any]:
    """Let the engine that holds the directory do it; where none does, do it here."""
    directory = _directory(data)
    while True:
        if directory.busy():
            answer = _asked(directory, what, how)
            if answer is not None:
                return answer
            continue  # the engine has stopped meanwhile
        try:
            return _here(directory, what, how)
        except DataDirectoryBusyError:
            continue  # one has started meanwhile


def _here(directory: DataDirectory, what: str, how: Mapping[str, Any]) -> dict[str, Any]:
    from citywatch.engine.embedded.keeping import alone

    with alone(directory, directory.settings()) as keeping:
        return keeping.do(what, dict(how))


def _asked(directory: DataDirectory, what: str, how: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the engine says; None when it stopped before it answered."""
    from citywatch.stores.desk import Desk

    with Desk(directory.desk) as desk:
        request = desk.ask(what, how)
        while (answer := desk.take_answer(request)) is None:
            if not directory.busy() and (answer := desk.take_answer(request)) is None:
                desk.take_back(request)
                return None
            time.sleep(_LOOK_S)
    if "error" in answer:
        raise StoreError(answer["error"], hint=answer["hint"])
    done: dict[str, Any] = answer["done"]
    return done


@contextmanager
def _progress(word: str) -> Iterator[Callable[[int, int], None]]:
    """A line on a terminal that says how far it is; nothing in a pipe."""
    shown = sys.stderr.isatty()

    def show(done: int, total: int) -> None:
        if shown:
            click.echo(f"\r\033[K{done / _MIB:,.0f} of {total / _MIB:,.0f} MiB {word}", err=True, nl=False)

    try:
        yield show
    finally:
        if shown:
            click.echo("\r\033[K", err=True, nl=False)
