"""What a notifier is handed: one alert, or several in one message, already masked as their routes say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from citywatch.alert import Level, State
from citywatch.delivery import Kind
from citywatch.wording import place_in_words

Alert = Mapping[str, Any]

SHOWN_RULES = 4


@dataclass(frozen=True, slots=True)
class Message:
    """One message.

    Parameters
    ----------
    key
        The same at every try: receivers know a repeated message by it. For a single alert it is the alert's id.
    kind
        Why it carries what it carries.
    alerts
        Alerts in the contract's form, the most serious first. A digest carries the first hundred of them.
    total
        How many alerts it is about.
    rules
        How many of them there are of each rule.
    zone
        IANA zone in which times are told.
    at
        Now, µs UTC.
    made
        When it was made, µs UTC: the same at every try.
    earlier
        Key and `made` of the messages by which the receiver was told of the alert before, for an update.
    before
        State and level of the alert as the receiver was told last, for an update.
    page
        Address of the console, for links.
    runbooks
        What to do, by rule.
    test
        It is only a test: receivers say so to people.
    """

    key: str
    kind: Kind
    alerts: Sequence[Alert]
    total: int
    rules: Mapping[str, int]
    zone: str
    at: int
    page: str | None = None
    runbooks: Mapping[str, str] = field(default_factory=dict)
    test: bool = False
    made: int = 0
    earlier: Sequence[tuple[str, int]] = ()
    before: tuple[str, str] | None = None

    @property
    def single(self) -> Alert | None:
        """The alert, where the message is about one alone."""
        return self.alerts[0] if self.kind in (Kind.ALERT, Kind.UPDATE) else None

    def link(self, alert: Alert | None = None) -> str | None:
        """Address of the alert's page, or of the list."""
        if self.page is None:
            return None
        return f"{self.page}/alerts/{alert['id']}" if alert else f"{self.page}/"

    def level(self) -> str:
        """The most serious level in it."""
        levels = list(Level)
        return max((alert["level"] for alert in self.alerts), key=levels.index, default=Level.INFORMATIONAL.value)


def headline(message: Message) -> str:
    """One line that says what it is about."""
    alert = message.single
    words = one_line(_of_one(alert, message.before) if alert else _of_many(message))
    return f"Test: {words}" if message.test else words


def one_line(text: str) -> str:
    """Words without line ends and what else a receiver would obey instead of showing it."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def _of_one(alert: Alert, before: tuple[str, str] | None) -> str:
    place = place_in_words(alert)
    news = ", ".join(_news(alert, before))
    return f"[{alert['level']}] {alert['title']}{f', {place}' if place else ''}{f' ({news})' if news else ''}"


def _news(alert: Alert, before: tuple[str, str] | None) -> Iterator[str]:
    """Where an alert stands, when it is not just open, and what of that is new to a receiver who was told `before`."""
    state = alert["state"]
    was, level = before or (state, "")
    if (was == State.CLOSED and state != State.CLOSED) or (was == State.SHELVED and state == State.OPEN):
        yield f"{state} again"
    elif state != State.OPEN:
        yield state_in_words(alert)
    if level not in ("", alert["level"]):
        yield f"was {level}"


def state_in_words(alert: Alert) -> str:
    """`closed: false positive`."""
    return f"{alert['state']}: {alert['outcome'].replace('_', ' ')}" if alert["outcome"] else str(alert["state"])


def _of_many(message: Message) -> str:
    names = list(message.rules.items())
    shown = ", ".join(f"{count:,} {rule}" for rule, count in names[:SHOWN_RULES])
    others = f" and {len(names) - SHOWN_RULES} other rules" if len(names) > SHOWN_RULES else ""
    return f"[{message.level()}] {message.total:,} {_MANY[message.kind]}: {shown}{others}"


_MANY = {
    Kind.ALERT: "alert",
    Kind.BATCH: "alerts",
    Kind.DIGEST: "more alerts",
    Kind.QUIET: "alerts came in quiet hours",
    Kind.UPDATE: "alert",
    Kind.CHANGES: "alerts stand elsewhere now",
}
