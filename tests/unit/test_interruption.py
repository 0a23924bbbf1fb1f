"""Ctrl-C in the middle of a query is an interruption as any other, however DuckDB's client tells of it."""

from __future__ import annotations

import pytest

from citywatch.cli.interruption import as_interrupt


def test_what_duckdb_says_of_an_interrupted_query_is_an_interruption() -> None:
    with pytest.raises(KeyboardInterrupt), as_interrupt():
        raise RuntimeError("Query interrupted")


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="something else"), as_interrupt():
        raise RuntimeError("something else")
