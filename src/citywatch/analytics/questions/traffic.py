"""How fast vehicles are: past one camera, and between two."""

from __future__ import annotations

from collections.abc import Mapping

from citywatch.analytics.archive import Archive
from citywatch.analytics.dimensions import dimensions
from citywatch.analytics.question import Answer, Asked, Question, left_out_of
from citywatch.analytics.tally import where_sql

READS = ("anpr.read",)
LONGEST_TRIP_MIN = 30
"""Two reads further apart are two trips."""
FASTEST_KMH = 250
"""No vehicle of a city is faster: the plate was misread, or two vehicles wear it."""

_RADIUS_KM = 6371.0088
_SPEEDS = {
    "mean_kmh": "mean, kilometres an hour",
    "median_kmh": "half are at most so fast",
    "p90_kmh": "nine of ten are at most so fast",
    "max_kmh": "the fastest",
}
_MEASURES = (
    "round(favg({0}), 9) AS mean_kmh, quantile_cont({0}, 0.5) AS median_kmh, quantile_cont({0}, 0.9) AS p90_kmh, "
    "max({0}) AS max_kmh"
)


def speed_at_points(archive: Archive, asked: Asked) -> Answer:
    """Speeds that devices measured, by device or by what `by` names."""
    dim = dimensions()[asked.by or "device_id"]
    raw = ", ".join(f"{sql} AS {alias}" for alias, sql in dim.raw.items())
    scan = archive.scans.rows(f"speed_kmh, {raw}", where_sql(asked))
    archive.con.execute(f"""
        CREATE OR REPLACE TEMP TABLE speeds AS
        SELECT speed_kmh, {dim.sql(archive.zone)} AS "{dim.name}" FROM {scan}""")
    rows = archive.query(f"""
        SELECT "{dim.name}", count(*) AS count, {_MEASURES.format("speed_kmh")}
        FROM speeds WHERE speed_kmh IS NOT NULL AND "{dim.name}" IS NOT NULL
        GROUP BY "{dim.name}" ORDER BY p90_kmh DESC, {dim.rank} {asked.limit}""")
    no_speed, no_point = archive.one(f"""
        SELECT count(*) FILTER (speed_kmh IS NULL),
               count(*) FILTER (speed_kmh IS NOT NULL AND "{dim.name}" IS NULL) FROM speeds""")
    return Answer(rows, left_out_of({"no_speed_kmh": no_speed, dim.missing: no_point}))


# Reason -> SQL over a read and the one of the same plate before it, in the order in which they are judged.
_NO_PAIR: Mapping[str, str] = {
    "no_plate": "plate IS NULL",
    "no_device_id": "device_id IS NULL",
    "no_position": "lat IS NULL OR lon IS NULL",
    "first_of_a_trip": f"before IS NULL OR time - before.time > INTERVAL {LONGEST_TRIP_MIN} MINUTE",
    "same_camera_again": "before.device_id = device_id",
    "at_the_same_moment": "time = before.time",
    "impossibly_fast": f"kmh > {FASTEST_KMH}",
}


def speed_between_cameras(archive: Archive, asked: Asked) -> Answer:
    """Average speeds of vehicles from one camera to the next that saw them."""
    judged = " ".join(f"WHEN {sql} THEN '{reason}'" for reason, sql in _NO_PAIR.items())
    reads = archive.scans.rows("time, source, id, device_id, lat, lon, plate", where_sql(asked))
    archive.con.execute(f"""
        CREATE OR REPLACE TEMP TABLE trips AS
        WITH reads AS (SELECT * FROM {reads}),
        usable AS (
            SELECT *, lag({{'time': time, 'device_id': device_id, 'lat': lat, 'lon': lon}}) OVER (
                PARTITION BY plate ORDER BY time, source, id) AS before
            FROM reads WHERE plate IS NOT NULL AND device_id IS NOT NULL AND lat IS NOT NULL AND lon IS NOT NULL),
        ways AS (
            SELECT *, {_distance_sql()} AS km FROM usable
            UNION ALL SELECT *, NULL, NULL FROM reads
            WHERE plate IS NULL OR device_id IS NULL OR lat IS NULL OR lon IS NULL),
        timed AS (SELECT *, km * 3.6e9 / nullif(epoch_us(time) - epoch_us(before.time), 0) AS kmh FROM ways)
        SELECT CASE {judged} END AS reason, before.device_id AS from_device, device_id AS to_device, km, kmh
        FROM timed""")
    rows = archive.query(f"""
        SELECT from_device, to_device, count(*) AS count, median(km) AS distance_km, {_MEASURES.format("kmh")}
        FROM trips WHERE reason IS NULL GROUP BY from_device, to_device
        ORDER BY count DESC, from_device, to_device {asked.limit}""")
    left = archive.con.execute("SELECT reason, count(*) FROM trips WHERE reason IS NOT NULL GROUP BY reason").fetchall()
    return Answer(rows, left_out_of(dict(left)))


def _distance_sql() -> str:
    """Kilometres in a straight line between a read and the one before, on a sphere."""
    half = "pow(sin(radians({0} - before.{0}) / 2), 2)"
    inside = f"{half.format('lat')} + cos(radians(lat)) * cos(radians(before.lat)) * {half.format('lon')}"
    return f"2 * {_RADIUS_KM} * asin(least(1, sqrt({inside})))"


QUESTIONS = (
    Question(
        name="speed-at-points",
        title="Speed past each camera",
        definition="Speeds that plate readers and speed cameras measured; highest 90th percentile first.",
        columns={"device_id": "id of the device, or the field that `--by` names", "count": "measured", **_SPEEDS},
        ask=speed_at_points,
        exclusions={
            "no_speed_kmh": "the device measured no speed",
            "no_device_id": "no device (`no_FIELD` with `--by`)",
        },
        types=READS,
        by=tuple(name for name, dim in dimensions().items() if not dim.hour),
        chart=("device_id", "p90_kmh"),
    ),
    Question(
        name="speed-between-cameras",
        title="Speed between two cameras",
        definition=(
            "Each read of a plate together with the one before it, at another camera and at most "
            f"{LONGEST_TRIP_MIN} minutes earlier: the straight line between the two by the time that it took, so the "
            "true speed is at least that. Most driven ways first."
        ),
        columns={
            "from_device": "id of the camera before",
            "to_device": "id of the camera behind",
            "count": "how many drove that way",
            "distance_km": "straight line, kilometres",
            **_SPEEDS,
        },
        ask=speed_between_cameras,
        exclusions={
            "no_plate": "the plate was not read",
            "no_device_id": "no camera is named",
            "no_position": "the place of the camera is not known: see `devices.csv`",
            "first_of_a_trip": f"the plate was seen nowhere in the {LONGEST_TRIP_MIN} minutes before",
            "same_camera_again": "the same camera saw it before",
            "at_the_same_moment": "two cameras saw it at once",
            "impossibly_fast": f"more than {FASTEST_KMH} km/h: misread, or two vehicles with one plate",
        },
        types=READS,
        chart=("to_device", "p90_kmh"),
    ),
)
