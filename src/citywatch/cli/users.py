"""`citywatch users`: people who may sign in, and keys for programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from citywatch.cli.console import database_option
from citywatch.cli.options import data_option, person
from citywatch.connections.postgresql import Address, database_address
from citywatch.console.access import Right, Scope
from citywatch.errors import StoreError, UsageError
from citywatch.settings import duration
from citywatch.stores.desk import Desk

if TYPE_CHECKING:
    from citywatch.console.models import ApiKey

LONGEST_NAME = 64

RIGHTS = ", ".join(f"{right} ({right.meaning})" for right in Right)
SCOPES = ", ".join(f"{scope} ({scope.meaning})" for scope in Scope)

url_option = click.option("--url", help="Address of the console, when it is not the one that ran here last.")


@click.group()
@database_option
@click.pass_context
def users(context: click.Context, database: str | None) -> None:
    """People who may sign in to the console, and keys for programs."""
    if database:
        typed = context.get_parameter_source("database") is click.core.ParameterSource.COMMANDLINE
        context.obj = database_address(database, typed=typed)


@users.command(epilog=f"Rights: {RIGHTS}.")
@click.argument("name")
@data_option
@click.option(
    "--right",
    "rights",
    multiple=True,
    type=click.Choice([right.value for right in Right]),
    help="What they may do; may be given several times. [default: operator]",
)
@url_option
def add(name: str, data: Path, rights: tuple[str, ...], url: str | None) -> None:
    """Let a person in, and print a link that signs them in, once; an existing person gets these rights anew."""
    address = _console(data, url)
    from citywatch.console.people import add_person

    held = [Right(right) for right in rights] or [Right.OPERATOR]
    add_person(_name(name), held)
    click.echo(f"citywatch: {name} may sign in: {', '.join(right.meaning for right in held)}", err=True)
    _print_link(name, address)


@users.command()
@click.argument("name")
@data_option
@url_option
def link(name: str, data: Path, url: str | None) -> None:
    """Print a fresh link that signs a person in, once, within a day."""
    address = _console(data, url)
    from citywatch.console.people import people

    known = {found.username for found in people()}
    if name not in known:
        hint = f"known: {', '.join(sorted(known))}" if known else "nobody may sign in yet"
        raise UsageError(f"there is no person {name!r}", hint=f"{hint}; `citywatch users add NAME` lets somebody in")
    _print_link(name, address)


def _print_link(name: str, address: str) -> None:
    from citywatch.console.models import make_link

    click.echo(f"{address}/sign-in/{make_link(name, all_rights=False)}")


@users.command("list")
@data_option
def list_(data: Path) -> None:
    """Print who may sign in, and with which rights."""
    _console(data)
    from citywatch.console.people import people, rights_of

    for found in people():
        last = f"last in {found.last_login:%Y-%m-%d %H:%M} UTC" if found.last_login else "never in"
        click.echo(f"{found.username:<20}  {last:<29}  {', '.join(rights_of(found)) or 'reads alerts, masked'}")


@users.command()
@click.argument("name")
@data_option
def remove(name: str, data: Path) -> None:
    """Let a person in no more, at once. What they did stays in the logs."""
    _console(data)
    from citywatch.console.people import remove_person

    if not remove_person(name):
        raise UsageError(f"there is no person {name!r}", hint="see `citywatch users list`")
    click.echo(f"citywatch: {name} may not sign in any more", err=True)


@users.group()
def keys() -> None:
    """Keys by which programs use the HTTP API, as `Authorization: Bearer KEY`."""


@keys.command("add", epilog=f"Scopes: {SCOPES}.")
@click.argument("name")
@data_option
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice([scope.value for scope in Scope]),
    help="What it is good for; may be given several times.",
)
@click.option("--expires", metavar="DURATION", help="How long it is valid: 90d. For ever when left out.")
def add_key(name: str, data: Path, scopes: tuple[str, ...], expires: str | None) -> None:
    """Make a key and print it: it is shown this once and kept as a hash only."""
    _console(data)
    from citywatch.console.models import make_key

    ends = datetime.now(UTC) + _span(expires) if expires else None
    click.echo(make_key(_name(name), sorted(set(scopes)), by=person(), expires_at=ends))


@keys.command("list")
@data_option
@click.option(
    "--format", "form", type=click.Choice(["table", "ndjson"]), default="table", show_default=True, help="Form."
)
def list_keys(data: Path, form: str) -> None:
    """Print the keys, without their secrets: scopes, who made them, whether they are valid, when last used."""
    _console(data)
    from citywatch.console.models import ApiKey

    say: Callable[[ApiKey], str] = _key_line if form == "table" else partial(_key_json)
    for key in ApiKey.objects.order_by("name"):
        click.echo(say(key))


def _key_line(key: ApiKey) -> str:
    used = f"used {key.used_at:%Y-%m-%d %H:%M} UTC" if key.used_at else "never used"
    return f"{key.name:<20}  {key.standing:<22}  {used:<25}  {', '.join(key.scopes)}"


def _key_json(key: ApiKey) -> str:
    times: dict[str, Any] = {
        name: value.isoformat() if (value := getattr(key, name)) else None
        for name in ("made_at", "expires_at", "revoked_at", "used_at")
    }
    shown = {"name": key.name, "scopes": key.scopes, "valid": key.valid, "made_by": key.made_by, **times}
    return json.dumps(shown, ensure_ascii=False)


@keys.command()
@click.argument("name")
@data_option
def revoke(name: str, data: Path) -> None:
    """End a key at once."""
    _console(data)
    from citywatch.console.models import revoke_key

    if revoke_key(name) is None:
        raise UsageError(f"there is no key {name!r}", hint="see `citywatch users keys list`")
    click.echo(f"citywatch: key {name} is revoked", err=True)


def _console(data: Path, url: str | None = None) -> str:
    """Set Django up on the console's tables of a data directory or a server; returns the console's address."""
    from citywatch.console import site
    from citywatch.console.port import Site

    if database := click.get_current_context().find_object(Address):
        return _on_server(database, url)
    if not data.is_dir():
        raise StoreError(f"{data} is no data directory", hint="`citywatch up` makes one with --data")
    desk = data / "desk.sqlite"
    site.install(Site(data=data, desk=lambda: Desk(desk)))
    with Desk(desk) as opened:
        told = opened.status().get("console") or {}
    return (url or told.get("url") or "http://127.0.0.1:8000").rstrip("/")


def _on_server(database: Address, url: str | None) -> str:
    from citywatch.console import site
    from citywatch.console.port import Site
    from citywatch.stores.desk.server import Server

    context = click.get_current_context()
    server = Server(database, most=2)
    context.call_on_close(server.close)
    site.install(Site(data=Path(), desk=server.desk, database=database.for_django(), secret="-" * 50))
    context.call_on_close(site.leave)
    with server.desk() as opened:
        told = opened.status().get("console") or {}
    return (url or told.get("url") or "http://127.0.0.1:8000").rstrip("/")


def _name(text: str) -> str:
    """Names stand in logs and lists: short, without blanks at the ends or signs that do not print."""
    if not text.isprintable() or text != text.strip() or not 0 < len(text) <= LONGEST_NAME or ":" in text:
        raise UsageError(f"{text!r} is no name", hint=f"up to {LONGEST_NAME} letters, without colons")
    return text


def _span(text: str) -> timedelta:
    try:
        return timedelta(microseconds=duration(text))
    except ValueError as error:
        raise UsageError(str(error), hint="write 12h, 90d, 52w") from error
