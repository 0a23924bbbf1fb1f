"""The version of a rule: a hash of all that decides its matches, and of nothing else.

It enters every alert's id, so it must not move with spacing, comments or letter case of a predicate, with the order of
keys, or with a new release of a parser: the text is put into one form here, by hand.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any

from citywatch.rules.model import Correlation

_TOKEN = re.compile(
    r"""(?P<kept>'(?:[^']|'')*'|"(?:[^"]|"")*")  # texts and quoted names stand as they are
      | (?P<gap>(?:\s|--[^\n]*|/\*.*?\*/)+)      # blanks and comments
      | (?P<word>\w+)
      | (?P<mark>.)""",
    re.VERBOSE | re.DOTALL,
)


def canonical(source: str) -> str:
    """A predicate without comments, without blanks but between words, in lower case outside of quotes."""
    parts: list[str] = []
    gap = False
    for token in _TOKEN.finditer(source):
        if token["gap"]:
            gap = True
            continue
        text = token["kept"] or token[0].lower()
        if gap and parts and _glues(parts[-1][-1], text[0]):
            parts.append(" ")
        parts.append(text)
        gap = False
    return "".join(parts)


def version(
    bases: Sequence[tuple[Sequence[str], str | None]],
    *,
    group_by: Any,
    suppression: int,
    correlation: Correlation | None,
) -> str:
    """Sixteen hexadecimal digits.

    `bases`: (event types, source of the predicate) of the rule itself or of the rules it names; `group_by`: the fields
    of the key, per base.
    """
    meaning: dict[str, Any] = {
        "bases": [[sorted(set(types)), None if source is None else canonical(source)] for types, source in bases],
        "group_by": group_by,
        "suppression": suppression,
    }
    if correlation:
        meaning |= {
            "type": correlation.type,
            "timespan": correlation.timespan,
            "condition": sorted(correlation.condition),
            "field": correlation.field,
            "spike": [str(correlation.spike_height), correlation.threshold_cur, correlation.threshold_ref],
            "max_gap": correlation.max_gap,
            "travel": [str(correlation.max_speed_kmh), str(correlation.min_distance_km)],
        }
    text = json.dumps(meaning, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _glues(before: str, after: str) -> bool:
    """Whether two tokens would become one, or another, without a blank between them."""
    return (before.isalnum() or before in "_'\"") and (after.isalnum() or after in "_'\"")
