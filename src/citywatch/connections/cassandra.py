"""Cassandra: `cassandra://user@host:9042/keyspace`, with the password in a file or in the environment."""

from __future__ import annotations

import logging
import os
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from citywatch.connections import addresses
from citywatch.errors import CitywatchError, MissingPackageError, SourceError, UsageError

if TYPE_CHECKING:
    from cassandra.cluster import Session

SCHEME = "cassandra://"
PASSWORD = "CITYWATCH_CASSANDRA_PASSWORD"  # noqa: S105 - the name of a variable

_PORT = 9042
_EXAMPLE = "write cassandra://user@host/keyspace, several hosts as host1,host2"
_OPTIONS = ("password-file", "ca", "cert", "key", "dc")
_REQUEST_S = 20.0
_CONNECT_S = 10.0


@dataclass(frozen=True, slots=True)
class Address:
    """Where a keyspace is.

    Attributes
    ----------
    name
        The address as a person wrote it, without options; it holds no secret.
    table
        What stands behind the keyspace: the table of a source.
    dc
        The data centre whose nodes are asked; None = all.
    ca, cert, key
        Files of certificates; with `ca` the connection is encrypted and the server has to prove who it is.
    """

    name: str
    hosts: tuple[str, ...]
    port: int
    keyspace: str
    table: str | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    dc: str | None = None
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None


def parse(text: str, environment: Mapping[str, str] = os.environ) -> Address:
    """The address behind `text`. Raises UsageError where it is wrong, SourceError where a file of it cannot be read."""
    place, _, query = text.partition("?")
    authority, _, path = place.removeprefix(SCHEME).partition("/")
    options = addresses.options(text, query, _OPTIONS)
    user = addresses.user(text, authority, PASSWORD)
    hosts, port = _nodes(text, authority.rpartition("@")[2])
    keyspace, _, table = path.strip("/").partition("/")
    if not keyspace.isidentifier() or (table and not table.isidentifier()):
        raise UsageError(f"{text!r} names no keyspace{' or table' if table else ''}", hint=_EXAMPLE)
    return Address(
        name=place,
        hosts=hosts,
        port=port,
        keyspace=keyspace,
        table=table or None,
        user=user,
        password=addresses.password(options, environment, PASSWORD) if user else None,
        dc=options.get("dc"),
        **{name: Path(options[name]) for name in ("ca", "cert", "key") if name in options},
    )


def _nodes(text: str, places: str) -> tuple[tuple[str, ...], int]:
    """Hosts and their port."""
    try:
        parts = [urlsplit(f"//{place}") for place in places.split(",")]
        ports = {part.port or _PORT for part in parts}
    except ValueError as error:
        raise UsageError(f"{text!r}: {error}", hint=_EXAMPLE) from error
    hosts = tuple(part.hostname for part in parts if part.hostname)
    if len(hosts) < len(parts) or len(ports) > 1:
        what = "names no host" if len(hosts) < len(parts) else "names several ports; all nodes have the same"
        raise UsageError(f"{text!r} {what}", hint=_EXAMPLE)
    return hosts, ports.pop()


@contextmanager
def session(address: Address, failed: Callable[[str, str], CitywatchError]) -> Iterator[Session]:
    """A session in which reads and writes wait for a local quorum of the replicas; tables are named with keyspace.

    `failed` makes the error to raise of (what, hint) when no connection comes about; what the server says later is
    raised as it is: see `explained`.
    """
    _require()
    logging.getLogger("cassandra").setLevel(logging.CRITICAL)  # what it has to say is raised, too
    from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster  # noqa: PLC0415 - an extra that few need
    from cassandra.policies import ConstantReconnectionPolicy  # noqa: PLC0415 - as above

    cluster = Cluster(
        list(address.hosts),
        port=address.port,
        auth_provider=_credentials(address),
        ssl_context=_tls(address),
        execution_profiles={EXEC_PROFILE_DEFAULT: _profile(address)},
        reconnection_policy=ConstantReconnectionPolicy(1.0, None),
        connect_timeout=_CONNECT_S,
        control_connection_timeout=_CONNECT_S,
    )
    try:
        try:
            opened = cluster.connect()
        except errors() as error:
            raise failed(f"cannot speak to {address.name}: {said(error)}", _hint(error)) from error
        yield opened
    finally:
        cluster.shutdown()


def _profile(address: Address) -> Any:
    from cassandra import ConsistencyLevel  # noqa: PLC0415 - an extra that few need
    from cassandra.cluster import ExecutionProfile  # noqa: PLC0415 - as above
    from cassandra.policies import DCAwareRoundRobinPolicy, RoundRobinPolicy, TokenAwarePolicy  # noqa: PLC0415 - as above

    nodes = DCAwareRoundRobinPolicy(address.dc) if address.dc else RoundRobinPolicy()
    return ExecutionProfile(
        load_balancing_policy=TokenAwarePolicy(nodes),
        consistency_level=ConsistencyLevel.LOCAL_QUORUM,
        request_timeout=_REQUEST_S,
    )


def _credentials(address: Address) -> Any:
    from cassandra.auth import PlainTextAuthProvider  # noqa: PLC0415 - an extra that few need

    return PlainTextAuthProvider(address.user, address.password or "") if address.user else None


def _tls(address: Address) -> ssl.SSLContext | None:
    if address.ca is None:
        return None
    try:
        context = ssl.create_default_context(cafile=str(address.ca))
        if address.cert:
            context.load_cert_chain(address.cert, address.key)
    except OSError as error:
        raise SourceError(f"cannot read the certificates of {address.name}: {error}") from error
    return context


@contextmanager
def explained(address: Address, failed: Callable[[str, str], CitywatchError], refused: str) -> Iterator[None]:
    """Raise what the server says, or its absence, as `failed` makes it.

    `refused` is the hint where the server is there, and takes a statement from nobody or not from this user.
    """
    from cassandra import RequestValidationException  # noqa: PLC0415 - an extra that few need

    try:
        yield
    except errors() as error:
        hint = refused if isinstance(error, RequestValidationException) else _hint(error)
        raise failed(f"{address.name}: {said(error)}", hint) from error


def errors() -> tuple[type[Exception], ...]:
    """What a server, or its absence, may raise."""
    from cassandra import DriverException, OperationTimedOut  # noqa: PLC0415 - an extra that few need
    from cassandra.cluster import NoHostAvailable  # noqa: PLC0415 - as above
    from cassandra.connection import ConnectionException  # noqa: PLC0415 - as above

    return (DriverException, OperationTimedOut, NoHostAvailable, ConnectionException, OSError)


def said(error: BaseException) -> str:
    """What is wrong, in a line; of several hosts, what the first of them said."""
    inner = getattr(error, "errors", None)
    if isinstance(inner, dict) and inner:
        host, first = next(iter(inner.items()))
        return f"{host}: {said(first) if isinstance(first, BaseException) else first}"
    return " ".join(str(error).split()) or repr(error)


def _hint(error: BaseException) -> str:
    text = said(error).lower()
    if "auth" in text or "credentials" in text or "password" in text:
        return f"name the user in the address, and the password in {PASSWORD} or {PASSWORD}_FILE"
    if "consistency level" in text:
        return "too few nodes are up for the copies of each row: ALTER KEYSPACE … WITH replication, or more nodes"
    return "is the cluster up, and the port its native one (9042)?"


def _require() -> None:
    import importlib.util  # noqa: PLC0415 - only for those who come here

    if importlib.util.find_spec("cassandra") is None:
        raise MissingPackageError(
            "Cassandra needs cassandra-driver", hint="install it with `pip install 'citywatch[cassandra]'`"
        )
