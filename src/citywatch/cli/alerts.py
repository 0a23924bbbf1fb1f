"""`citywatch alerts`: watch, list and work on alerts."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from citywatch.alert import Action, Level, Outcome, State
from citywatch.cli.options import bounds, data_option, instant, person
from citywatch.errors import UsageError
from citywatch.settings import Settings, duration
from citywatch.stores.desk import Desk
from citywatch.stores.desk.database import now_us
from citywatch.stores.directory import DataDirectory
from citywatch.triage import Choice, Wish

format_option = click.option(
    "--format", "form", type=click.Choice(["table", "ndjson"]), default="table", show_default=True, help="Form."
)
alert_argument = click.argument("alert")
note_option = click.option("--note", help="Why, in words; kept with the alert.")


@click.group()
def alerts() -> None:
    """Watch, list and work on alerts. ALERT is any unique beginning of an alert's id."""


@contextmanager
def open_desk(data: Path) -> Iterator[tuple[Desk, Settings]]:
    """The desk of a data directory that exists, and its settings."""
    settings = DataDirectory(data).settings()
    with Desk(data / "desk.sqlite", live=settings.live, create=False) as desk:
        yield desk, settings


@alerts.command("list")
@data_option
@format_option
@click.option("--rule", "rules", multiple=True, help="Only of this rule; may be given several times.")
@click.option(
    "--state", "states", multiple=True, type=click.Choice([s.value for s in State]), help="Only in this state."
)
@click.option(
    "--level", "levels", multiple=True, type=click.Choice([level.value for level in Level]), help="Only of this level."
)
@click.option("--since", help="Only first seen since: 2h, 2026-05-01, RFC 3339.")
@click.option("--until", help="Only first seen before.")
def list_(
    *,
    data: Path,
    form: str,
    rules: tuple[str, ...],
    states: tuple[str, ...],
    levels: tuple[str, ...],
    since: str | None,
    until: str | None,
) -> None:
    """Print alerts, ordered by first_seen and id."""
    now = now_us()
    with open_desk(data) as (desk, settings):
        start, end = bounds(since, until, settings.zone, names=("--since", "--until"))
        choice = Choice(states=states, rules=rules, levels=levels, since=start, until=end)
        desk.audit(person(), "alerts list")
        if form == "ndjson":
            for line in desk.lines(choice, now=now):
                click.echo(line)
            return
        from citywatch.cli.alert_text import print_table

        print_table(desk.alerts(choice, now=now), settings.zone)


@alerts.command()
@alert_argument
@data_option
@format_option
def show(alert: str, data: Path, form: str) -> None:
    """Print all about one alert: reason, place, evidence, what people did with it."""
    from citywatch.cli.alert_text import print_alert

    with open_desk(data) as (desk, settings):
        listed = desk.alert(alert)
        desk.audit(person(), "alerts show", alert=listed.alert["id"])
        if form == "ndjson":
            click.echo(next(desk.lines(Choice(ids=(listed.alert["id"],)))))
        else:
            print_alert(listed, desk.history(listed.alert["id"]), settings.zone)


@alerts.command()
@data_option
@click.option(
    "--format", "form", type=click.Choice(["line", "ndjson"]), default="line", show_default=True, help="Form."
)
@click.option("--once", is_flag=True, help="Print what is there, then end.")
@click.option("--since", help="Begin with alerts first seen since then, instead of where the last tail stopped.")
@click.option("--all", "everything", is_flag=True, help="Also what notifies nobody: rules in test, alerts of the past.")
@click.option("--cursor", default="tail", show_default=True, help="Name under which the place is remembered.")
@click.option(
    "--from", "topics", metavar="URL", help="Alerts of a topic, as kafka://host/citywatch.alerts?from=latest."
)
def tail(
    *, data: Path, form: str, once: bool, since: str | None, everything: bool, cursor: str, topics: str | None
) -> None:
    """The terminal alarm: a line an alert, as they come; goes on where the last one of the same cursor stopped.

    With --from it is the older system's alarm on a topic of Kafka, from its beginning unless ?from=latest: ours, or the
    older alert_topic.
    """
    from citywatch.cli.tail import Tail

    if topics is not None:
        from citywatch.cli.alarm import tail_topic

        with contextlib.suppress(KeyboardInterrupt):  # as below
            tail_topic(topics, zone=DataDirectory(data).settings().zone, form=form, once=once)
        return
    with open_desk(data) as (desk, settings):
        desk.audit(person(), "alerts tail")
        start = instant(since, settings.zone, now_us()) if since else None
        watch = Tail(desk, cursor=cursor, zone=settings.zone, form=form, everything=everything, since=start)
        if once:
            watch.catch_up()
        with contextlib.suppress(KeyboardInterrupt):  # that is how one ends it
            if not once:
                watch.follow()
        watch.say_quiet()


def _act(data: Path, alert: str, action: Action, said: str, **details: Any) -> None:
    with open_desk(data) as (desk, _):
        full = desk.act(alert, Wish(action, by=person(), channel="cli", **details))
        listed = desk.alert(full).alert
        click.echo(f"{said} {full[:12]}, {listed['title']}: now {listed['state']}", err=True)


@alerts.command()
@alert_argument
@data_option
@note_option
def ack(alert: str, data: Path, note: str | None) -> None:
    """Say that you look after an alert."""
    _act(data, alert, Action.ACK, "acknowledged", note=note)


@alerts.command()
@alert_argument
@data_option
@click.option("--to", "assignee", help="Who; you when left out.")
@note_option
def assign(alert: str, data: Path, assignee: str | None, note: str | None) -> None:
    """Give an alert to somebody."""
    who = assignee or person()
    _act(data, alert, Action.ASSIGN, f"assigned to {who}:", assignee=who, note=note)


@alerts.command()
@alert_argument
@data_option
@click.option("--for", "span", metavar="DURATION", help="How long: 30m, 2h, 1d.")
@click.option("--until", metavar="TIME", help="Until when: 2h (from now), 2026-05-01 12:00 (in the city), RFC 3339.")
@note_option
def shelve(alert: str, data: Path, span: str | None, until: str | None, note: str | None) -> None:
    """Put an alert aside for a while; it comes back open."""
    if (span is None) == (until is None):
        raise UsageError("an alert is shelved --for a while or --until a time")
    end = _after(span) if span else _moment(str(until), DataDirectory(data).settings().zone)
    _act(data, alert, Action.SHELVE, "shelved", until=end, note=note)


def _moment(text: str, zone: str) -> int:
    """A time that is still to come: `2h` is two hours from now, not ago."""
    try:
        return now_us() + duration(text)
    except ValueError:
        return instant(text, zone, now_us())


def _after(span: str) -> int:
    try:
        return now_us() + duration(span)
    except ValueError as error:
        raise UsageError(str(error)) from error


@alerts.command()
@alert_argument
@data_option
@click.option(
    "--outcome", type=click.Choice([outcome.value for outcome in Outcome]), required=True, help="What it was."
)
@note_option
def close(alert: str, data: Path, outcome: str, note: str | None) -> None:
    """Close an alert, saying what it was."""
    _act(data, alert, Action.CLOSE, "closed", outcome=outcome, note=note)


@alerts.command()
@alert_argument
@data_option
@click.option("--code", type=int, required=True, help="The right violation code.")
@click.option("--event", help="Id of the event in evidence, when there are several violations.")
@click.option("--source", help="Source of that event, when two have the same id.")
@note_option
def correct(*, alert: str, data: Path, code: int, event: str | None, source: str | None, note: str | None) -> None:
    """Give the violation its right code: sends a violation.corrected event and closes the alert."""
    with open_desk(data) as (desk, _):
        wanted = _named_event(desk.alert(alert).alert, event, source) if event else None
    _act(data, alert, Action.CORRECT, f"corrected to {code}:", code=code, event=wanted, note=note)


def _named_event(alert: dict[str, Any], event: str, source: str | None) -> tuple[str, str]:
    fitting = [e for e in alert["evidence"] if e["id"] == event and source in (None, e["source"])]
    if len(fitting) != 1:
        known = ", ".join(f"{e['source']} {e['id']}" for e in alert["evidence"])
        raise UsageError(f"--event {event} names {len(fitting)} events of the evidence", hint=f"there are: {known}")
    return fitting[0]["source"], fitting[0]["id"]


@alerts.command()
@alert_argument
@click.argument("text")
@data_option
def note(alert: str, text: str, data: Path) -> None:
    """Write something down with an alert."""
    _act(data, alert, Action.NOTE, "noted with", note=text)


@alerts.command()
@alert_argument
@data_option
def undo(alert: str, data: Path) -> None:
    """Take the last action back; within a minute."""
    _act(data, alert, Action.UNDO, "undone:")
