"""What `citywatch doctor --cluster` looks at: each connection that is configured, and what its user may do there.

Nothing is changed: rights are asked for, or tried in a way that leaves nothing behind.
"""

from __future__ import annotations

import socket
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from citywatch.cli.cluster_topics import kafka
from citywatch.cli.finding import Finding
from citywatch.errors import CitywatchError, StoreError, UsageError

if TYPE_CHECKING:
    from citywatch.connections.hdfs import Hdfs

_WAIT_S = 10.0


def cluster(data: Path) -> Iterator[Finding]:
    """All addresses in the setting `cluster`."""
    from citywatch.stores.directory import DataDirectory

    addresses = DataDirectory(data).settings().cluster.split()
    if not addresses:
        hint = 'write cluster = "kafka://host/citywatch.events hdfs://… cassandra://… postgresql://…" in citywatch.toml'
        yield Finding("note", "no connection is configured", hint)
    for address in addresses:
        try:
            yield from _look(address, data)
        except CitywatchError as error:
            yield Finding("bad", error.what, error.hint or "")


def _look(address: str, data: Path) -> Iterator[Finding]:
    looks: dict[str, Callable[[str], Iterator[Finding]]] = {
        "kafka": partial(kafka, data=data),
        "cassandra": cassandra,
        "hdfs": hdfs,
        "postgresql": postgresql,
    }
    scheme = address.partition("://")[0]
    if scheme not in looks:
        raise UsageError(f"{address!r} is no connection", hint=f"known: {', '.join(f'{name}://' for name in looks)}")
    began = time.monotonic()
    yield from looks[scheme](address)
    yield Finding("ok", f"{scheme}: looked at in {time.monotonic() - began:.1f} s")


def cassandra(text: str) -> Iterator[Finding]:
    """The nodes, the keyspace, its tables, and what this user may do with them."""
    from citywatch.connections import cassandra as connection

    address = connection.parse(text)

    def failed(what: str, hint: str) -> StoreError:
        return StoreError(what, hint=hint)

    with connection.session(address, failed) as session:
        nodes = session.cluster.metadata.all_hosts()
        down = [str(node.address) for node in nodes if node.is_up is False]
        state = f"{address.name}: {len(nodes)} nodes" + (f", of which {', '.join(down)} are down" if down else "")
        yield Finding("note" if down else "ok", state)
        with connection.explained(address, failed, "see `citywatch cassandra`"):
            yield from _keyspace(session, address)


def _keyspace(session: Any, address: Any) -> Iterator[Finding]:
    from citywatch.stores.cassandra.tables import BY_NAME

    known = session.cluster.metadata.keyspaces.get(address.keyspace)
    setup = f"as an administrator: citywatch cassandra setup cassandra://admin@{','.join(address.hosts)}/"
    if known is None:
        yield Finding("bad", f"keyspace {address.keyspace} is not there", f"{setup}{address.keyspace}")
        return
    if missing := sorted(set(BY_NAME) - set(known.tables)):
        yield Finding("bad", f"keyspace {address.keyspace} lacks {', '.join(missing)}", f"{setup}{address.keyspace}")
    there = sorted(set(BY_NAME) & set(known.tables))
    readable = [table for table in there if _may(session, f'SELECT * FROM "{address.keyspace}"."{table}" LIMIT 1')]
    yield from _granted(session, address, there, readable)


def _may(session: Any, cql: str) -> bool:
    """Whether this user is allowed a statement."""
    from cassandra import Unauthorized

    try:
        session.execute(cql)
    except Unauthorized:
        return False
    return True


def _granted(session: Any, address: Any, there: Sequence[str], readable: Sequence[str]) -> Iterator[Finding]:
    """What a user may read was tried; what it may write is asked for."""
    from cassandra import InvalidRequest

    makes = "as an administrator: citywatch cassandra users … makes users with the rights they need"
    if not readable and there:
        yield Finding("bad", f"this user may read none of the {len(there)} tables", makes)
        return
    try:
        rights = [
            (row.resource, row.permission) for row in session.execute(f'LIST ALL PERMISSIONS OF "{address.user}"')
        ]
        superuser = any(row.super for row in session.execute(f'LIST ROLES OF "{address.user}"'))
    except InvalidRequest:  # no authorizer
        yield Finding(
            "note", "everybody may do everything there", "give the cluster a password and rights for each user"
        )
        return
    wide = {f"<keyspace {address.keyspace}>", "<all keyspaces>"}
    writes = {what for what, right in rights if right == "MODIFY"}
    writable = [t for t in there if superuser or writes & {*wide, f"<table {address.keyspace}.{t}>"}]
    yield Finding(
        "ok", f"keyspace {address.keyspace}: this user may read {_of(readable, there)}, write {_of(writable, there)}"
    )
    if superuser or any(right in ("CREATE", "DROP", "ALTER", "AUTHORIZE") for _, right in rights):
        yield Finding("note", "this user may do more than it needs: change tables, or users", makes)


def _of(some: Sequence[str], all_: Sequence[str]) -> str:
    if len(some) in (0, len(all_)):
        return f"all {len(all_)} tables" if some else "none"
    return ", ".join(some)


def hdfs(text: str) -> Iterator[Finding]:
    """The NameNode, the directory, and whether a file can be written, read and removed there."""
    from citywatch.connections.hdfs import Hdfs, parse

    address = parse(text)
    _listened_to(address.cluster)
    cluster = Hdfs(address.cluster, lambda what, hint: StoreError(what, hint=hint), patience=_WAIT_S)
    if cluster.status(address.path) is None:
        make = f"hdfs dfs -mkdir -p {address.path}; hdfs dfs -chown NAME {address.path}"
        yield Finding("bad", f"{address} is not there", make)
        return
    yield Finding("ok", f"{address} is there")
    same = _kept_there(cluster, f"{address.path.rstrip('/')}/.citywatch-doctor-{uuid.uuid4().hex}")
    what = "a file can be written, read and removed there" if same else "what is read there is not what was written"
    yield Finding("ok" if same else "bad", what)


def _listened_to(cluster: str) -> None:
    """Raise StoreError where nobody listens at the address of a NameNode: its client would ask for minutes."""
    parts = urlsplit(cluster)
    if not parts.hostname or not parts.port:
        return  # HADOOP_CONF_DIR says where that is
    try:
        socket.create_connection((parts.hostname, parts.port), _WAIT_S).close()
    except OSError as error:
        hint = "is the cluster up, and is that the address of its NameNode?"
        raise StoreError(f"{cluster}: {error.strerror or error}", hint=hint) from error


def _kept_there(cluster: Hdfs, probe: str) -> bool:
    """Whether a file that is written reads as it was written; it is gone afterwards."""
    content = b"written by citywatch doctor, which removes it"

    def write() -> None:
        from hdfs_native import WriteOptions

        file = cluster.client.create(probe, WriteOptions(overwrite=True))
        try:
            file.write(content)
        finally:
            file.close()

    try:
        cluster.tried(f"write {probe}", write)
        return bool(cluster.read(probe) == content)
    finally:
        if cluster.status(probe) is not None:
            cluster.tried(f"remove {probe}", lambda: cluster.client.delete(probe))


def postgresql(text: str) -> Iterator[Finding]:
    """The server, the tables of the desk and of the console, and the rights of this user."""
    from citywatch.connections.postgresql import database_address

    address = database_address(text)
    import psycopg

    from citywatch.stores.desk.server import store_errors

    with store_errors(address), psycopg.connect(address.conninfo(), autocommit=True, connect_timeout=10) as con:
        secure = con.info.pgconn.ssl_in_use or con.info.host in ("", "localhost", "127.0.0.1", "::1")
        yield Finding("ok", f"{address} answers, PostgreSQL {con.info.server_version // 10_000}")
        if not secure:
            yield Finding("note", "the connection is not encrypted", "add ?sslmode=verify-full&sslrootcert=FILE")
        yield from _tables(con, address.schema)


def _tables(con: Any, schema: str) -> Iterator[Finding]:
    """Whether the tables are made, in this version, and what this user may do with them."""
    from citywatch.stores.desk.tables import VERSION

    prepare = "as their owner: `citywatch console --prepare ROLE`"
    allowed, made = con.execute(
        "SELECT has_schema_privilege(oid, 'USAGE'), EXISTS (SELECT FROM pg_class WHERE relnamespace = n.oid "
        "AND relname = 'version') FROM pg_namespace n WHERE nspname = %s",
        [schema],
    ).fetchone() or (False, False)
    if not made:
        yield Finding("bad", f"the tables of the desk are not made in the schema {schema}", prepare)
        return
    if not allowed:
        yield Finding("bad", f"this user may not use the schema {schema}", prepare)
        return
    yield from _rights(con, schema, prepare)
    (version,) = con.execute("SELECT number FROM version").fetchone()
    if version != VERSION:
        yield Finding("bad", f"the tables have version {version}, this citywatch knows {VERSION}", prepare)
    signed = con.execute("SELECT to_regclass('console_signinlink') IS NOT NULL").fetchone()[0]
    if not signed:
        yield Finding("note", "the tables of people are not made yet", prepare)


def _rights(con: Any, schema: str, prepare: str) -> Iterator[Finding]:
    """What of its tables a user may read and write; what was recorded of people only grows."""
    from citywatch.stores.desk.server import APPEND_ONLY

    rows = con.execute(
        "SELECT relname, has_table_privilege(c.oid, 'SELECT'), has_table_privilege(c.oid, 'INSERT'), "
        "has_table_privilege(c.oid, 'DELETE'), rolsuper FROM pg_class c, pg_roles "
        "WHERE relnamespace = %s::regnamespace AND relkind = 'r' AND rolname = user ORDER BY relname",
        [schema],
    ).fetchall()
    lacks = [name for name, reads, writes, *_ in rows if not reads or not (writes or name == "version")]
    if lacks:
        yield Finding("bad", f"this user may not read and write {', '.join(lacks)}", prepare)
    else:
        yield Finding("ok", f"this user may read and write what it needs of the {len(rows)} tables")
    superuser = any(row[-1] for row in rows)
    if superuser or any(deletes for name, _, _, deletes, _ in rows if name in APPEND_ONLY):
        what = "this user may do more than it needs: " + ("it is a superuser" if superuser else "it owns the tables")
        yield Finding("note", what, "deploy/postgresql/users.sh makes one with only the rights it needs")
