"""What `citywatch doctor --cluster` looks at: each connection that is configured, and what its user may do there.

Nothing is changed: rights are asked for, or tried in a way that leaves nothing behind.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from citywatch.cli.cluster_topics import kafka
from citywatch.cli.finding import Finding
from citywatch.errors import CitywatchError, StoreError, UsageError

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
    """The nodes, the keyspace, its tables, and whether they can be read."""
    from citywatch.connections import cassandra as connection

    address = connection.parse(text)
    with connection.session(address, lambda what, hint: StoreError(what, hint=hint)) as session:
        nodes = session.cluster.metadata.all_hosts()
        down = [str(node.address) for node in nodes if node.is_up is False]
        state = f"{address.name}: {len(nodes)} nodes" + (f", of which {', '.join(down)} are down" if down else "")
        yield Finding("note" if down else "ok", state)
        keyspace = session.cluster.metadata.keyspaces.get(address.keyspace)
        if keyspace is None:
            yield Finding("bad", f"keyspace {address.keyspace} is not there", "see `citywatch cassandra --help`")
            return
        yield Finding("ok", f"keyspace {address.keyspace}: {len(keyspace.tables)} tables")
        for table in sorted(keyspace.tables)[:1]:
            try:
                session.execute(f'SELECT * FROM "{address.keyspace}"."{table}" LIMIT 1')
            except connection.errors() as error:
                yield Finding("bad", f"{table} cannot be read: {connection.said(error)}", "GRANT SELECT … TO the user")


def hdfs(text: str) -> Iterator[Finding]:
    """The NameNode, the directory, and whether a file can be written, read and removed there."""
    import uuid

    from citywatch.connections.hdfs import Hdfs, parse

    address = parse(text)
    cluster = Hdfs(address.cluster, lambda what, hint: StoreError(what, hint=hint), patience=_WAIT_S)
    if cluster.status(address.path) is None:
        make = f"hdfs dfs -mkdir -p {address.path}; hdfs dfs -chown NAME {address.path}"
        yield Finding("bad", f"{address} is not there", make)
        return
    yield Finding("ok", f"{address} is there")
    probe = f"{address.path.rstrip('/')}/.citywatch-doctor-{uuid.uuid4().hex}"
    content = b"written by citywatch doctor, which removes it"

    def write() -> None:
        with cluster.filesystem().open(probe, "wb") as file:
            file.write(content)

    cluster.tried(f"write {probe}", write)
    try:
        same = cluster.read(probe) == content
    finally:
        cluster.tried(f"remove {probe}", lambda: cluster.client.delete(probe))
    what = "a file can be written, read and removed there" if same else "what is read there is not what was written"
    yield Finding("ok" if same else "bad", what)


def postgresql(text: str) -> Iterator[Finding]:
    """The server, the tables of the desk and of the console, and the rights of this user."""
    from citywatch.connections.postgresql import database_address
    from citywatch.stores.desk.server import Server

    address = database_address(text)
    server = Server(address, most=1)
    try:
        with server.desk() as desk:
            yield Finding("ok", f"{address}: the desk has {sum(desk.state_counts().values()):,} alerts")
        with server.pool.connection() as con:
            yield from _rights(con)
    finally:
        server.close()


def _rights(con: Any) -> Iterator[Finding]:
    wanted = {"facts": "INSERT", "states": "UPDATE", "actions": "INSERT", "audit": "INSERT"}
    rows = con.execute(
        "SELECT t, r FROM unnest(%s::text[], %s::text[]) AS w (t, r) WHERE NOT has_table_privilege(t, r)",
        [list(wanted), list(wanted.values())],
    ).fetchall()
    if rows:
        lacks = ", ".join(f"{right} on {table}" for table, right in rows)
        yield Finding("bad", f"this user lacks {lacks}", "`citywatch console --prepare ROLE` as the owner gives it")
    may = con.execute("SELECT has_table_privilege('actions', 'DELETE'), rolsuper FROM pg_roles WHERE rolname = user")
    deletes, superuser = may.fetchone()
    if deletes or superuser:
        what = "this user may do more than it needs: " + ("it is a superuser" if superuser else "it owns the tables")
        yield Finding("note", what, "deploy/postgresql/users.sh makes one with only the rights it needs")
    signed = con.execute("SELECT to_regclass('console_signinlink') IS NOT NULL").fetchone()[0]
    if not signed:
        yield Finding("note", "the tables of people are not made yet", "`citywatch console --database …` makes them")
    secure = con.info.pgconn.ssl_in_use or con.info.host in ("", "localhost", "127.0.0.1", "::1")
    if not secure:
        yield Finding("note", "the connection is not encrypted", "add ?sslmode=verify-full&sslrootcert=FILE")
