"""Outlines that many positions are looked up in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from citywatch.records.columns import Positions

Degrees = npt.NDArray[np.float64]


class Areas:
    """shapely Polygons or MultiPolygons, ready to be asked; of use to any number of threads."""

    def __init__(self, outlines: Sequence[Any]) -> None:
        self._outlines = np.array(outlines, object)
        self._tree = shapely.STRtree(self._outlines)
        shapely.prepare(self._outlines)
        # What is prepared is finished by its first answer, and that in several threads at once would be a race.
        inside = shapely.point_on_surface(self._outlines)
        shapely.intersects_xy(self._outlines, shapely.get_x(inside), shapely.get_y(inside))

    def __len__(self) -> int:
        return len(self._outlines)

    def holding(self, lat: Degrees, lon: Degrees) -> tuple[Positions, Positions]:
        """(position, outline) of each position that an outline holds, its border included; ordered by outline."""
        if not len(self):
            return np.empty(0, np.int64), np.empty(0, np.int64)
        point, outline = self._tree.query(shapely.points(lon, lat))
        order = np.argsort(outline, kind="stable")  # one outline after the other: three times as fast
        point, outline = point[order], outline[order]
        held = shapely.intersects_xy(self._outlines[outline], lon[point], lat[point])
        return point[held], outline[held]
