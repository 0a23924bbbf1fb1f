"""`--store`: a store elsewhere that `run` and `up` keep up with what they accept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from citywatch.cli.log import say

if TYPE_CHECKING:
    from citywatch.cli.hosting import Host
    from citywatch.engine.embedded.relaying import Relaying


def store_option(command: Callable[..., None]) -> Callable[..., None]:
    """`--store ADDRESS`."""
    meaning = "Keep a Cassandra up with events and alerts: cassandra://user@host/keyspace."
    option: Callable[..., Callable[..., None]] = click.option("--store", metavar="ADDRESS", help=meaning)
    return option(command)


@contextmanager
def storing(hosted: Host, store: str | None) -> Iterator[Relaying | None]:
    """Keep the store up while the block lasts; None where none is named. Raises UsageError."""
    if store is None:
        yield None
        return
    from citywatch.analytics.render.pseudonyms import read_key
    from citywatch.cli.report import KEY_FILE
    from citywatch.engine.embedded.relaying import Relaying
    from citywatch.stores import open_store

    target, directory = open_store("relay", store), hosted.directory
    with Relaying(directory, hosted.settings, target, read_key(directory.path / KEY_FILE), say) as relaying:
        yield relaying
