"""A case's rules, lists, zones and settings as citywatch reads them: from files."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from citywatch.rules.load import load_rules
from citywatch.rules.model import Ruleset
from citywatch.settings import Settings
from tests.conformance.cases import Case, rule_file
from tests.oracle.geometry import Polygon


def settings_of(case: Case) -> Settings:
    """The settings that decide alerts."""
    given = case.settings
    return Settings(
        lateness=given.lateness, disorder=given.disorder, stale=given.stale, future=given.future, zone=given.zone
    )


def load(case: Case, directory: Path) -> Ruleset:
    """Write the rules into a directory and load it."""
    write_rules(case, directory)
    return load_rules([directory], settings_of(case), run_tests=False)


def write_rules(case: Case, directory: Path) -> None:
    """A rules directory: rules.yaml, lists/, zones/."""
    directory.mkdir(parents=True)
    (directory / "rules.yaml").write_text(rule_file(case.rules), "utf-8")
    for name, rows in case.settings.lists.items():
        _write_list(directory / "lists" / f"{name}.csv", rows)
    if case.settings.polygons:
        _write_zones(directory / "zones" / "zones.geojson", case.settings.polygons)


def _write_list(file: Path, rows: Sequence[Mapping[str, str]]) -> None:
    file.parent.mkdir(exist_ok=True)
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, ["value", "from", "until", "note"])
        writer.writeheader()
        writer.writerows(rows)


def _write_zones(file: Path, polygons: Mapping[str, Polygon]) -> None:
    file.parent.mkdir(exist_ok=True)
    features = [
        {
            "type": "Feature",
            "properties": {"name": name},
            "geometry": {"type": "Polygon", "coordinates": [[*map(list, corners), list(corners[0])]]},
        }
        for name, corners in polygons.items()
    ]
    file.write_text(json.dumps({"type": "FeatureCollection", "features": features}), "utf-8")
