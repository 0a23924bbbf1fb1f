"""Codes, fines, and where which fine holds."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any

import pytest
import shapely

from citywatch.offences import offences
from citywatch.offences.places import BELOW_96TH, BOTH_SIDES, ELSEWHERE, Side, Spot, fine, side

PUBLIC = Path(os.environ.get("CITYWATCH_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
needs_data = pytest.mark.skipif(not PUBLIC.is_dir(), reason=f"public data sets are not at {PUBLIC}")


@pytest.mark.parametrize(
    ("spot", "expected"),
    [
        (Spot(precinct=14), Side.MANHATTAN),
        (Spot(precinct=28), Side.ELSEWHERE),
        (Spot(precinct=14, borough="Queens", lat=40.6, lon=-73.9), Side.MANHATTAN),
        (Spot(precinct=24), None),
        (Spot(precinct=24, lat=40.7905, lon=-73.9735), Side.MANHATTAN),
        (Spot(precinct=24, lat=40.8005, lon=-73.9650), Side.ELSEWHERE),
        (Spot(precinct=900), None),
        (Spot(borough="Bronx"), Side.ELSEWHERE),
        (Spot(borough="Manhattan"), None),
        (Spot(borough="Manhattan", lat=40.7549, lon=-73.9840), Side.MANHATTAN),
        (Spot(lat=40.7033, lon=-74.0170), Side.MANHATTAN),
        (Spot(lat=40.8116, lon=-73.9465), Side.ELSEWHERE),
        (Spot(lat=40.6892, lon=-73.9857), Side.ELSEWHERE),
        (Spot(lat=40.7939, lon=-73.9720), None),
        (Spot(lat=40.7620, lon=-73.9500), Side.ELSEWHERE),
        (Spot(lat=48.85, lon=2.35), None),
        (Spot(), None),
    ],
    ids=str,
)
def test_a_place_tells_which_fine_holds(spot: Spot, expected: Side | None) -> None:
    assert side(spot) is expected


def test_a_code_costs_more_in_manhattan() -> None:
    both = offences()[46]
    assert fine(46, Spot(precinct=14)) == both.fine_manhattan == 115
    assert fine(46, Spot(precinct=44)) == both.fine_elsewhere == 115
    assert fine(14, Spot(precinct=14)) == offences()[14].fine_manhattan


def test_where_the_place_is_not_known_only_a_code_with_one_fine_has_one() -> None:
    two = next(o.code for o in offences().values() if o.fine_manhattan != o.fine_elsewhere)
    one = next(o.code for o in offences().values() if o.fine_manhattan == o.fine_elsewhere)
    assert fine(two, Spot()) is None
    assert fine(one, Spot()) == offences()[one].fine_elsewhere
    assert fine(95, Spot(precinct=14)) is None


def test_codes_are_unique_and_have_two_fines() -> None:
    codes = list(offences())
    assert codes == sorted(set(codes))
    assert set(codes) == set(range(1, 100)) - {94, 95}
    assert all(offence.fine_elsewhere <= offence.fine_manhattan for offence in offences().values())


def test_every_precinct_pays_one_fine_or_is_named() -> None:
    assert not set(BELOW_96TH) & set(ELSEWHERE)
    assert not set(BOTH_SIDES) & set(BELOW_96TH + ELSEWHERE)


@needs_data
@pytest.mark.data
def test_fines_are_those_that_the_city_published() -> None:
    with (PUBLIC / "codes" / "dof_codes_2023_short.csv").open(newline="") as file:
        published = {int(code): (int(below), int(else_)) for code, _, below, else_ in list(csv.reader(file))[1:]}
    ours = {code: (offence.fine_manhattan, offence.fine_elsewhere) for code, offence in offences().items()}
    assert ours == published


@needs_data
@pytest.mark.data
def test_precincts_are_those_that_the_city_drew() -> None:
    drawn = set()
    for name in ("recent", "older"):
        shapes = json.loads((PUBLIC / "geo" / f"nypd_precincts_{name}.geojson").read_text())["features"]
        named = ({key.lower(): value for key, value in shape["properties"].items()} for shape in shapes)
        drawn |= {int(properties["precinct"]) for properties in named}
    assert drawn == set(BELOW_96TH + BOTH_SIDES + ELSEWHERE)


@needs_data
@pytest.mark.data
def test_a_position_tells_what_its_precinct_tells() -> None:
    wrong: list[Any] = []
    for shape in json.loads((PUBLIC / "geo" / "nypd_precincts_recent.geojson").read_text())["features"]:
        precinct = int(next(v for k, v in shape["properties"].items() if k.lower() == "precinct"))
        inside = shapely.geometry.shape(shape["geometry"]).representative_point()
        if precinct not in BOTH_SIDES and side(Spot(lat=inside.y, lon=inside.x)) is not side(Spot(precinct=precinct)):
            wrong.append((precinct, inside))
    assert not wrong
