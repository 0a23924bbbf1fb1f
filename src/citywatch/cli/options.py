"""What several commands are asked in the same words."""

from __future__ import annotations

import os
import time
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import click

from citywatch.errors import UsageError
from citywatch.settings import duration
from citywatch.stores.directory import DataDirectory

DATA = Path("citywatch-data")

TRUTH_FILE = "truth.ndjson"
"""In a data directory: what was planted in the simulated city that it is about."""

_MAKE_THEIR_OWN = ("run", "up")
"""Commands that write a data directory: theirs is never guessed."""


def demo_directory() -> Path:
    """Where `up --demo` keeps its city."""
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "citywatch" / "demo"


def _data(context: click.Context, _: click.Parameter, given: Path | None) -> Path:
    """Where nothing is said and there is no `citywatch-data`, but a demo runs, its directory is meant."""
    if given is not None:
        return given
    if not DATA.exists() and context.info_name not in _MAKE_THEIR_OWN and DataDirectory(demo_directory()).busy():
        click.echo(f"(of the running demo: --data {demo_directory()})", err=True)
        return demo_directory()
    return DATA


data_option = click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    callback=_data,
    envvar="CITYWATCH_DATA",
    show_envvar=True,
    help=f"Data directory. [default: {DATA}, or that of a running demo]",
)


def _anywhere(context: click.Context, parameter: click.Parameter, given: str | None) -> Path | str:
    """A data directory, or the address of what is kept elsewhere, as it is."""
    if given is not None and "://" in given:
        return given
    path = click.Path(file_okay=False, path_type=Path).convert(given, parameter, context) if given is not None else None
    return _data(context, parameter, path)


anywhere_option = click.option(
    "--data",
    callback=_anywhere,
    envvar="CITYWATCH_DATA",
    show_envvar=True,
    metavar="DIRECTORY",
    help=f"Data directory, or an archive at hdfs:// or cassandra://. [default: {DATA}, or that of a running demo]",
)


def person() -> str:
    """Who sits at this machine, as the system knows them; for the log of actions."""
    try:
        import pwd

        return pwd.getpwuid(os.getuid()).pw_name
    except (ImportError, KeyError):  # not a Unix, or a user without a name (a container)
        return os.environ.get("USERNAME") or f"uid {os.getuid() if hasattr(os, 'getuid') else '?'}"


def instant(text: str, zone: str, now: int) -> int:
    """A time in a person's words as microseconds UTC: `2h` (ago), `2026-05-01`, `2026-05-01 12:00`, RFC 3339.

    What has no offset is local in `zone`. Raises UsageError.
    """
    try:
        return now - duration(text)
    except ValueError:
        pass  # not so long ago, then a date
    try:
        given = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{text!r} is no time", hint="write 2h, 2026-05-01, or 2026-05-01T12:00:00Z") from error
    local = given if given.tzinfo else given.replace(tzinfo=ZoneInfo(zone))
    return microseconds(local)


def microseconds(moment: datetime) -> int:
    """Microseconds since 1970 of a time with an offset, exactly."""
    delta = moment - datetime(1970, 1, 1, tzinfo=ZoneInfo("UTC"))
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


Moment = str | datetime | date | None
"""As `--from` on the command line (`2026-05-01`, `2h` ago), a datetime with its zone, or a date; None is open."""


def bounds(
    start: Moment, end: Moment, zone: str, *, names: tuple[str, str] = ("--from", "--to")
) -> tuple[int | None, int | None]:
    """Both ends of a period as microseconds UTC; None is open. Raises UsageError where nothing lies between them."""
    now = time.time_ns() // 1000
    first, last = (_moment(moment, zone, now) for moment in (start, end))
    if first is not None and last is not None and first >= last:
        raise UsageError(f"{names[0]} {start} is not before {names[1]} {end}", hint=f"{names[1]} itself is not counted")
    return first, last


def _moment(moment: Moment, zone: str, now: int) -> int | None:
    if not isinstance(moment, datetime):
        return instant(str(moment), zone, now) if moment else None
    if moment.tzinfo is None:
        raise UsageError(f"{moment!r} has no zone", hint="write datetime(..., tzinfo=UTC), or the time as text")
    return microseconds(moment)
