"""`citywatch audit`: who looked up which plate, and why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from citywatch.cli.alerts import format_option, open_desk
from citywatch.cli.options import data_option, instant
from citywatch.errors import UsageError
from citywatch.masking import subject
from citywatch.stores.desk.database import now_us
from citywatch.triage import Asked
from citywatch.wording import clock_time, iso, printable


@click.command()
@data_option
@format_option
@click.option("--plate", help="Only reads that showed this plate; also those of whole lists, which may have.")
@click.option("--person", "person_id", help="The same for the id of a person.")
@click.option("--who", help="Only by this person, or key:NAME.")
@click.option("--alert", help="Only of the alerts whose id begins so.")
@click.option("--since", help="Only since: 2h, 2026-05-01, RFC 3339.")
@click.option("--until", help="Only before.")
@click.option("--limit", default=1000, show_default=True, type=click.IntRange(1), help="At most so many, the latest.")
def audit(
    *,
    data: Path,
    form: str,
    plate: str | None,
    person_id: str | None,
    who: str | None,
    alert: str | None,
    since: str | None,
    until: str | None,
    limit: int,
) -> None:
    """Who looked at plates, names and faces, and why; latest first.

    The log keeps no plates: it finds the one that you name. Reads on this machine's command line stand there under the
    system's user.
    """
    if plate and person_id:
        raise UsageError("--plate and --person are two questions", hint="ask one after the other")
    with open_desk(data) as (desk, settings):
        start, end = (instant(text, settings.zone, now_us()) if text else None for text in (since, until))
        sought = subject("plate", plate) if plate else subject("person_id", person_id) if person_id else None
        asked = Asked(who=who, alert=alert, subject=sought, since=start, until=end, limit=limit)
        entries = desk.audited(asked)
        for entry in entries:
            click.echo(_json(entry) if form == "ndjson" else _line(entry, settings.zone, sure=sought is None))
        if not entries and form == "table":
            click.echo("nobody", err=True)


def _json(entry: dict[str, Any]) -> str:
    return json.dumps({**entry, "at": iso(entry["at"])}, ensure_ascii=False)


def _line(entry: dict[str, Any], zone: str, *, sure: bool) -> str:
    entry = printable(entry)
    what = f"alert {entry['alert'][:12]}" if entry["alert"] else "(a list)"
    doubt = "" if sure or entry["sure"] else "  may have shown it"
    purpose = f": {entry['purpose']}" if entry["purpose"] else ""
    return f"{clock_time(iso(entry['at']), zone)}  {entry['who']:<16}  {entry['what']}  {what}{purpose}{doubt}"
