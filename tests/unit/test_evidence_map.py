from __future__ import annotations

import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from citywatch.console.evidence_map import HEIGHT, WIDTH, draw


def alert(*places: tuple[float, float]) -> dict[str, Any]:
    events = [{"source": "s", "id": str(n), "data": {"lat": lat, "lon": lon}} for n, (lat, lon) in enumerate(places)]
    return {"evidence": events, "lat": 40.7, "lon": -74.0}


def test_positions_stand_in_their_order_north_up_and_east_right() -> None:
    drawn = draw(alert((40.70, -74.00), (40.74, -73.95)), {})
    assert drawn is not None
    south_west, north_east = drawn.dots
    assert (south_west.numbers, north_east.numbers) == ("1", "2")
    assert south_west.x < north_east.x
    assert south_west.y > north_east.y


def test_the_scale_is_true() -> None:
    drawn = draw(alert((40.70, -74.00), (40.70 + 1 / 111.195, -74.00)), {})
    assert drawn is not None
    one, two = drawn.dots
    metres = {"m": 1, "km": 1000}[drawn.scale_words.split()[1]] * float(drawn.scale_words.split()[0])
    kilometre = math.hypot(one.x - two.x, one.y - two.y)
    assert abs(kilometre - 1000 / metres * drawn.scale_px) < 2


def test_positions_that_would_cover_each_other_share_a_dot() -> None:
    drawn = draw(alert((40.70, -74.00), (40.70, -74.00), (40.75, -74.00), (40.70, -74.00)), {})
    assert drawn is not None
    assert [dot.numbers for dot in drawn.dots] == ["1–2, 4", "3"]


def test_without_positions_in_evidence_the_alert_s_own_is_shown_and_without_any_there_is_no_map() -> None:
    drawn = draw({"evidence": [], "lat": 40.7, "lon": -74.0}, {})
    assert drawn is not None
    assert [dot.numbers for dot in drawn.dots] == [""]
    assert draw({"evidence": [{"data": None}], "lat": None, "lon": None}, {}) is None


def test_zones_nearby_are_outlined_and_those_far_away_are_not() -> None:
    near = [(-74.001, 40.699), (-73.999, 40.699), (-73.999, 40.701)]
    far = [(lon + 1, lat + 1) for lon, lat in near]
    drawn = draw(alert((40.70, -74.00)), {"school": [near], "elsewhere": [far]})
    assert drawn is not None
    assert [name for name, _ in drawn.zones] == ["school"]


@given(st.lists(st.tuples(st.floats(-89, 89), st.floats(-180, 180)), min_size=1, max_size=20))
def test_every_position_on_earth_lies_in_the_picture(places: list[tuple[float, float]]) -> None:
    drawn = draw(alert(*places), {})
    assert drawn is not None
    assert all(0 <= dot.x <= WIDTH and 0 <= dot.y <= HEIGHT for dot in drawn.dots)
    assert 0 < drawn.scale_px < WIDTH
    assert len(drawn.grid) < 200
