"""The offences that the city knows: their codes, their names, and which of two fines holds where."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Offence:
    """A code with its name in short words and its two fines in US dollars.

    `fine_manhattan` holds in Manhattan at or below 96th Street, `fine_elsewhere` in the rest of the city.
    """

    code: int
    name: str
    fine_manhattan: int
    fine_elsewhere: int


@cache
def offences() -> dict[int, Offence]:
    """All offences by code, in order of code."""
    text = files(__package__).joinpath("codes.csv").read_text("utf-8")
    rows = csv.DictReader(text.splitlines())
    made = (Offence(int(r["code"]), r["name"], int(r["fine_manhattan"]), int(r["fine_elsewhere"])) for r in rows)
    return {offence.code: offence for offence in made}


def code_names() -> dict[str, str]:
    """Code of an offence, as text -> its name in short words."""
    return {str(code): offence.name for code, offence in offences().items()}


def codes_sql() -> str:
    """A DuckDB relation (code SMALLINT, name VARCHAR, fine_manhattan INTEGER, fine_elsewhere INTEGER), US dollars."""
    rows = ", ".join(
        f"({o.code}, '{o.name.replace(chr(39), chr(39) * 2)}', {o.fine_manhattan}, {o.fine_elsewhere})"
        for o in offences().values()
    )
    return (
        "SELECT CAST(code AS SMALLINT) AS code, name, fine_manhattan, fine_elsewhere "
        f"FROM (VALUES {rows}) AS codes(code, name, fine_manhattan, fine_elsewhere)"
    )
