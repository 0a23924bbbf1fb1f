"""The types of events that a shape has a word for are read from its `when`; in doubt it is all of them."""

from __future__ import annotations

import pytest

from citywatch.mappings.admitted import admitted_types


@pytest.mark.parametrize(
    ("when", "types"),
    [
        ("type = 'a'", {"a"}),
        ("(type IN ('a', 'b''s'))", {"a", "b's"}),
        ("type = 'a' AND label IS NOT NULL", {"a"}),
        ("label = 'x' AND (type = 'a' OR type = 'b')", {"a", "b"}),
        ("type IN ('a', 'b') AND type IN ('b', 'c')", {"b"}),
        ("type = 'a' OR (type = 'b' AND (needs_human OR violation_code IN (1, 2)))", {"a", "b"}),
        ("type = 'a' OR label = 'x'", None),
        ("NOT (type = 'a')", None),
        ("type <> 'a'", None),
        ("type = label", None),
        ("type IN ('a', label)", None),
        ("coalesce(type = 'a', true)", None),
        ("label = 'a'", None),
        ("true", None),
    ],
)
def test_types_are_left_out_only_where_it_is_certain(when: str, types: set[str] | None) -> None:
    assert admitted_types(when) == (None if types is None else frozenset(types))
