"""How the devices are."""

from __future__ import annotations

from citywatch.analytics.archive import Archive
from citywatch.analytics.question import Answer, Asked, Question, left_out_of
from citywatch.analytics.scans import COUNT, Sum, count
from citywatch.analytics.tally import where_sql


def fleet(archive: Archive, asked: Asked) -> Answer:
    """Every device, the one that has been silent longest first."""
    sums = {"last": Sum("max(time)", "max({0})"), "events": COUNT}
    for name in ("battery", "temperature"):
        sums |= {f"{name}_sum": Sum(f"fsum({name})", "fsum({0})"), f"{name}_count": count(f"{name} IS NOT NULL")}
    devices = archive.scans.grouped("device_id", sums, where_sql(asked))
    archive.con.execute(f"""
        CREATE OR REPLACE TEMP TABLE devices AS
        SELECT device_id, last, round(battery_sum / nullif(battery_count, 0), 9) AS battery,
               round(temperature_sum / nullif(temperature_count, 0), 9) AS temperature, events
        FROM {devices}""")
    rows = archive.query(f"""
        SELECT device_id, strftime(make_timestamp(epoch_us(last)), '%Y-%m-%dT%H:%M:%S.%fZ') AS last_seen,
               battery, temperature, events
        FROM devices WHERE device_id IS NOT NULL
        ORDER BY last, device_id {asked.limit}""")
    silent = archive.one("SELECT coalesce(any_value(events), 0) FROM devices WHERE device_id IS NULL")[0]
    return Answer(rows, left_out_of({"no_device_id": silent}))


SERIOUS = 3
"""A status of this severity or more is a failure, as for the shipped rule `new_device_fault`."""


def failures(archive: Archive, asked: Asked) -> Answer:
    """Every device that reports its status, and how often it failed."""
    statuses = archive.scans.rows("device_id, device_kind, severity, label, time", where_sql(asked))
    archive.con.execute(f"CREATE OR REPLACE TEMP TABLE statuses AS SELECT * FROM {statuses}")
    failed = f"FILTER (severity >= {SERIOUS})"
    rows = archive.query(f"""
        SELECT device_id, max(device_kind) AS device_kind, count(*) {failed} AS failures,
               count(DISTINCT label) {failed} AS kinds, mode(label ORDER BY label) {failed} AS most_often,
               strftime(make_timestamp(epoch_us(max(time) {failed})), '%Y-%m-%dT%H:%M:%S.%fZ') AS last_failure,
               count(*) AS events
        FROM statuses WHERE device_id IS NOT NULL
        GROUP BY device_id ORDER BY failures DESC, device_id {asked.limit}""")
    nobody = archive.one("SELECT count(*) FROM statuses WHERE device_id IS NULL")[0]
    return Answer(rows, left_out_of({"no_device_id": nobody}))


QUESTIONS = (
    Question(
        name="fleet",
        title="The fleet of devices",
        definition="Every device that ever spoke in the period, the oldest last word first.",
        columns={
            "device_id": "id of the device",
            "last_seen": "time of its last event, UTC",
            "battery": "mean charge, percent; NULL when never told",
            "temperature": "mean temperature, degrees Celsius; NULL when never told",
            "events": "how many events",
        },
        ask=fleet,
        exclusions={"no_device_id": "events without a device"},
        chart=("device_id", "battery"),
    ),
    Question(
        name="failures",
        title="Failures of each device",
        definition=(
            f"Statuses of devices with a severity of at least {SERIOUS}, by device; devices that never failed are "
            "listed too. Most failures first."
        ),
        columns={
            "device_id": "id of the device",
            "device_kind": "camera, sensor, drone or desk",
            "failures": "how many",
            "kinds": "how many different ones, by label",
            "most_often": "the label that came most often",
            "last_failure": "time of the last one, UTC; NULL for none",
            "events": "how often it told its status",
        },
        ask=failures,
        exclusions={"no_device_id": "statuses of no device"},
        types=("device.status",),
        chart=("device_id", "failures"),
    ),
)
