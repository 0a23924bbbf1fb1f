"""What arrives of a file, and what is kept beside it, whatever the link does."""

from __future__ import annotations

import gzip
import itertools
import json
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from citywatch.records.ordinals import Ordinals
from citywatch.sender.problems import SendError, WrongUsageError
from citywatch.sender.progress import report
from tests.unit.sender.city import FAULTS, City, bad_link, closed_port, kept_rows, open_city
from tests.unit.sender.sent import HEADER, Notes, event, events_file, send

pytestmark = pytest.mark.timeout(60)  # a sender that waits for ever should not take others with it


@pytest.fixture
def city() -> Iterator[City]:
    with open_city() as opened:
        yield opened


# the link


@pytest.mark.parametrize("fault", FAULTS)
def test_a_link_that_fails_every_other_time_loses_and_doubles_nothing(city: City, tmp_path: Path, fault: str) -> None:
    turns = itertools.cycle([fault, ""])
    timeout = 0.2 if fault in ("stall", "answer late") else 5.0
    with bad_link(city, lambda: next(turns), stall=0.4) as url:
        sending = send(events_file(tmp_path, range(60)), url, batch=20, timeout=timeout)
    assert list(city.kept) == [str(number) for number in range(60)]
    assert report(sending).startswith("60 lines sent")


@pytest.mark.parametrize("seed", range(3))
def test_whatever_a_link_does_the_good_lines_arrive_once(city: City, tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311 - to try things, the same every time
    lines = [event(number) if dice.random() < 0.9 else f'{{"id": {number}' for number in range(400)]
    file = tmp_path / "events.ndjson"
    file.write_text("\n".join(lines) + "\n")
    with bad_link(city, lambda: dice.choice(FAULTS) if dice.random() < 0.4 else "", stall=0.3) as url:
        sending = send(file, url, batch=15, timeout=0.2)
    good = [json.loads(line)["id"] for line in lines if line.endswith("}")]
    assert list(city.kept) == good
    kept = kept_rows((tmp_path / "events.rejected.csv").read_text("utf-8"))
    assert [number for number, _, _ in kept] == [n for n, line in enumerate(lines, 1) if not line.endswith("}")]
    assert sending.progress.sent == len(good)


def test_retry_after_is_honoured(city: City, tmp_path: Path) -> None:
    city.answers = [(429, {"Retry-After": "1"}, b""), (503, {"Retry-After": "Fri, 01 Jan 2021 00:00:00 GMT"}, b"")]
    begun, notes = time.monotonic(), Notes()
    send(events_file(tmp_path, range(3)), city.url, notes)
    assert time.monotonic() - begun >= 1
    assert [round(seconds, 1) for _, seconds in notes.waited] == [1.0, 0.0]
    assert len(city.kept) == 3


@pytest.mark.parametrize("said", ["\xb2", "-5", "0.3, soon", "Fri, 99 Foo"])
def test_a_retry_after_that_is_none_stops_nothing(said: str, city: City, tmp_path: Path) -> None:
    city.answers = [(429, {"Retry-After": said}, b"")]
    notes = Notes()
    send(events_file(tmp_path, range(3)), city.url, notes)
    assert len(city.kept) == 3
    assert [seconds <= 0.005 for _, seconds in notes.waited] == [True]


def test_pauses_grow_and_differ_while_the_link_is_down(city: City, tmp_path: Path) -> None:
    city.answers = [(500, {}, b"")] * 7
    notes = Notes()
    send(events_file(tmp_path, range(3)), city.url, notes)
    pauses = [seconds for _, seconds in notes.waited]
    assert all(0.0025 * 2**n <= pause <= 0.005 * 2**n for n, pause in enumerate(pauses))
    assert notes.waited[0][0] == "500 Internal Server Error"


def test_it_gives_up_when_it_was_told_to(tmp_path: Path) -> None:
    with pytest.raises(SendError, match=r"connection refused; gave up after \d+ s \(the same command goes on"):
        send(events_file(tmp_path, range(3)), closed_port(), give_up=0.1)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 410, 415, 422, 501])
def test_an_answer_that_stays_the_same_stops_at_once(city: City, tmp_path: Path, status: int) -> None:
    city.answers = [(status, {}, json.dumps({"title": "No", "detail": "not this way"}).encode())]
    with pytest.raises(SendError, match=f"answered {status} No: not this way"):
        send(events_file(tmp_path, range(3)), city.url)
    assert not city.kept


def test_an_address_that_has_moved_is_named_and_does_not_get_the_key(city: City, tmp_path: Path) -> None:
    city.answers = [(308, {"Location": "https://elsewhere.example/"}, b"")]
    with pytest.raises(SendError, match=r"has moved to https://elsewhere\.example/"):
        send(events_file(tmp_path, range(3)), city.url, key="secret")


@pytest.mark.parametrize(
    "page", [b"<html>sign in", b"[]", b'{"accepted":1}', b'{"accepted":1,"duplicates":0,"rejected":[]}']
)
def test_a_page_in_between_that_answers_200_acknowledges_nothing(city: City, tmp_path: Path, page: bytes) -> None:
    city.answers = [(200, {}, page)] * 2
    send(events_file(tmp_path, range(3)), city.url)
    assert len(city.kept) == 3


@pytest.mark.parametrize("status", [201, 204, 205, 206, 299])
def test_a_success_without_an_acknowledgement_is_said_and_sent_again(city: City, tmp_path: Path, status: int) -> None:
    city.answers = [(status, {}, b"")] * 2
    notes = Notes()
    send(events_file(tmp_path, range(3)), city.url, notes)
    assert len(city.kept) == 3
    assert [why.startswith(f"the answer ({status}") for why, _ in notes.waited] == [True, True]


def test_an_acknowledgement_that_a_proxy_has_changed_the_status_of_is_one(city: City, tmp_path: Path) -> None:
    city.answers = [(203, {}, b'{"accepted":3,"duplicates":0,"rejected":[]}')]
    assert report(send(events_file(tmp_path, range(3)), city.url)) == "3 lines sent"
    assert not city.kept


def test_an_address_that_is_no_citywatch_is_found_out(city: City, tmp_path: Path) -> None:
    city.answers = [(200, {}, b"<html>welcome")] * 5
    with pytest.raises(SendError, match=r"not that of a citywatch.*look at --to"):
        send(events_file(tmp_path, range(3)), city.url)


def test_a_batch_that_is_too_large_is_sent_in_parts(city: City, tmp_path: Path) -> None:
    city.largest = 400
    file = tmp_path / "events.ndjson"
    file.write_text("\n".join([*(event(n) for n in range(9)), event(9, data={"note": "x" * 500}), event(10)]) + "\n")
    sending = send(file, city.url)
    assert sorted(city.kept, key=int) == [*map(str, range(9)), "10"]
    assert [row[:2] for row in kept_rows((tmp_path / "events.rejected.csv").read_text())] == [
        (10, "too large for the server")
    ]
    assert report(sending) == "10 lines sent, 1 kept in events.rejected.csv"


def test_the_key_comes_along_and_is_named_where_it_is_missing(city: City, tmp_path: Path) -> None:
    city.key = "s3cret"
    file = events_file(tmp_path, range(3))
    with pytest.raises(SendError, match=r"401 No access: the API key is not known.*--key-file"):
        send(file, city.url)
    assert report(send(file, city.url, key="s3cret")) == "3 lines sent"


@pytest.mark.parametrize("rate", [-1.0, float("nan"), float("inf")])
def test_a_rate_that_is_none_is_wrong_usage(rate: float, city: City, tmp_path: Path) -> None:
    with pytest.raises(WrongUsageError, match="--rate"):
        send(events_file(tmp_path, range(3)), city.url, rate=rate)


def test_rate_bounds_the_lines_a_second(city: City, tmp_path: Path) -> None:
    begun = time.monotonic()
    send(events_file(tmp_path, range(60)), city.url, rate=60.0, batch=20)
    assert time.monotonic() - begun >= 0.9
    assert len(city.kept) == 60


# what is kept


def test_lines_that_are_broken_are_kept_with_number_and_reason_and_the_others_arrive(
    city: City, tmp_path: Path
) -> None:
    file = tmp_path / "tickets.csv"
    lines = [
        HEADER.encode(),
        b"4,K1,907 W 91th St,10/21/2020 0309A,",
        b"4,K2,10/21/2020 0309A",
        b"4,K3,Caf\xc3\xa9,10/21/2020 0309A,46",
        b"4,K4,Caf\xe9 \xc3,10/21/2020 0309A,46",
        b"",
        b'4,K5,"open,10/21/2020 0309A,46',
        b'4,K6,"two\nlines",10/21/2020 0309A,46',
        b"4,K\0,x,10/21/2020 0309A,46",
        b"4,K7,cut o",
    ]
    file.write_bytes(b"\n".join(lines))
    sending = send(file, city.url, mapping="prestacop")
    assert list(city.kept.values()) == [
        "4,K1,907 W 91th St,10/21/2020 0309A,",
        "4,K3,Café,10/21/2020 0309A,46",
        '4,K6,"two\nlines",10/21/2020 0309A,46',
    ]
    assert kept_rows((tmp_path / "tickets.rejected.csv").read_text("utf-8")) == [
        (3, "3 columns where the header has 5", "4,K2,10/21/2020 0309A"),
        (5, "not utf-8: byte 0xE9 at position 9", "4,K4,Caf\\xe9 \\xc3,10/21/2020 0309A,46"),
        (7, "a quote is left open", '4,K5,"open,10/21/2020 0309A,46'),
        (10, "holds a NUL byte", "4,K\\x00,x,10/21/2020 0309A,46"),
        (11, "the file ends within this line: 3 columns where the header has 5", "4,K7,cut o"),
    ]
    assert report(sending) == "3 lines sent, 5 kept in tickets.rejected.csv"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"id": 1', "the file ends within this line: not JSON: "),
        ('{"id": NaN}\n', "not JSON: NaN is no JSON"),
        ("[1, 2]\n", "not a JSON object"),
        ("[" * 100_000 + "\n", "not JSON: nested too deeply"),
        ('{"id": "' + "x" * (5 << 20) + '"}\n', "longer than 4,194,304 bytes: 5,242,891; the first 65,536 are kept"),
    ],
)
def test_a_line_that_is_no_json_object_is_kept(city: City, tmp_path: Path, line: str, reason: str) -> None:
    file = tmp_path / "events.ndjson"
    file.write_text(event(1) + "\n\n" + line)
    send(file, city.url)
    assert list(city.kept) == ["1"]
    ((number, said, raw),) = kept_rows((tmp_path / "events.rejected.csv").read_text())
    assert number == 3
    assert said.startswith(reason)
    assert raw == line.rstrip("\n")[: 64 << 10]


def test_a_number_of_many_digits_is_json(city: City, tmp_path: Path) -> None:
    file = tmp_path / "events.ndjson"
    file.write_text(event(1)[:-1] + ', "n": ' + "9" * 5000 + "}\n")
    assert report(send(file, city.url)) == "1 line sent"


def test_what_the_server_refuses_is_kept_too(city: City, tmp_path: Path) -> None:
    city.refuse = lambda record: "time_in_future" if '"7"' in record or '"13"' in record else None
    sending = send(events_file(tmp_path, range(20)), city.url, batch=5)
    kept = kept_rows((tmp_path / "events.rejected.csv").read_text())
    assert [row[:2] for row in kept] == [(8, "time_in_future"), (14, "time_in_future")]
    assert report(sending) == "18 lines sent, 2 kept in events.rejected.csv"


def test_a_file_of_kept_lines_that_is_there_already_is_not_touched(city: City, tmp_path: Path) -> None:
    (tmp_path / "events.rejected.csv").write_text("mine")
    (tmp_path / "events.ndjson").write_text("{\n" + event(1) + "\n{")
    file = tmp_path / "events.ndjson"
    file.write_text("x\n" + event(1) + "\n")
    assert report(send(file, city.url)) == "1 line sent, 1 kept in events.rejected-2.csv"
    assert (tmp_path / "events.rejected.csv").read_text() == "mine"


# files of every kind


TEXT = HEADER + "\r\n" + "".join(f"{n},K{n},Café {n % 7} Ñandú,10/21/2020 0309A,46\r\n" for n in range(50))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", TEXT.encode()),
        ("a.csv", TEXT.replace("\r", "").encode()),
        ("a.csv", TEXT.removesuffix("\r\n").encode()),
        ("a.csv", TEXT.encode("utf-8-sig")),
        ("a.csv", TEXT.encode("cp1252")),
        ("a.csv.gz", gzip.compress(TEXT.encode("utf-8-sig"))),
        ("a.csv.gz", gzip.compress(TEXT[:900].encode("cp1252")) + gzip.compress(TEXT[900:].encode("cp1252"))),
        ("noname", gzip.compress(TEXT.encode())),
        ("a.tsv", TEXT.replace(",", "\t").encode()),
        ("a.csv", b"\n\r\n" + TEXT.replace(",", ";").encode()),
    ],
    ids=["crlf", "lf", "no end", "bom", "cp1252", "gzip+bom", "gzip in members", "no suffix", "tabs", "semicolons"],
)
def test_files_of_every_kind_arrive_as_the_same_text(city: City, tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    send(tmp_path / name, city.url, mapping="prestacop", batch=8)
    wanted = TEXT.split("\r\n")[1:-1]
    assert [row.replace("\t", ",").replace(";", ",") for row in city.kept.values()] == wanted
    assert not list(tmp_path.glob("*rejected*"))


def test_an_encoding_that_is_named_is_believed(city: City, tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes(f"{HEADER}\n4,K1,Łódź,10/21/2020 0309A,46\n".encode("iso8859-2"))
    send(file, city.url, mapping="prestacop", encoding="iso8859-2")
    assert list(city.kept.values()) == ["4,K1,Łódź,10/21/2020 0309A,46"]
    with pytest.raises(WrongUsageError, match="cannot read 'utf-16'"):
        send(file, city.url, mapping="prestacop", encoding="utf-16", again=True)


@pytest.mark.parametrize("cut", [1500, -6])
def test_a_gzip_that_breaks_off_is_sent_as_far_as_it_goes_and_said(city: City, tmp_path: Path, cut: int) -> None:
    dice = random.Random(7)  # noqa: S311 - to try things, the same every time
    text = "".join(event(n, data={"note": str(dice.random())}) + "\n" for n in range(200))
    file = tmp_path / "a.ndjson.gz"
    file.write_bytes(gzip.compress(text.encode())[:cut])
    with pytest.raises(SendError, match="gzip ends too early here"):
        send(file, city.url)
    assert list(city.kept) == [str(n) for n in range(len(city.kept))]
    assert 0 < len(city.kept) <= 200


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'[{"id": 1}]', "JSON over several lines"),
        (b'{\n"id": 1}', "JSON over several lines"),
        (b"PK\x03\x04....", "Excel"),
        (b"PAR1....", "Parquet"),
        ("a,b\n1,2\n".encode("utf-16"), "UTF-16"),
        (b"a,b\r1,2\r3,4\r", "CR alone"),
        (b'"a\nb,c\n', "no header of columns"),
        (b",,\n1,2,3\n", "no header of columns"),
    ],
)
def test_a_file_that_is_no_lines_is_refused_in_words(city: City, tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "a.json"
    file.write_bytes(content)
    with pytest.raises(SendError, match=said):
        send(file, city.url, mapping="prestacop")


@pytest.mark.parametrize("content", ["", "\n", HEADER + "\n"])
def test_a_file_with_nothing_in_it_is_sent_at_once(city: City, tmp_path: Path, content: str) -> None:
    file = tmp_path / "a.csv"
    file.write_text(content)
    assert report(send(file, city.url, mapping="prestacop")) == "0 lines sent"


def test_lines_that_are_no_cloudevents_need_a_mapping(city: City, tmp_path: Path) -> None:
    file = tmp_path / "a.ndjson"
    file.write_text('{"drone_id": 4, "time": "10/21/2020 0309A"}\n')
    with pytest.raises(WrongUsageError, match=r"line 1 is no CloudEvent: it has no id, source, type \(--mapping"):
        send(file, city.url)
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    with pytest.raises(WrongUsageError, match="--mapping NAME"):
        send(tmp_path / "a.csv", city.url)


# ids of records that have none


def repeating(tmp_path: Path) -> tuple[Path, list[str]]:
    dice = random.Random(3)  # noqa: S311 - to try things, the same every time
    rows = [f"{dice.randrange(9)},K{dice.randrange(3)},x,10/21/2020 0309A,46" for _ in range(300)]
    file = tmp_path / "a.csv"
    file.write_text("\n".join([HEADER, *rows]) + "\n")
    return file, rows


@pytest.mark.parametrize("ids", ["content", ""])
def test_identical_lines_get_the_ids_that_the_whole_file_would_give_them(city: City, tmp_path: Path, ids: str) -> None:
    city.ids = ids
    file, rows = repeating(tmp_path)
    dice = random.Random(1)  # noqa: S311 - to try things, the same every time
    with bad_link(city, lambda: dice.choice(["", "", "500", "lose the answer", "refuse"])) as url:
        send(file, url, mapping="prestacop", batch=7)
    assert list(city.kept) == Ordinals().ids([row.encode() for row in rows])
    assert report(send(file, city.url, mapping="prestacop", again=True)).endswith(
        "300 of what they hold was known there already"
    )
    assert len(city.kept) == 300


def test_where_the_server_says_that_ids_are_natural_nothing_is_counted(city: City, tmp_path: Path) -> None:
    city.ids = "natural"
    file, _ = repeating(tmp_path)
    send(file, city.url, mapping="nyc-tickets")
    assert not any("Citywatch-Ordinals" in headers for _, headers, _ in city.requests)


def test_many_identical_lines_do_not_make_headers_long(city: City, tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text(HEADER + "\n" + "4,K,x,10/21/2020 0309A,46\n" * 3000)
    send(file, city.url, mapping="prestacop", batch=3000)
    assert len(city.kept) == 3000
    assert max(len(headers.get("Citywatch-Ordinals", "")) for _, headers, _ in city.requests) < 4100
