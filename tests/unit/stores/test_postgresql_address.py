from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from citywatch.connections.postgresql import PASSWORD_FILE, database_address
from citywatch.errors import MissingPackageError, UsageError


def test_an_address_says_where_and_who_and_shows_no_password(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "pw").write_text("s3cret '\\\n")
    monkeypatch.setenv(PASSWORD_FILE, str(tmp_path / "pw"))
    address = database_address("postgresql://anna@db:5433/city?sslmode=verify-full&schema=night")
    assert (str(address), address.schema, address.password) == ("postgresql://anna@db:5433/city", "night", "s3cret '\\")
    assert "s3cret" not in repr(address)
    options = address.all_options()
    assert (options["sslmode"], options["options"]) == ("verify-full", "-c search_path=night")
    assert address.for_django()["PASSWORD"] == "s3cret '\\"


@pytest.mark.parametrize(
    "text",
    ["mysql://db/x", "postgresql://db:port/x", "postgresql://db/x?schema=a;b", "postgresql://anna:pw@db/x"],
)
def test_what_is_no_address_for_a_command_line_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        database_address(text, typed=True)


def test_a_password_file_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD_FILE, "/nowhere/pw")
    with pytest.raises(UsageError, match="/nowhere/pw"):
        database_address("postgresql://db/x")


def test_without_the_client_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match="citywatch\\[postgres\\]"):
        database_address("postgresql://db/x")
