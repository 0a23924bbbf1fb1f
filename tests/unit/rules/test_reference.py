"""The reference page names every word of the language."""

from __future__ import annotations

from pathlib import Path

import pytest

from citywatch.rules.functions import FUNCTIONS
from citywatch.rules.language import COMMON, CORRELATION, EXPECTED, OPERATORS, RULE, SHAPES, TEST, TEST_EVENT

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "rules.md").read_text("utf-8")
KEYS = [key.name for table in (RULE, CORRELATION, TEST, TEST_EVENT, EXPECTED) for key in table.keys]


@pytest.mark.parametrize("word", sorted({*KEYS, *COMMON, *OPERATORS, *map(str, SHAPES)}))
def test_every_key_is_on_the_page(word: str) -> None:
    assert f"`{word}" in PAGE or f"{word}:" in PAGE or f".{word}`" in PAGE


def test_every_function_is_on_the_page() -> None:
    missing = [name for name in FUNCTIONS if "`" + name.replace("|", "\\|") + "`" not in PAGE]
    assert not missing
