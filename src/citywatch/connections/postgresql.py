"""Where a database on a server is. Passwords come from files or the environment, never from the command line."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from citywatch.errors import MissingPackageError, UsageError

SCHEMA = "citywatch"

VARIABLE = "CITYWATCH_DATABASE"

PASSWORD_FILE = "CITYWATCH_DATABASE_PASSWORD_FILE"  # noqa: S105 - the name of a variable that names a file

_FORM = "postgresql://user@host:5432/database?sslmode=verify-full"


@dataclass(frozen=True, slots=True)
class Address:
    """A database of PostgreSQL: `options` are what libpq takes (host, port, dbname, user, sslmode, ...)."""

    options: Mapping[str, str]
    schema: str = SCHEMA
    password: str | None = field(default=None, repr=False)

    def conninfo(self) -> str:
        """The form that libpq reads, with the password."""
        from psycopg.conninfo import make_conninfo  # noqa: PLC0415 - only those who have a database need it

        return make_conninfo("", **self.all_options())

    def all_options(self) -> dict[str, str]:
        """What libpq takes, with the password and the schema."""
        secret = {"password": self.password} if self.password is not None else {}
        found = {**self.options, **secret, "options": f"-c search_path={self.schema}"}
        return {"application_name": "citywatch", **found}

    def for_django(self) -> dict[str, Any]:
        """The same, as Django is told."""
        options = self.all_options()
        names = {"HOST": "host", "PORT": "port", "NAME": "dbname", "USER": "user", "PASSWORD": "password"}
        known = {name: options.pop(option, "") for name, option in names.items()}
        # A connection is looked at before it is used: after a restart of the server each old one would be an error.
        checked = {"CONN_HEALTH_CHECKS": True}
        return {"ENGINE": "django.db.backends.postgresql", **known, **checked, "OPTIONS": {**options, "pool": True}}

    def __str__(self) -> str:
        place = self.options.get("host") or "localhost"
        port = self.options.get("port") or "5432"
        user = f"{self.options['user']}@" if "user" in self.options else ""
        return f"postgresql://{user}{place}:{port}/{self.options.get('dbname', '')}"


def database_address(text: str, *, typed: bool = False) -> Address:
    """Read an address. `typed`: it stands on the command line, where others see it. Raises UsageError."""
    parts = urlsplit(text)
    if parts.scheme not in ("postgresql", "postgres"):
        raise UsageError("that is no address of a database on PostgreSQL", hint=f"say {_FORM}")
    _require()
    options = dict(parse_qsl(parts.query))
    password = unquote(parts.password) if parts.password is not None else options.pop("password", None)
    if password is not None and typed:
        hint = f"put it into a file and name that in {PASSWORD_FILE}, or into ~/.pgpass"
        raise UsageError("a password on the command line is seen by everybody on this machine", hint=hint)
    named = {"host": parts.hostname, "port": _port(text), "user": parts.username, "dbname": parts.path.strip("/")}
    options = {**{name: unquote(str(value)) for name, value in named.items() if value}, **options}
    schema = options.pop("schema", SCHEMA)
    if not schema.isidentifier() or not schema.islower():
        raise UsageError(f"{schema!r} cannot be the name of a schema", hint="use small letters, digits and _")
    return Address(options, schema, password if password is not None else _from_file())


def _require() -> None:
    if not all(importlib.util.find_spec(name) for name in ("psycopg", "psycopg_pool")):
        raise MissingPackageError("no client for PostgreSQL is installed", hint="pip install 'citywatch[postgres]'")


def _port(text: str) -> int | None:
    try:
        return urlsplit(text).port
    except ValueError as error:
        raise UsageError("the address of the database names no possible port", hint=f"say {_FORM}") from error


def _from_file() -> str | None:
    """The password in the file that the environment names."""
    if not (name := os.environ.get(PASSWORD_FILE)):
        return None
    try:
        return Path(name).read_text("utf-8").strip()
    except OSError as error:
        raise UsageError(f"{PASSWORD_FILE} names {name}, which cannot be read: {error.strerror}") from error
