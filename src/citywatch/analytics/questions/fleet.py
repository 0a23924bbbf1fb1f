"""How the devices are."""

from __future__ import annotations

from citywatch.analytics.archive import Archive
from citywatch.analytics.question import Answer, Asked, Question, left_out_of
from citywatch.analytics.tally import where_sql


def fleet(archive: Archive, asked: Asked) -> Answer:
    """Every device, the one that has been silent longest first."""
    archive.con.execute(f"""
        CREATE OR REPLACE TEMP TABLE devices AS
        SELECT device_id, max(time) AS last, avg(battery) AS battery, avg(temperature) AS temperature,
               count(*) AS events
        FROM events WHERE {where_sql(asked)} GROUP BY device_id""")
    rows = archive.query(f"""
        SELECT device_id, strftime(make_timestamp(epoch_us(last)), '%Y-%m-%dT%H:%M:%S.%fZ') AS last_seen,
               battery, temperature, events
        FROM devices WHERE device_id IS NOT NULL
        ORDER BY last, device_id {asked.limit}""")
    silent = archive.one("SELECT coalesce(any_value(events), 0) FROM devices WHERE device_id IS NULL")[0]
    return Answer(rows, left_out_of({"no_device_id": silent}))


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
)
