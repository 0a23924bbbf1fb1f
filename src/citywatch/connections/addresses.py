"""What addresses of several kinds share: options behind a `?`, and passwords, which never stand in an address."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from urllib.parse import unquote

from citywatch.errors import SourceError, UsageError


def options(text: str, query: str, known: Collection[str]) -> dict[str, str]:
    """`name=value&…` of the address `text`. Raises UsageError for a name that is not `known`, or without a value."""
    found = {}
    for part in query.split("&") if query else []:
        name, _, value = part.partition("=")
        if name not in known or not value:
            what = f"{name} has no value" if name in known else f"unknown option {name!r}"
            raise UsageError(f"{text!r}: {what}", hint=f"known: {', '.join(known)}; quote the address for the shell")
        found[name] = unquote(value)
    return found


def user(text: str, authority: str, variable: str) -> str | None:
    """Who signs in, of `user@host`. Raises UsageError where a password stands there; `variable` is where it may be."""
    person, _, _ = authority.rpartition("@")
    name, colon, _ = person.partition(":")
    if colon:
        shown = text.replace(f"{person}@", f"{name}@", 1)
        raise UsageError(
            "a password in an address is seen by everybody on this machine",
            hint=f"write {shown!r}, and put the password into {variable} or a file named in {variable}_FILE",
        )
    return unquote(name) or None


def password(given: Mapping[str, str], environment: Mapping[str, str], variable: str) -> str | None:
    """What stands in the file of the option `password-file`, in `variable`, or in the file named in `variable`_FILE.

    Raises SourceError where a file cannot be read.
    """
    file = given.get("password-file") or environment.get(f"{variable}_FILE")
    if "password-file" not in given and variable in environment:
        return environment[variable]
    if file is None:
        return None
    try:
        return Path(file).read_text("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"cannot read the password in {file}: {error}", hint=f"see ls -l {file}") from error
