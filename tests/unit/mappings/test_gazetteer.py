"""Events get the place of their device, the precinct and the zones of their position."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from shapely.geometry import box

from citywatch.errors import GazetteerError
from citywatch.mappings.devices import Devices, load_devices
from citywatch.mappings.gazetteer import Gazetteer
from citywatch.mappings.parse import Parser
from citywatch.mappings.precincts import Precincts, load_precincts
from citywatch.settings import Settings
from tests.unit.mappings.intake import NOW, chunk, cloudevent, micros

ZONE = "America/New_York"
HEADER = "device_id,device_kind,lat,lon,name,from,until\n"


def devices(tmp_path: Path, text: str) -> Devices:
    file = tmp_path / "devices.csv"
    file.write_text(text, "utf-8")
    return load_devices(file, ZONE)


def placed(gazetteer: Gazetteer, *data: dict[str, Any], **attributes: str) -> list[dict[str, Any]]:
    """What became of events with these data: device_kind, lat, lon, address, precinct, zones of each."""
    parser = Parser(Settings(), gazetteer=gazetteer, clock=lambda: micros(NOW), threads=1)
    texts = [cloudevent(each, id=str(n), **attributes) for n, each in enumerate(data)]
    events = parser.parse(chunk(texts)).events
    names = ("device_kind", "lat", "lon", "address", "precinct", "zones")
    return [{name: row[name] for name in names} for row in events.to_pylist()]


def nothing(**but: Any) -> dict[str, Any]:
    return dict.fromkeys(("device_kind", "lat", "lon", "address", "precinct", "zones")) | but


def test_an_event_that_carries_only_a_device_gets_its_place_kind_and_zones(tmp_path: Path) -> None:
    known = devices(tmp_path, HEADER + "c1,camera,40.5,-74.5,5 Av and 42 St,,\ns1,sensor,,,,,\n")
    city = Gazetteer({"park": box(-75, 40, -74, 41)}, known, Precincts([14], [box(-75, 40, -74, 41)]))
    here = {"device_kind": "camera", "lat": 40.5, "lon": -74.5, "address": "5 Av and 42 St"}
    assert placed(city, {"device_id": "c1"}, {"device_id": "s1"}, {"device_id": "x"}, {"age": 3}) == [
        {**here, "precinct": 14, "zones": ["park"]},
        nothing(device_kind="sensor"),
        nothing(),
        nothing(),
    ]


def test_what_an_event_says_itself_stays(tmp_path: Path) -> None:
    known = devices(tmp_path, HEADER + "c1,camera,40.5,-74.5,Gate,,\n")
    city = Gazetteer({}, known, Precincts([14], [box(-75, 40, -74, 41)]))
    own = {"device_id": "c1", "device_kind": "drone", "lat": 40.1, "lon": -74.1, "precinct": 7, "address": "Bay"}
    half = {"device_id": "c1", "lat": 40.1}
    street = {"device_id": "c1", "street": "Bay St"}
    first, second, third = placed(city, own, half, street)
    assert first == nothing(device_kind="drone", lat=40.1, lon=-74.1, precinct=7, address="Bay", zones=[])
    assert second == nothing(device_kind="camera", lat=40.1)
    assert third == nothing(device_kind="camera", lat=40.5, lon=-74.5, precinct=14, zones=[])


@pytest.mark.parametrize(
    ("time", "lat"),
    [
        ("2026-05-03T03:59:59.999999Z", 1.0),
        ("2026-05-03T04:00:00Z", None),
        ("2026-05-03T21:59:59Z", None),
        ("2026-05-03T22:00:00Z", 2.0),
        ("2026-05-04T00:30:00-04:00", 3.0),
    ],
)
def test_a_device_that_moves_is_where_it_was_at_the_time(tmp_path: Path, time: str, lat: float | None) -> None:
    moves = "d,,3,0,,2026-05-04,\nd,,1,0,,,2026-05-03\nd,,2,0,,2026-05-03 18:00,2026-05-04T00:00:00-04:00\n"
    city = Gazetteer({}, devices(tmp_path, HEADER + "a,,9,9,,,\n" + moves + "e,,9,9,,,\n"))
    assert [row["lat"] for row in placed(city, {"device_id": "d"}, time=time)] == [lat]


def test_columns_may_stand_in_any_order_and_most_may_be_missing(tmp_path: Path) -> None:
    found = devices(tmp_path, "\ufefflon, lat ,device_id\n\n 2 , 1 , a \n")
    assert [(entry.device_id, entry.lat, entry.lon) for entry in found.entries] == [("a", 1.0, 2.0)]


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("", 1, "there is no column device_id"),
        ("device,lat\n", 1, "unknown column 'device' (device_id?)"),
        ("device_id,lat,lat\n", 1, "a column is named twice"),
        (HEADER + ",,1,2,,,\n", 2, "a device_id is wanted here"),
        (HEADER + "\nd,robot,1,2,,,\n", 3, "device_kind 'robot' is none of camera, sensor, drone, desk"),
        (HEADER + "d,,north,2,,,\n", 2, "lat 'north' is no number within ±90"),
        (HEADER + "d,,nan,2,,,\n", 2, "lat 'nan' is no number"),
        (HEADER + "d,,4_0,2,,,\n", 2, "lat '4_0' is no number"),
        (HEADER + "d,,1,200,,,\n", 2, "lon '200' is no number within ±180"),
        (HEADER + "d,,1,,,,\n", 2, "lat and lon belong together"),
        (HEADER + "d,,1,2,a,b,,\n", 2, "8 cells under 7 columns"),
        (HEADER + "d,,1,2,,soon,\n", 2, "'soon' is no date or time"),
        (HEADER + "d,,1,2,,2026-05-02,2026-05-01\n", 2, "from is not before until"),
        (HEADER + 'd,,1,2,"open,,\n', 2, "not valid CSV"),
        (HEADER + "d,,1,2,,,\ne,,1,2,,,\nd,,3,4,,2026-01-01,\n", 4, "device 'd' stands in line 2 already"),
        (HEADER + "d,,1,2,,2026-05-01,\nd,,3,4,,,2026-05-02\n", 3, "device 'd' stands in line 2 already"),
    ],
)
def test_what_is_wrong_with_a_list_of_devices_is_said_with_its_line(
    tmp_path: Path, text: str, line: int, what: str
) -> None:
    with pytest.raises(GazetteerError) as wrong:
        devices(tmp_path, text)
    assert f"devices.csv:{line}: {what}" in str(wrong.value)


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(GazetteerError) as wrong:
        devices(tmp_path, HEADER + "d,,91,2,,,\ne,,1,2,,,\nf,,1,,,,\n")
    assert [line.rpartition(".csv:")[2][0] for line in str(wrong.value).splitlines()] == ["2", "4"]


def test_a_list_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "devices.csv").write_bytes(b"device_id\n\xff\n")
    with pytest.raises(GazetteerError, match=r"devices.csv:1: cannot be read"):
        load_devices(tmp_path / "devices.csv", ZONE)


def _outline(precinct: Any, west: float, east: float) -> dict[str, Any]:
    ring = [[west, 0], [east, 0], [east, 1], [west, 1], [west, 0]]
    return {
        "type": "Feature",
        "properties": {"precinct": precinct, "shape_area": 1.5},
        "geometry": {"type": "MultiPolygon", "coordinates": [[ring]]},
    }


def _precincts(tmp_path: Path, *features: dict[str, Any]) -> Precincts:
    file = tmp_path / "precincts.geojson"
    file.write_text(json.dumps({"type": "FeatureCollection", "features": features}), "utf-8")
    return load_precincts(file)


def test_a_position_lies_in_its_precinct_and_on_a_border_in_the_lower_one(tmp_path: Path) -> None:
    found = _precincts(tmp_path, _outline("9", 1, 2), _outline(5, 0, 1), _outline(5, 3, 4), _outline(7, 5, 6))
    city = Gazetteer({}, Devices(), found)
    places = [{"lat": 0.5, "lon": lon} for lon in (0.5, 1.0, 1.5, 2.5, 3.5, 5.0)]
    assert [row["precinct"] for row in placed(city, *places)] == [5, 5, 9, None, 5, 7]


@pytest.mark.parametrize("number", [None, "", "north", 0, -1, 1.5, True, 40_000])
def test_an_outline_without_a_number_of_a_precinct_is_refused(tmp_path: Path, number: Any) -> None:
    with pytest.raises(GazetteerError, match=r"precincts.geojson:1: feature 2 has no property precinct"):
        _precincts(tmp_path, _outline(1, 0, 1), _outline(number, 1, 2))


def test_an_outline_that_is_none_is_refused_with_its_number(tmp_path: Path) -> None:
    crossed = _outline(3, 0, 1)
    crossed["geometry"]["coordinates"][0][0] = [[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]
    with pytest.raises(GazetteerError, match=r"precinct 3: Self-intersection"):
        _precincts(tmp_path, crossed)


def test_without_files_nothing_is_placed(tmp_path: Path) -> None:
    city = Gazetteer({}, load_devices(tmp_path / "none", ZONE), load_precincts(tmp_path / "none"))
    assert placed(city, {"device_id": "c"}, {"lat": 1, "lon": 2}) == [nothing(), nothing(lat=1.0, lon=2.0, zones=[])]
