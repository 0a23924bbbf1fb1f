"""`--to`: a topic that hears of every alert that is new or has changed, as the contract writes it, under its id."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from citywatch.cli.topic_relay import Taken, TopicRelay

if TYPE_CHECKING:
    from citywatch.cli.hosting import Host
    from citywatch.stores.desk import Desk

_AT_ONCE = 500
_EVERY_S = 0.02
"""Somebody waits for an alert; to ask whether there is one takes microseconds."""


def to_option(command: Callable[..., None]) -> Callable[..., None]:
    """`--to ADDRESS`."""
    meaning = "Tell a topic, too, of alerts: kafka://host/citywatch.alerts."
    option: Callable[..., Callable[..., None]] = click.option("--to", "alerts_to", metavar="ADDRESS", help=meaning)
    return option(command)


@contextmanager
def telling_alerts(host: Host, to: str | None) -> Iterator[TopicRelay | None]:
    """Keep the topic up while the block lasts; None where none is named. Raises UsageError."""
    if to is None:
        yield None
        return
    from citywatch.connections.kafka.address import ALERTS, parse
    from citywatch.connections.kafka.configuration import require

    address = parse(to, ("config",), ALERTS)
    require()
    with TopicRelay(host.directory, address, "alerts", _alerts, _EVERY_S) as relay:
        yield relay


def _alerts(desk: Desk, after: int) -> list[Taken]:
    from citywatch.connections.kafka.producing import Outgoing

    found = desk.lines_since(after, limit=_AT_ONCE)
    return [Taken(change, Outgoing(id_, line.encode("utf-8", "replace"))) for change, id_, line in found]
