"""Small tables of facts: how colours, makes and streets are written."""

from __future__ import annotations

import csv
from functools import cache
from importlib.resources import files


@cache
def table(name: str) -> tuple[dict[str, str], ...]:
    """Rows of ``name.csv`` beside this module, as text under their column names."""
    text = files(__package__).joinpath(f"{name}.csv").read_text("utf-8")
    return tuple(csv.DictReader(text.splitlines()))


@cache
def spellings(name: str) -> dict[str, str]:
    """Rows of a table of two columns: as it is written -> as it is meant."""
    return {row["written"]: row[meant] for row in table(name) for meant in row if meant != "written"}


def sql_map(pairs: dict[str, str]) -> str:
    """Text of a DuckDB MAP from text to text."""
    quoted = [[f"'{text.replace(chr(39), chr(39) * 2)}'" for text in side] for side in (pairs.keys(), pairs.values())]
    return f"MAP([{', '.join(quoted[0])}], [{', '.join(quoted[1])}])"
