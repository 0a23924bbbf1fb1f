"""What several commands are asked in the same words."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import click

from citywatch.errors import UsageError
from citywatch.settings import duration

data_option = click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("citywatch-data"),
    envvar="CITYWATCH_DATA",
    show_default=True,
    show_envvar=True,
    help="Data directory.",
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
