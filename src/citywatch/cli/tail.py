"""Following the alerts in a terminal: `alerts tail`, and beside `up`."""

from __future__ import annotations

import json
import sys
import time
from threading import Event

import click

from citywatch.notify import open_notifier
from citywatch.stores.desk import Desk
from citywatch.triage import Listed

POLL = 0.01
"""Seconds between two looks at the desk; a look without news takes a few microseconds."""

WAKE_EVERY = 0.5
"""Seconds between two looks for alerts whose time on the shelf is over, and at the desk by who is told of news."""

KEEP_EVERY = 0.5
"""Seconds between two notes of the place: whoever writes holds up others who do, and each note waits for the disk."""

FIRST = 10
"""A cursor that is new begins so many alerts back."""

PAGE = 500

SAY_EVERY = 60.0
"""Seconds between two lines that count what notifies nobody."""


class Tail:
    """Prints alerts in the order in which they came, and remembers under a name how far it got.

    The place is written down after the lines are out: after a kill the last few may come twice, none is missed.
    Alerts that notify nobody (rules in test, alerts of the past) are only counted, unless `everything`.
    """

    def __init__(
        self,
        desk: Desk,
        *,
        cursor: str,
        zone: str,
        form: str = "line",
        everything: bool = False,
        since: int | None = None,
    ) -> None:
        self._desk = desk
        self._cursor = cursor
        self._since = since
        self._everything = everything
        self._terminal = None if form == "ndjson" else open_notifier("terminal", zone=zone)
        self._place = self._kept = self._start()
        self.printed = 0
        self._quiet = 0
        self._said = time.monotonic()

    def _start(self) -> int:
        if self._since is not None:
            return 0
        if self._desk.has_cursor(self._cursor):
            return self._desk.cursor(self._cursor)
        return self._desk.place_before(FIRST)

    def catch_up(self) -> None:
        """Print what came since the last look."""
        self._print_new()
        self._keep()

    def say_quiet(self) -> None:
        """Say how many alerts were passed over, if any were."""
        if self._quiet:
            verb = "alert notifies" if self._quiet == 1 else "alerts notify"
            click.echo(f"  ({self._quiet:,} {verb} nobody: rules in test, or of the past)", err=True)
            self._quiet = 0
        self._said = time.monotonic()

    def follow(self, stop: Event | None = None, news: Event | None = None) -> None:
        """Print as they come, until `stop` or Ctrl-C. Who sets `news` when there are some spares it from looking."""
        halt = stop or Event()
        seen, woken, kept = None, 0.0, 0.0
        try:
            while not halt.is_set():
                now = time.monotonic()
                if (there := self._desk.seen()) != seen or now - woken > WAKE_EVERY:
                    seen, woken = there, now
                    self._print_new()
                if now - kept > KEEP_EVERY:
                    kept = now
                    self._keep()
                if now - self._said > SAY_EVERY:
                    self.say_quiet()
                _wait(halt, news)
        finally:
            self._keep()

    def _print_new(self) -> None:
        self._desk.wake()
        while found := self._desk.raised_since(self._place, since=self._since, limit=PAGE):
            shown = [listed for listed in found if self._everything or listed.notified]
            self._quiet += len(found) - len(shown)
            for listed in shown:
                self._print(listed)
            self._place = found[-1].raised

    def _keep(self) -> None:
        if self._place != self._kept:
            self._desk.move_cursor(self._cursor, self._place)
            self._kept = self._place

    def _print(self, listed: Listed) -> None:
        self.printed += 1
        if self._terminal is None:
            sys.stdout.write(json.dumps(listed.alert, ensure_ascii=False, separators=(",", ":")) + "\n")
            sys.stdout.flush()
            return
        self._terminal.notify(listed.alert, alarm=listed.notified and not listed.reopened)


def _wait(halt: Event, news: Event | None) -> None:
    if news is None:
        halt.wait(POLL)
    else:
        news.wait(WAKE_EVERY)
        news.clear()
