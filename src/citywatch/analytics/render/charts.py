"""Charts: a Vega-Lite specification, drawn as SVG without a browser, a network or a script."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from citywatch.analytics.dimensions import dimensions

BARS = 25
"""So many of the longest bars are drawn."""

LABELS = 24
"""At most so many labels stand below an axis of times."""

WIDTH = 720
_COLOR = "#1f5f8b"
_FONT = "Helvetica, Arial, sans-serif"
Bars = Sequence[tuple[str, float]]


def is_ordered(column: str) -> bool:
    """Whether the values of a column have an order of their own, as months have."""
    dim = dimensions().get(column)
    return dim is not None and dim.ordered


def spec(bars: Bars, *, along: str, measured: str, ordered: bool) -> dict[str, Any]:
    """Vega-Lite: columns from left to right where the values have an order, else bars from top to bottom."""
    names: dict[str, Any] = {"field": "name", "type": "nominal", "sort": None, "title": along}
    values: dict[str, Any] = {"field": "value", "type": "quantitative", "title": measured}
    if all(value == int(value) for _, value in bars):
        values["axis"] = {"tickMinStep": 1}
    if ordered:
        names["axis"] = {"labelAngle": -45 if max((len(name) for name, _ in bars), default=0) > 3 else 0}
        if len(bars) > LABELS:  # measuring a label a day takes seconds
            names["axis"]["values"] = [name for name, _ in bars[:: math.ceil(len(bars) / LABELS)]]
        placed = {"x": names, "y": values, "width": WIDTH, "height": 260}
    else:
        names |= {"axis": {"labelLimit": 320}, "title": None}  # a title would stand on the labels
        placed = {"y": names, "x": values, "width": WIDTH - 300, "height": {"step": 20}}
    encoding = {axis: placed.pop(axis) for axis in ("x", "y")}
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "data": {"values": [{"name": name, "value": value} for name, value in bars]},
        "mark": {"type": "bar", "color": _COLOR},
        "encoding": encoding,
        "config": {"font": _FONT, "view": {"stroke": None}, "axis": {"labelFontSize": 12, "titleFontSize": 12}},
        "background": None,
        **placed,
    }


def svg(bars: Bars, *, along: str, measured: str, ordered: bool) -> str:
    """The chart as one `<svg>` element."""
    import vl_convert  # noqa: PLC0415 - it starts an engine for JavaScript of its own

    named = [(_drawable(name), value) for name, value in bars]
    drawn: str = vl_convert.vegalite_to_svg(spec(named, along=along, measured=measured, ordered=ordered))
    return drawn


def _drawable(name: str) -> str:
    """A name without control characters and what else XML cannot hold: the converter would end the process."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in name)
