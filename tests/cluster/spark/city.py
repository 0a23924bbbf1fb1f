"""Events of hours for a job, cut into files, with copies, late ones, disorder and records that are none."""

from __future__ import annotations

import json
import os
from pathlib import Path
from random import Random

import yaml

from tests.conformance.cases import when
from tests.conformance.examples import BASE, document
from tests.conformance.test_large import PLACES
from tests.oracle import duration

EVENTS = 50_000
FILES = 5
_LASTS = duration("10h")
_SECOND = 1_000_000
Placed = tuple[int, str]

_RULES = """
{name: hit, where: "label = 'a'"}
---
{name: second, where: "label = 'b'"}
---
{name: often, where: "label = 'c'", suppression: {group-by: [device_id], duration: 1h}}
---
{name: event_count, correlation: {type: event_count, group-by: [plate], timespan: 20m, condition: {gte: 6}}}
---
{name: few, correlation: {type: event_count, group-by: [device_id], timespan: 10m, condition: {lte: 1}}}
---
{name: value_count, correlation: {type: value_count, group-by: [plate], timespan: 20m,
 condition: {field: device_id, gte: 5}}}
---
{name: temporal, correlation: {type: temporal, rules: [hit, second], group-by: [plate], timespan: 2h, generate: true}}
---
{name: temporal_ordered, correlation: {type: temporal_ordered, rules: [hit, second], group-by: [plate], timespan: 2h}}
---
{name: absence, correlation: {type: absence, rules: [hit, second], group-by: [plate], timespan: 1h}}
---
{name: flatline, where: "label = 'a'", correlation: {type: flatline, group-by: [device_id], timespan: 30m}}
---
{name: spike, where: "label < 'e'", correlation: {type: spike, group-by: [device_id], timespan: 30m, spike_height: 4}}
---
{name: new_terms, where: "label = 'a'", correlation: {type: new_terms, group-by: [device_id], field: plate,
 timespan: 1h}}
---
{name: change, where: "label < 'd'", correlation: {type: change, group-by: [plate], field: label, timespan: 20m}}
---
{name: dwell, where: "NOT label = 'h'", correlation: {type: dwell, group-by: [plate], timespan: 15m, max_gap: 5m}}
---
{name: impossible_travel, where: "label < 'd'", correlation: {type: impossible_travel, group-by: [plate],
 timespan: 10m, max_speed_kmh: 500, min_distance_km: 1}}
"""


def rules(directory: Path) -> Path:
    """A directory with a rule of every type; those of which most events would be matches look at few of them."""
    directory.mkdir()
    documents = [document(rule) for rule in yaml.safe_load_all(_RULES)]
    (directory / "rules.yaml").write_text(yaml.safe_dump_all(documents), "utf-8")
    return directory


def names() -> list[str]:
    """Names of these rules that alert themselves."""
    return [rule["name"] for rule in yaml.safe_load_all(_RULES)]


def events(count: int = EVENTS, seed: int = 1, plates: int = 3000) -> list[str]:
    """Lines in the order of reading: out of order within what is allowed, some late, some twice, some broken."""
    chance = Random(seed)  # noqa: S311 - the same in every run, no secret
    placed: list[Placed] = []
    for number in range(count):
        placed += _read(chance, number, BASE + _LASTS * number // count // _SECOND * _SECOND, plates)
        if number % 1000 == 999:
            placed.append((placed[-1][0], f'{{"id": "broken {number}'))
    return [line for _, line in sorted(placed, key=lambda at: at[0])]


def _read(chance: Random, number: int, time: int, plates: int) -> list[Placed]:
    received = time + chance.choice([0, 0, 0, 0, _SECOND, 30 * _SECOND, 60 * _SECOND, 61 * _SECOND])
    lat, lon = chance.choice(PLACES)
    label = chance.choices("abcdefgh", [1, 1, 1, 2, 10, 30, 30, 10])[0]
    device = f"v{int(200 * chance.random())}"
    data = {
        "plate": f"K{int(plates * chance.random() ** 2)}",
        "label": label,
        "device_id": device,
        "lat": lat,
        "lon": lon,
    }
    record = {"specversion": "1.0", "id": str(number), "source": device, "type": "anpr.read", "data": data}
    record |= {"time": when(time), "receivedat": when(received)}
    again = {**record, "receivedat": when(received + duration("1h"))}
    copies = [(received + duration("1h"), json.dumps(again))] if chance.random() < 0.03 else []
    return [(received + chance.choice([0, 0, 5 * _SECOND]), json.dumps(record)), *copies]


def end(lines: list[str], number: int) -> str:
    """An event that no rule looks at, received with the last of the others."""
    received = max(json.loads(line)["receivedat"] for line in lines if line.endswith("}"))
    head = {"specversion": "1.0", "id": f"end {number}", "source": "end", "type": "test.clock", "data": {}}
    return json.dumps({**head, "time": received, "receivedat": received})


def write(directory: Path, lines: list[str], numbers: range = range(FILES)) -> None:
    """Files with these numbers, of `FILES`, in the order of their times."""
    directory.mkdir(exist_ok=True)
    for i in numbers:
        part = lines[i * len(lines) // FILES : (i + 1) * len(lines) // FILES]
        aside, file = directory / f".{i}", directory / f"{i}.ndjson"
        aside.write_text("".join(f"{line}\n" for line in part), "utf-8")
        os.utime(aside, (1_700_000_000 + i,) * 2)
        aside.rename(file)
