"""Events over HTTP into a real `citywatch up`: what is acknowledged is there, once, and the counts add up."""

from __future__ import annotations

import gzip
import http.client
import itertools
import json
import random
import re
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.running import CITYWATCH, PATIENCE, Running, citywatch, counts
from tests.unit.sender.city import FAULTS, City, bad_link
from tests.unit.sender.sent import HEADER, event, send

BATCH = "application/cloudevents-batch+json"


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Running]:
    running = Running(tmp_path / "data")
    running.start()
    yield running
    running.stop()
    assert "Traceback" not in "".join(running.said)


def receipt(accepted: int, duplicates: int = 0, *rejected: int) -> Any:
    return 202, {"accepted": accepted, "duplicates": duplicates, "rejected": list(rejected)}


def in_short(answer: tuple[int, Any]) -> Any:
    status, content = answer
    return status, {**content, "rejected": [refused["index"] for refused in content["rejected"]]}


def test_every_mode_of_cloudevents_and_every_shape_of_message(up: Running) -> None:
    assert up.post(event(1), "application/cloudevents+json") == receipt(1)
    assert up.post(f"[{event(2)},{event(3)}]", BATCH) == receipt(2)
    assert up.post(f"{event(4)}\n{event(5)}\n") == receipt(2)
    binary = {"ce_specversion": "1.0", "ce_id": "6", "ce_source": "Caf%C3%A9", "ce_type": "sensor.reading"}
    assert up.post('{"value": 7.5}', "application/json", **binary) == receipt(1)
    ticket = "Summons Number,Plate ID,Violation Code,Issue Date,Violation Time\n1300000001,K-1,46,07/10/2016,0143P\n"
    assert up.post(ticket, "text/csv", "/api/v1/ingest/nyc-tickets") == receipt(1)
    older = {"plate_id": "GZH7067", "address": "1 Main St", "time": "01/24/2017 1003A", "violation_code": "38"}
    assert up.post(json.dumps(older), "application/json", "/polls/receive_msg") == receipt(1)
    assert up.post(json.dumps([older]), "application/json", "/api/v1/ingest/prestacop") == receipt(0, 1)
    stored = up.events()
    assert {e["source"] for e in stored} == {"drone/4", "Café", "nyc/tickets", "prestacop/tickets"}
    assert len(stored) == 8
    assert next(e for e in stored if e["source"] == "Café")["data"]["value"] == 7.5
    up.stop()
    total = counts(up.data)
    assert (total["events"], total["duplicates"], total["rejected"]) == (8, 1, 0)


def test_one_bad_event_never_refuses_its_neighbours_and_can_be_tried_again(up: Running) -> None:
    bad = event(2, data={"lat": 160})
    status, answer = up.post(f"[{event(1)},{bad},{{no}},{event(3)}]", BATCH)
    assert (status, answer["accepted"]) == (202, 2)
    assert [(refused["index"], refused["id"]) for refused in answer["rejected"]] == [(1, "2"), (2, None)]
    assert "lat" in answer["rejected"][0]["reason"]
    # The same again is counted again, and kept once.
    assert in_short(up.post(f"[{event(1)},{bad},{{no}},{event(3)}]", BATCH)) == receipt(0, 2, 1, 2)
    kept = [json.loads(line) for line in citywatch("rejected", "list", "--format", "ndjson", data=up.data)]
    assert [(r["source"], r["line"], r["raw"], r["count"]) for r in kept] == [
        ("http/events", 2, bad, 2),
        ("http/events", 3, "{no}", 2),
    ]


def test_a_refused_row_of_csv_is_kept_with_its_header_and_can_be_replayed(up: Running) -> None:
    door = "/api/v1/ingest/watchlist-hit"
    mapping = """
name: watchlist-hit
title: A hit
recognise: [plate, score]
fields: {plate: plate, score: score}
to:
  type: "'anpr.read'"
  source: "'gate'"
  id: content_id
  fields: {plate: plate, value: score}
samples: []
"""
    (up.data / "mappings").mkdir()
    (up.data / "mappings" / "watchlist-hit.yaml").write_text(mapping)
    up.stop()
    up.start()
    status, answer = up.post("plate;score\nK1;1\nK2;two\nK3;three\n", "text/csv", door)
    assert (status, answer["accepted"], [r["index"] for r in answer["rejected"]]) == (202, 1, [1, 2])
    (kept, _) = (json.loads(line) for line in citywatch("rejected", "list", "--format", "ndjson", data=up.data))
    assert (kept["source"], kept["raw"]) == ("http/watchlist-hit", "plate;score\nK2;two")
    mended = mapping.replace("value: score", "value: \"replace(score, 'two', '2')\"")
    (up.data / "mappings" / "watchlist-hit.yaml").write_text(mended)
    (told,) = (json.loads(line) for line in citywatch("rejected", "replay", data=up.data))
    assert (told["replayed"], told["read"], told["rejected"]) == (2, 1, 1)
    end = time.monotonic() + PATIENCE
    while {e["data"]["plate"] for e in up.events()} != {"K1", "K2"}:
        assert time.monotonic() < end


def test_what_a_sender_claims_of_the_receipt_is_overwritten(up: Running) -> None:
    assert up.post(event(1, receivedat="2020-01-01T00:00:00Z")) == receipt(1)
    (stored,) = up.events()
    assert stored["receivedat"] > "2026"


def test_what_cannot_be_understood_as_a_whole_is_a_problem(up: Running) -> None:
    asked = {
        400: up.post("{", "application/cloudevents+json"),
        404: up.post("{}", "application/json", "/api/v1/ingest/nope"),
        413: up.post(b"x" * ((16 << 20) + 1)),
        415: up.post("<event/>", "application/xml"),
        422: up.post("a,b\n1,2\n", "text/csv", "/api/v1/ingest/nyc-tickets"),
    }
    for status, (given, problem) in asked.items():
        assert given == status == problem["status"], problem
        assert problem["detail"]
    assert up.post(event(1), Origin="http://evil.example")[0] == 403
    assert up.events() == []


def test_ordinals_tell_equal_lines_apart_over_requests(up: Running) -> None:
    row = "4,K1,1 Main St,10/21/2020 0309A,46"

    def ingest(*rows: str, **said: str) -> Any:
        return up.post("\n".join([HEADER, *rows]), "text/csv", "/api/v1/ingest/prestacop", **said)

    assert ingest(row, row) == receipt(2)
    assert ingest(row, row) == receipt(0, 2)
    assert ingest(row, row, Citywatch_Ordinals="0:2 1:3") == receipt(2)
    assert ingest(row, row, Citywatch_Ordinals="0:2 1:3") == receipt(0, 2)
    assert up.post(HEADER, "text/csv", "/api/v1/ingest/prestacop", Citywatch_Ordinals="?")[0] == 400


def test_many_senders_at_once_each_get_their_own_counts(up: Running) -> None:
    def one(sender: int) -> tuple[int, int, int]:
        total = [0, 0, 0]
        for turn in range(6):
            # Half of it the neighbour sends as well, and one in ten is broken.
            numbers = range(sender * 50 + turn * 10, sender * 50 + turn * 10 + 20)
            lines = [event(n) if n % 10 else f'{{"id":"{n}"' for n in numbers]
            status, answer = up.post("\n".join(lines))
            assert status == 202
            assert [refused["index"] for refused in answer["rejected"]] == [0, 10]
            total = [total[0] + answer["accepted"], total[1] + answer["duplicates"], total[2] + 2]
        return total[0], total[1], total[2]

    with ThreadPoolExecutor(8) as senders:
        accepted, duplicates, rejected = map(sum, zip(*senders.map(one, range(8)), strict=True))
    expected = {str(n) for n in range(8 * 50 + 20) if n % 10}
    assert {e["id"] for e in up.events()} == expected
    assert accepted == len(expected)
    assert accepted + duplicates + rejected == 8 * 6 * 20
    up.stop()
    total = counts(up.data)
    assert (total["events"], total["duplicates"], total["rejected"]) == (accepted, duplicates, rejected)


def test_what_was_acknowledged_before_a_kill_is_there_after_it(up: Running) -> None:
    acknowledged: list[int] = []
    numbers = itertools.count()
    stop = threading.Event()

    def one() -> None:
        while not stop.is_set():
            mine = [next(numbers) for _ in range(10)]
            try:
                status, answer = up.post("\n".join(map(event, mine)))
            except (OSError, http.client.HTTPException):
                return
            if status == 202 and answer["accepted"] + answer["duplicates"] == 10:
                acknowledged.extend(mine)

    for _ in range(3):
        stop.clear()
        threads = [threading.Thread(target=one) for _ in range(6)]
        for thread in threads:
            thread.start()
        begun, end = len(acknowledged), time.monotonic() + PATIENCE
        while len(acknowledged) < begun + 100:
            assert time.monotonic() < end
            time.sleep(0.005)
        up.kill()
        stop.set()
        for thread in threads:
            thread.join()
        up.start()
    found = [int(e["id"]) for e in up.events()]
    assert len(found) == len(set(found))
    assert set(acknowledged) <= set(found)
    assert len(acknowledged) >= 300


def test_the_page_without_an_engine_tells_senders_to_come_again(up: Running) -> None:
    (up.data / "door.json").rename(up.data / "away")
    # The page keeps the connection that it has; a fresh one finds nobody.
    status, problem = up.post(event(1))
    assert status in (202, 503), problem
    (up.data / "away").rename(up.data / "door.json")
    assert up.post(event(2))[0] == 202


@pytest.mark.parametrize("shape", ["", "prestacop", "line-drone"])
def test_a_simulated_city_arrives_in_any_shape(shape: str, up: Running) -> None:
    words = [
        "simulate",
        "drones",
        "--rate",
        "200",
        "--duration",
        "1s",
        "--seed",
        "4",
        *(["--as", shape] if shape else []),
    ]
    done = subprocess.run([CITYWATCH, *words, "--to", up.url], capture_output=True, text=True, check=False, timeout=60)
    told = re.fullmatch(r"citywatch: (\d+) events accepted, (\d+) known already, (\d+) rejected\n", done.stderr)
    assert told, done.stderr
    assert (done.returncode, done.stdout) == (0, "")
    assert int(told[1]) == len(up.events()) > 100


ROWS = [f"{n % 9 or ''},K{n % 5},{n % 7} Café St,10/{1 + n % 28}/2020 0309A,{n % 3 * 46}" for n in range(400)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tickets.csv", lambda text: text.replace("\n", "\r\n").encode()),
        ("tickets.csv", lambda text: b"\xef\xbb\xbf" + text.encode()),
        ("tickets.csv", lambda text: text.encode("cp1252")),
        ("tickets.csv.gz", lambda text: gzip.compress(text.encode())),
    ],
    ids=["crlf", "bom", "cp1252", "gzip"],
)
def test_the_sender_delivers_a_file_over_a_bad_link_each_line_once(
    name: str, content: Any, up: Running, tmp_path: Path
) -> None:
    broken = "4,K1,1 Main St,13/41/2020 0309A,46"
    rows = [*ROWS[:200], broken, *ROWS[200:], *ROWS[:150]]
    file = tmp_path / name
    file.write_bytes(content("\n".join([HEADER, *rows]) + "\n"))
    chance = random.Random(name)  # noqa: S311 - repeatable on purpose
    faults: Sequence[str] = [*[""] * 2 * len(FAULTS), *FAULTS]
    with bad_link(City(url=up.url), lambda: chance.choice(faults), stall=0.1) as link:
        sending = send(file, link, mapping="prestacop", batch=60, timeout=20.0)
    assert (sending.progress.sent, sending.progress.kept) == (len(rows) - 1, 1)
    kept = (tmp_path / "tickets.rejected.csv").read_text("utf-8-sig")
    assert "13/41/2020" in kept
    stored = up.events()
    assert sorted(e["data"]["address"] for e in stored) == sorted(row.split(",")[2] for row in rows if row != broken)
    # `run` gives the same records the same ids: it adds nothing.
    up.stop()
    file.write_bytes("\n".join([HEADER, *rows]).encode() if not name.endswith(".gz") else file.read_bytes())
    words = ("run", str(file), "--once", "--mapping", "prestacop", "--rules", str(tmp_path / "rules"))
    summary = json.loads(citywatch(*words, data=up.data)[-1])
    assert (summary["events"], summary["duplicates"], summary["rejected"]) == (0, len(rows) - 1, 1)
