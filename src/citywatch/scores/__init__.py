"""Scores of person reports: `formula.yaml` beside this is the formula, here it is turned into SQL."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    import duckdb

SCORES = ("behavior_score", "dangerosity")
COLUMNS = ("behaviors", "zones", "local_hour", "x", "y", "age")
"""What a score may depend on; `local_hour` is derived from the time in the city's zone."""


@cache
def formula() -> dict[str, Any]:
    """The weights and terms as they stand in the file."""
    loaded: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("formula.yaml").read_text("utf-8"))
    return loaded


def create_scores(con: duckdb.DuckDBPyConnection) -> None:
    """Make the tables of weights known to a connection, as the macros that `scores_sql` calls."""
    tables = formula()
    for name, weights in (("seed_points", "seed"), ("points", "points")):
        cases = _cases({behavior: of[weights] for behavior, of in tables["behaviors"].items()})
        summed = f"coalesce(list_sum(list_transform(seen, lambda b: CASE b {cases} ELSE 0e0 END)), 0e0)"
        con.execute(f"CREATE OR REPLACE MACRO {name}(seen) AS CASE WHEN seen IS NOT NULL THEN {summed} END")
    highest = f"coalesce(list_max(list_transform(held, lambda z: CASE z {_cases(tables['zones'])} ELSE 0e0 END)), 0e0)"
    con.execute(f"CREATE OR REPLACE MACRO zone_points(held) AS {highest}")
    con.execute(f"CREATE OR REPLACE MACRO hour_points(h) AS CASE h {_cases(tables['hours'])} ELSE 0e0 END")


def _cases(weights: Mapping[str | int, int]) -> str:
    return " ".join(f"WHEN {_literal(key)} THEN {weight}e0" for key, weight in weights.items())


def _literal(key: str | int) -> str:
    return str(key) if isinstance(key, int) else "'" + key.replace("'", "''") + "'"


def scores_sql(relation: str) -> str:
    """SQL of both scores and their terms for the rows of `relation`, which has `COLUMNS`; needs `create_scores`.

    Columns beside those of the relation: behavior_score, dangerosity (INTEGER), behavior_terms, dangerosity_terms
    (STRUCT of DOUBLE). A score is NULL where a term is, without behaviours, and dangerosity without x and y; and
    where it is no INTEGER, as for places far off the plane.
    """
    for score in SCORES:
        of = formula()[score]
        terms = ", ".join(f"'{name}': CAST({sql} AS DOUBLE)" for name, sql in of["terms"].items())
        total = f"TRY_CAST({of['score']} AS INTEGER)"
        shown = score.removesuffix("_score") + "_terms"
        with_terms = f"(SELECT *, {{{terms}}} AS t FROM {relation})"
        relation = f"(SELECT * EXCLUDE (t), {total} AS {score}, t AS {shown} FROM {with_terms})"
    return f"SELECT * FROM {relation}"
