"""Where records come from. A new source is one module and one line in `SCHEMES`."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping

from citywatch.errors import SourceError
from citywatch.sources.model import Options, Source

SCHEMES: Mapping[str, str] = {
    "": "citywatch.sources.files:open_files",
    "file": "citywatch.sources.files:open_files",
    "cassandra": "citywatch.sources.cassandra:open_cassandra",
    "hdfs": "citywatch.sources.hdfs:open_hdfs",
    "kafka": "citywatch.sources.kafka:open_kafka",
    "mqtt": "citywatch.sources.mqtt:open_mqtt",
    "mqtts": "citywatch.sources.mqtt:open_mqtt",
    "sim": "citywatch.sources.simulator:open_simulator",
}
"""Scheme of the address -> module and function that opens it: (address, Options) -> list of sources."""


def open_source(text: str, options: Options | None = None) -> list[Source]:
    """Sources behind one argument of the command line: a path, a glob, ``-`` or ``scheme://…``.

    A glob gives one source a file, in order of name. Raises SourceError when nothing is there or the scheme is not
    known.
    """
    scheme, separator, _ = text.partition("://")
    if not separator:
        scheme = ""
    if scheme not in SCHEMES:
        known = ", ".join(f"{name}://" for name in SCHEMES if name)
        raise SourceError(f"unknown kind of source {scheme}:// in {text!r}", hint=f"known: a path, -, {known}")
    module, _, function = SCHEMES[scheme].partition(":")
    opener: Callable[[str, Options], list[Source]] = getattr(importlib.import_module(module), function)
    return opener(text, options or Options())
