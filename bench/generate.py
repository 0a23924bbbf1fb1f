"""Files that the benches read: a busy city's events as NDJSON, a year's tickets as CSV. Made by DuckDB, seeded.

`events` spreads a million events over a day of event time. Its keys follow Zipf's law over 50,000 plates (the rank
is log-uniform); one plate is read a hundred thousand times in the part that is measured, just inside of the limit
of a key. Every line is 300 bytes long on average; 2 in 1,000 events come late.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

KEYS = 50_000
HOT_READS = 99_900
"""Reads of the one busy plate in each measured million: a key's limit is 100,000 kept events."""
PER_DAY = 1_000_000
START = "2025-05-01T00:00:00Z"

_MIX = """
CREATE MACRO roll(i, salt) AS (hash(i * 64 + salt) >> 11)::DOUBLE / 9007199254740992.0;
CREATE MACRO pick(i, salt, n) AS 1 + CAST(floor(roll(i, salt) * n) AS INTEGER);
CREATE MACRO zipf(i, salt, n) AS CAST(floor(pow(n + 1, roll(i, salt))) AS INTEGER);
CREATE MACRO spot(n, salt, low, span) AS round(low + roll(n, salt) * span, 5);
"""

# One row an event: what it is and which device and plate it is about. The busy plate takes its share of the reads
# of the measured part only, so that it has its hundred thousand within one day.
_ROWS = """
SELECT i, kind, device, plate, time, time + to_microseconds(
    CASE WHEN roll(i, 5) < 0.002 THEN 300_000_000 ELSE CAST(roll(i, 6) * 2_000_000 AS BIGINT) END) AS received
FROM (
  SELECT i,
    CASE WHEN roll(i, 1) < 0.40 THEN 'anpr.read' WHEN roll(i, 1) < 0.65 THEN 'sensor.reading'
         WHEN roll(i, 1) < 0.80 THEN 'drone.position' WHEN roll(i, 1) < 0.90 THEN 'camera.event'
         WHEN roll(i, 1) < 0.95 THEN 'person.report' ELSE 'device.status' END AS kind,
    pick(i, 2, 800) AS device,
    CASE WHEN i >= {hot_from} AND roll(i, 4) < {hot_share} THEN 0 ELSE zipf(i, 3, {keys}) END AS plate,
    TIMESTAMPTZ '{start}' + to_microseconds(CAST(i * {step} AS BIGINT)) AS time
  FROM range({first}, {last}) AS numbers(i)
)
"""

_DATA = """
CASE kind
WHEN 'anpr.read' THEN format('"device_id":"cam-{:03d}","plate":"P{:05d}","plate_confidence":{:.2f},'
  '"plate_state":"{}","lat":{:.5f},"lon":{:.5f},"speed_kmh":{:.1f}',
  device, plate, 0.5 + roll(i, 7) / 2,
  (['NY', 'NY', 'NY', 'NJ', 'PA', 'CT'])[CASE WHEN roll(i, 8) < 0.001 THEN 6 ELSE 1 + plate % 4 END],
  spot(CASE WHEN roll(i, 9) < 0.0005 THEN device ELSE plate END, 10, 40.6, 0.02),
  spot(CASE WHEN roll(i, 9) < 0.0005 THEN device ELSE plate END, 11, -74.0, 0.02), 20 + roll(i, 12) * 60)
WHEN 'sensor.reading' THEN format('"device_id":"sen-{:03d}","sensor_kind":"noise","unit":"dB","value":{:.2f},'
  '"label":"{}","precinct":{}',
  device, 40 + roll(i, 7) * 60, CASE WHEN roll(i, 8) < 0.0005 THEN 'fault' ELSE 'ok' END, 1 + device % 77)
WHEN 'drone.position' THEN format('"device_id":"drn-{:03d}","device_kind":"drone","lat":{:.5f},"lon":{:.5f},'
  '"battery":{:.1f},"altitude":{:.1f},"speed_kmh":{:.1f}',
  device, spot(i, 10, 40.6, 0.2), spot(i, 11, -74.0, 0.2), 5 + roll(i, 7) * 95, roll(i, 8) * 120,
  CASE WHEN device % 40 = 0 OR roll(i, 9) < 0.3 THEN 1.0 ELSE 30.0 END)
WHEN 'camera.event' THEN format('"device_id":"cam-{:03d}","label":"{}","confidence":{:.2f},"severity":{},'
  '"precinct":{}',
  device, (['motion', 'person', 'vehicle', 'crowd', 'gunshot', 'tamper'])
          [CASE WHEN roll(i, 8) < 0.01 THEN pick(i, 9, 6) ELSE pick(i, 9, 3) END],
  roll(i, 7), pick(i, 10, 5), 1 + device % 77)
WHEN 'person.report' THEN format('"person_id":"m{:05d}","behaviors":["Loitering","Following people"],'
  '"behavior_score":{},"age":{},"precinct":{}',
  plate, CAST(100 * pow(roll(i, 7), 4) AS INTEGER), pick(i, 8, 80), pick(i, 9, 77))
ELSE format('"device_id":"cam-{:03d}","battery":{:.1f},"temperature":{:.1f},"humidity":{:.1f}',
  device, roll(i, 7) * 100, roll(i, 8) * 40, roll(i, 9) * 100)
END
"""

_LINE = """
format('{{"specversion":"1.0","id":"e{}","source":"city/{}","type":"{}","time":"{}","receivedat":"{}",'
  '"data":{{{},"note":"{}"}}}}',
  i, device, kind, strftime(time AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ'),
  strftime(received AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ'), body, repeat('x', greatest(0, 117 - length(body))))
"""

_AS_IS = "QUOTE '', ESCAPE '', DELIMITER '\\x01'"
"""Lines of text as they are, in a CSV writer's words."""


def events(path: Path, *, first: int, count: int, measured_from: int) -> Path:
    """Write events number `first` .. `first + count` as NDJSON; the busy plate appears from number `measured_from`."""
    rows = _ROWS.format(
        keys=KEYS,
        start=START,
        step=86_400_000_000 / PER_DAY,
        first=first,
        last=first + count,
        hot_from=measured_from,
        hot_share=HOT_READS / PER_DAY / 0.40,
    )
    _copy(path, f"SELECT {_LINE} FROM (SELECT *, {_DATA} AS body FROM ({rows}))", _AS_IS)
    return path


def shuffled(source: Path, target: Path) -> Path:
    """The lines of `source` in an order that has nothing to do with their dates."""
    _copy(target, f"SELECT json FROM read_ndjson_objects('{source}') ORDER BY hash(json)", _AS_IS)
    return target


# fmt: off
_TICKET_HEADER = (
    "Summons Number", "Plate ID", "Registration State", "Plate Type", "Issue Date", "Violation Code",
    "Vehicle Body Type", "Vehicle Make", "Issuing Agency", "Street Code1", "Street Code2", "Street Code3",
    "Vehicle Expiration Date", "Violation Location", "Violation Precinct", "Issuer Precinct", "Issuer Code",
    "Issuer Command", "Issuer Squad", "Violation Time", "Time First Observed", "Violation County",
    "Violation In Front Of Or Opposite", "House Number", "Street Name", "Intersecting Street",
    "Date First Observed", "Law Section", "Sub Division", "Violation Legal Code", "Days Parking In Effect    ",
    "From Hours In Effect", "To Hours In Effect", "Vehicle Color", "Unregistered Vehicle?", "Vehicle Year",
    "Meter Number", "Feet From Curb", "Violation Post Code", "Violation Description",
    "No Standing or Stopping Violation", "Hydrant Violation", "Double Parking Violation",
)
# fmt: on

_TICKET_VALUES = {
    "Summons Number": "1_300_000_000 + i",
    "Plate ID": "format('{}{:04d}', (['GZH', 'FKM', 'HBV', 'JDK'])[pick(i, 1, 4)], pick(i, 2, 9999))",
    "Registration State": "(['NY', 'NY', 'NY', 'NJ', 'PA', '99'])[pick(i, 3, 6)]",
    "Plate Type": "(['PAS', 'COM', 'OMT'])[pick(i, 4, 3)]",
    "Issue Date": "strftime(DATE '2023-07-01' + pick(i, 5, 366) - 1, '%m/%d/%Y')",
    "Violation Code": "zipf(i, 6, 98)",
    "Vehicle Body Type": "(['SUBN', '4DSD', 'VAN', 'DELV', 'PICK'])[pick(i, 7, 5)]",
    "Vehicle Make": "(['FORD', 'TOYOT', 'HONDA', 'NISSA', 'CHEVR', 'BMW'])[pick(i, 8, 6)]",
    "Issuing Agency": "(['T', 'P', 'S', 'V'])[pick(i, 9, 4)]",
    "Violation Precinct": "CASE WHEN roll(i, 10) < 0.1 THEN 0 ELSE pick(i, 11, 123) END",
    "Violation Time": "format('{:02d}{:02d}{}', pick(i, 12, 12), pick(i, 13, 60) - 1, (['A', 'P'])[pick(i, 14, 2)])",
    "Violation County": "(['NY', 'K', 'Q', 'BX', 'R', 'MN', 'BK'])[pick(i, 15, 7)]",
    "House Number": "pick(i, 16, 900)",
    "Street Name": "format('{} {}', (['W', 'E', 'BROADWAY', 'OCEAN'])[pick(i, 17, 4)], pick(i, 18, 120))",
    "Vehicle Color": "(['WH', 'WHITE', 'BK', 'GY', 'BLUE', 'RED'])[pick(i, 19, 6)]",
    "Vehicle Year": "1990 + pick(i, 20, 33)",
}


def tickets(path: Path, count: int) -> Path:
    """Write a year of parking tickets in the 43 columns of the city's files, in no order of dates."""
    cells = ", ".join(f"""{_TICKET_VALUES.get(name, "NULL")} AS "{name}" """ for name in _TICKET_HEADER)
    _copy(path, f"SELECT {cells} FROM range({count}) AS numbers(i)", "HEADER, FORMAT csv")
    return path


def _copy(path: Path, query: str, options: str) -> None:
    """Write aside and rename: an interrupted run leaves no half file behind."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with duckdb.connect() as con:
        con.execute(_MIX)
        options = options if "FORMAT" in options else f"FORMAT csv, HEADER false, {options}"
        con.execute(f"COPY ({query}) TO '{part}' ({options})")
    part.rename(path)
