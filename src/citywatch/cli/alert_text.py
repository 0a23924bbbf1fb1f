"""Alerts as text for people: the table of `alerts list` and the page of `alerts show`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import click

from citywatch.notify.terminal import STYLES
from citywatch.triage import Listed
from citywatch.wording import clock_time, iso, place_in_words, position, printable

Alert = Mapping[str, Any]


def print_table(alerts: Iterable[Alert], zone: str) -> None:
    """A line an alert, as they come: the list may be longer than the memory."""
    heading = f"{'ID':<12}  {'FIRST SEEN':<19}  {'LEVEL':<13}  {'STATE':<12}  {'COUNT':>5}  RULE: REASON"
    empty = True
    for alert in map(printable, alerts):
        if empty:
            click.secho(heading, bold=True)
            empty = False
        level = click.style(f"{alert['level']:<13}", **STYLES.get(alert["level"], {}))
        when = f"{clock_time(alert['first_seen'], zone):>19}"
        words = " at ".join(word for word in (alert["reason"] or alert["title"], place_in_words(alert)) if word)
        start = f"{alert['id'][:12]}  {when}  {level}  {alert['state']:<12}  {alert['count']:>5}"
        click.echo(f"{start}  {alert['rule']}: {words}")
    if empty:
        click.echo("no alerts", err=True)


def print_alert(listed: Listed, history: Iterable[Mapping[str, Any]], zone: str) -> None:
    """All that is known of one alert."""
    alert = printable(listed.alert)
    click.secho(alert["title"], bold=True)
    for name, value in _facts(alert, zone):
        click.echo(f"  {name:<12} {value}")
    click.secho("Evidence", bold=True)
    for event in alert["evidence"]:
        click.echo(f"  {clock_time(event['time'], zone)}  {event['type']}  {event['source']} {event['id']}")
        click.echo(f"    {json.dumps(event.get('data') or {}, ensure_ascii=False)}")
    click.secho("History", bold=True)
    for entry in map(printable, history):
        click.echo(f"  {clock_time(iso(entry['at']), zone)}  {describe(entry)}")


def _facts(alert: Alert, zone: str) -> list[tuple[str, str]]:
    state = alert["state"] + (f", {alert['outcome']}" if alert["outcome"] else "")
    values = ", ".join(f"{name} {value}" for name, value in alert["values"].items())
    rows = [
        ("id", alert["id"]),
        ("rule", f"{alert['rule']} ({alert['status']})"),
        ("level", click.style(alert["level"], **STYLES.get(alert["level"], {}))),
        ("state", state + (f", with {alert['assignee']}" if alert["assignee"] else "")),
        ("why", alert["reason"] or ""),
        ("key", ", ".join(f"{name} {value}" for name, value in alert["group"].items())),
        ("values", values),
        ("first seen", clock_time(alert["first_seen"], zone)),
        (
            "last seen",
            f"{clock_time(alert['last_seen'], zone)}, {alert['count']} match{'es' if alert['count'] > 1 else ''}",
        ),
        ("where", place_in_words(alert)),
        ("position", position(alert["lat"], alert["lon"])),
        ("late", "yes" if alert["late"] else ""),
    ]
    return [(name, value) for name, value in rows if value]


def describe(entry: Mapping[str, Any]) -> str:
    """One entry of an alert's history as a sentence."""
    details = {
        "assign": f"to {entry['assignee']}",
        "shelve": f"until {iso(entry['until'])}" if entry["until"] else "",
        "close": f"as {entry['outcome']}",
        "correct": f"to code {entry['code']}",
    }
    words = " ".join(word for word in (entry["action"], details.get(entry["action"], ""), f"by {entry['by']}") if word)
    return f"{words}: {entry['note']}" if entry["note"] else words
