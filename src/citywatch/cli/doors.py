"""The engine's side of the doors over HTTP; the page's process has the address that senders know."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from citywatch.cli.hosting import Host
from citywatch.engine.embedded import Engine
from citywatch.engine.embedded.gathering import Gathering
from citywatch.sources.http.listening import Listening
from citywatch.sources.http.reception import NAME, Reception


@contextmanager
def open_doors(engine: Engine, host: Host) -> Iterator[None]:
    """Take events in that come over HTTP to the console of this data directory."""
    gathering = Gathering(engine, NAME, host.parser())
    mappings = {mapping.name: mapping.uses("content_id") for mapping in host.mappings}
    try:
        with Listening(host.directory.path, Reception(mappings, gathering.enter).answer):
            yield
    finally:
        gathering.stop()
