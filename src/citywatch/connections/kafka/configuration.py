"""How a client is configured: a file of properties, the environment over it, and what citywatch decides over both.

Secrets stand in the file or in the environment, never in an address or on a command line.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from citywatch.errors import CitywatchError, Place, UsageError

PREFIX = "CITYWATCH_KAFKA_"
FILE = f"{PREFIX}CONFIG"
"""Names the file where an address has no `config`."""

OURS = frozenset(
    "bootstrap.servers metadata.broker.list group.id group.instance.id group.protocol enable.auto.commit "
    "enable.auto.offset.store auto.offset.reset enable.partition.eof partition.assignment.strategy "
    "enable.idempotence acks transactional.id statistics.interval.ms allow.auto.create.topics".split()
)
"""Properties on which it depends that nothing is lost and nothing doubled."""


def require() -> None:
    """Raise an error that says how to get the client, where it is not installed."""
    try:
        import confluent_kafka  # noqa: F401, PLC0415 - only asked whether it is there; and it is optional
    except ImportError as error:
        raise CitywatchError("no client for Kafka is installed", hint="pip install 'citywatch[kafka]'") from error


def properties(file: Path | None = None, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What a person has set: of the file (default: the one that the environment names), and of the environment.

    Raises UsageError.
    """
    if file is None and FILE in environment:
        file = Path(environment[FILE])
    return {**(_of_file(file) if file else {}), **_of_environment(environment)}


def client(servers: str, given: Mapping[str, str], **ours: Any) -> dict[str, Any]:
    """The configuration of a client; `ours` has underscores for dots."""
    return {
        "log_level": 0,
        "client.id": "citywatch",
        "reconnect.backoff.max.ms": 5_000,
        "topic.metadata.refresh.interval.ms": 1_000,
        **given,
        "bootstrap.servers": servers,
        **{name.replace("_", "."): value for name, value in ours.items()},
    }


def _of_file(file: Path) -> dict[str, str]:
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read Kafka's properties in {file}: {error}", hint=f"see ls -l {file}") from error
    found = {}
    for number, line in enumerate(lines, 1):
        name, equals, value = line.strip().partition("=")
        if not name or name.startswith(("#", "!")):
            continue
        if not equals:
            raise UsageError("no property=value", where=Place(file, number))
        found[_checked(name.strip(), Place(file, number))] = value.strip()
    return found


def _of_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """`CITYWATCH_KAFKA_SASL_PASSWORD` is `sasl.password`; with `_FILE` behind it, the first line of a file is."""
    found = {}
    for name, value in environment.items():
        if not name.startswith(PREFIX) or name == FILE:
            continue
        key = name.removeprefix(PREFIX).removesuffix("_FILE").lower().replace("_", ".")
        found[_checked(key, Place(name))] = _first_line(name, Path(value)) if name.endswith("_FILE") else value
    return found


def _first_line(name: str, file: Path) -> str:
    try:
        return file.read_text("utf-8").split("\n", 1)[0].rstrip("\r")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {file}, which {name} names: {error}", hint=f"see ls -l {file}") from error


def _checked(name: str, place: Place) -> str:
    if name in OURS:
        hint = "the address says what is read and for which group" if name != "acks" else "leave it out"
        raise UsageError(f"{name} is decided by citywatch", where=place, hint=hint)
    return name
