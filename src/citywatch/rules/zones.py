"""Zones beside the rules: `zones/*.geojson`, features with the property `name`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from citywatch.errors import Place, RuleError
from citywatch.rules.problems import Problems

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

Value = TypeVar("Value")


def load_zones(directories: Iterable[Path], problems: Problems) -> dict[str, BaseGeometry]:
    """Geometry by name; a later directory's replaces an earlier one's, parts of one name in a directory are joined."""
    zones: dict[str, BaseGeometry] = {}
    for directory in directories:
        here: dict[str, list[BaseGeometry]] = {}
        for file in sorted(directory.glob("zones/*.geojson")):
            try:
                for name, geometry in areas(file, "name", _name):
                    here.setdefault(name, []).append(geometry)
            except RuleError as error:
                problems.errors.append(error)
        zones.update(_joined(here) if here else {})
    return zones


def zones_at(zones: Mapping[str, BaseGeometry], lat: float | None, lon: float | None) -> list[str] | None:
    """Names of the zones that hold a position, their borders included; None without a position."""
    if lat is None or lon is None:
        return None
    from shapely import Point  # noqa: PLC0415 - a rules directory without zones starts without shapely

    point = Point(lon, lat)
    return sorted(name for name, geometry in zones.items() if geometry.covers(point))


def _joined(parts: dict[str, list[BaseGeometry]]) -> dict[str, BaseGeometry]:
    from shapely import union_all  # noqa: PLC0415 - see zones_at

    return {
        name: geometries[0] if len(geometries) == 1 else union_all(geometries) for name, geometries in parts.items()
    }


def areas(file: Path, key: str, valid: Callable[[Any], Value | None]) -> Iterator[tuple[Value, BaseGeometry]]:
    """Property `key` and area of each feature of a GeoJSON file.

    `valid` gives the property's value as it is wanted, None where it is none. Raises RuleError with the file.
    """
    try:
        document = json.loads(file.read_text("utf-8-sig"))
    except json.JSONDecodeError as error:
        raise RuleError(f"not valid JSON: {error.msg}", where=Place(file, error.lineno)) from error
    except (OSError, UnicodeDecodeError, RecursionError) as error:
        raise RuleError(f"cannot be read: {error}", where=Place(file)) from error
    kind = document.get("type") if isinstance(document, dict) else None
    found = document.get("features") if kind == "FeatureCollection" else [document] if kind == "Feature" else None
    if not isinstance(found, list):
        raise RuleError("not a GeoJSON Feature or FeatureCollection", where=Place(file))
    for number, feature in enumerate(found, 1):
        properties = feature.get("properties") if isinstance(feature, dict) else None
        value = valid(properties.get(key)) if isinstance(properties, dict) else None
        if value is None:
            raise RuleError(f"feature {number} has no property {key}", where=Place(file))
        yield value, _area(feature, f"{'zone' if key == 'name' else key} {value!r}", Place(file))


def _name(value: Any) -> str | None:
    return value if isinstance(value, str) and value.strip() else None


def _area(feature: Any, which: str, place: Place) -> BaseGeometry:
    from shapely import is_valid_reason  # noqa: PLC0415 - see zones_at
    from shapely.geometry import shape  # noqa: PLC0415 - see zones_at

    try:
        geometry = shape(feature["geometry"])
        west, south, east, north = geometry.bounds
    except Exception as error:  # shapely raises many kinds for geometries that are none
        raise RuleError(f"{which} has no geometry that can be read: {error}", where=place) from error
    if geometry.geom_type not in {"Polygon", "MultiPolygon"} or geometry.is_empty:
        raise RuleError(f"{which} is a {geometry.geom_type}", where=place, hint="wanted is a Polygon or MultiPolygon")
    if not geometry.is_valid:
        raise RuleError(f"{which}: {is_valid_reason(geometry)}", where=place)
    if not (-180 <= west <= east <= 180 and -90 <= south <= north <= 90):
        raise RuleError(f"{which} lies outside of the earth", where=place, hint="coordinates are longitude, latitude")
    return geometry
