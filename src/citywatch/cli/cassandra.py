"""`citywatch cassandra`: make the tables, and users with only the rights that they need."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from citywatch.cli.log import say
from citywatch.errors import StoreError, UsageError

if TYPE_CHECKING:
    from cassandra.cluster import Session

    from citywatch.connections.cassandra import Address


_TOO_SOON = "can only be changed every"
_TRIES = 20


@click.group()
def cassandra() -> None:
    """Prepare a Cassandra for `up --store`, as an administrator of it."""


@cassandra.command()
def tables() -> None:
    """Print the CQL of the tables, and what is asked of each."""
    from citywatch.stores.cassandra.tables import TABLES

    for table in TABLES:
        click.echo(f"-- {table.question}\n{table.cql};\n")


@cassandra.command()
@click.argument("address")
@click.option("--replication", type=click.IntRange(min=1), default=3, show_default=True, help="Copies of each row.")
def setup(*, address: str, replication: int) -> None:
    """Make the keyspace and the tables where they are not there; ADDRESS is cassandra://admin@host/keyspace."""
    from citywatch.stores.cassandra.tables import TABLES, keyspace_cql, replication_of

    with _administrator(address) as (session, where):
        _enough(session, replication, where.dc)
        session.execute(keyspace_cql(where.keyspace, replication, where.dc))
        session.set_keyspace(where.keyspace)
        for table in TABLES:
            session.execute(table.cql)
        say(f"{where.keyspace} has {len(TABLES)} tables")
        _as_wanted(session, where.keyspace, replication_of(replication, where.dc))


def _as_wanted(session: Session, keyspace: str, wanted: dict[str, str]) -> None:
    """Raise StoreError where the keyspace was there, and its copies are kept otherwise: to change that moves data."""
    asked = "SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = %s"
    (row,) = session.execute(asked, [keyspace])
    found = {**row.replication, "class": row.replication["class"].rpartition(".")[2]}
    if found != wanted:
        alter = f"ALTER KEYSPACE {keyspace} WITH replication = {wanted}"
        hint = f"leave it so, or say in cqlsh: {alter}; then run `nodetool repair` on each node"
        raise StoreError(f"{keyspace} was there and keeps its copies otherwise: {found}", hint=hint)


def _enough(session: Session, replication: int, dc: str | None) -> None:
    """Rows are read and written with most of their copies: raise UsageError where there are fewer nodes."""
    nodes = [host for host in session.cluster.metadata.all_hosts() if dc in (None, host.datacenter)]
    if len(nodes) < replication // 2 + 1:
        what = f"{replication} copies of each row need {replication // 2 + 1} nodes at least, and there is {len(nodes)}"
        raise UsageError(what, hint="say how many it is to be, such as --replication 1 for a try on one node")


@cassandra.command()
@click.argument("address")
@click.option(
    "--passwords",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Directory with a file for each role; a password that is not there is made, for the owner to read.",
)
def users(*, address: str, passwords: Path) -> None:
    """Make a role for each purpose, with only the rights that it needs, or set their passwords anew."""
    from citywatch.stores.cassandra.tables import ROLES

    with _administrator(address) as (session, where):
        for role, (purpose, rights) in ROLES.items():
            _role(session, role, _password(passwords / role))
            for table, right in rights.items():
                for one in right.split(", "):
                    session.execute(f"GRANT {one} ON {where.keyspace}.{table} TO {role}")
            click.echo(f"{role}: for {purpose}; its password is in {passwords / role}")


def _role(session: Session, role: str, password: str) -> None:
    """Make it, or set its password anew, which Cassandra does once in five seconds: wait for that."""
    from citywatch.connections.cassandra import errors

    known = {row.role for row in session.execute("LIST ROLES")}
    word, quoted = "ALTER" if role in known else "CREATE", password.replace("'", "''")
    for left in range(_TRIES, -1, -1):
        try:
            session.execute(f"{word} ROLE {role} WITH PASSWORD = '{quoted}' AND LOGIN = true")
        except errors() as error:
            if not left or _TOO_SOON not in str(error):
                raise
            time.sleep(1)
        else:
            return


def _password(file: Path) -> str:
    """The password in the file, made when it is not there."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            file.touch(mode=0o600)
            file.write_text(secrets.token_urlsafe(24) + "\n", "utf-8")
        found = file.read_text("utf-8").strip()
    except OSError as error:
        raise StoreError(f"{file} cannot be read or made: {error.strerror}") from error
    if not found:
        raise UsageError(f"{file} holds no password", hint="remove it to have one made")
    return found


@contextmanager
def _administrator(text: str) -> Iterator[tuple[Session, Address]]:
    """A session that may change the cluster. Raises StoreError with the server's words."""
    from citywatch.connections.cassandra import explained, parse, session

    address = parse(text)
    hint = "name a user who may do that: cassandra://admin@host/keyspace"
    with session(address, _failed) as opened, explained(address, _failed, hint):
        yield opened, address


def _failed(what: str, hint: str) -> StoreError:
    return StoreError(what, hint=hint)
