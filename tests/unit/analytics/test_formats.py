"""Answers as JSON, CSV, table and page."""

from __future__ import annotations

import csv
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from citywatch.analytics.question import questions
from citywatch.errors import StoreError, UsageError
from citywatch.stores.desk import Desk
from tests.unit.analytics.conftest import Fill, ask, invoke

EVIL = '<script>alert("x")</script>'


def test_csv_has_the_rows_of_json_and_says_on_stderr_what_it_left_out(city: Path) -> None:
    answer = ask(city, "tickets-by-code")
    result = invoke("report", "tickets-by-code", "--data", str(city), "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [(row["violation_code"], row["count"]) for row in rows] == [
        (str(row["violation_code"]), str(row["count"])) for row in answer["rows"]
    ]
    assert re.search(r"left out: \d+ no_violation_code", result.stderr)


def test_a_table_in_a_pipe_is_plain_and_names_what_it_left_out(city: Path) -> None:
    result = invoke("report", "tickets-by-code", "--data", str(city), "--top", "1")
    head, row, *rest = result.stdout.splitlines()
    assert head.split() == ["violation", "code", "name", "count", "share"]
    assert re.fullmatch(r"38 +Muni-meter receipt not shown +\d+ +\d+\.\d\d%", row)
    assert rest[0].startswith("left out: ")
    assert "\033" not in result.stdout


def test_without_a_name_the_reports_are_listed() -> None:
    lines = invoke("report").stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(questions())


def test_an_unknown_report_is_wrong_usage_and_names_the_nearest(city: Path) -> None:
    with pytest.raises(UsageError, match="did you mean tickets-by-"):
        invoke("report", "ticket-by-code", "--data", str(city))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["summer", "--by", "borough"], "takes no --by"),
        (["tickets-by-code", "--by", "nonsense"], "--by takes"),
        (["summer", "--top", "3"], "takes no --top"),
        (["alerts", "--type", "ticket.issued"], "takes no --type"),
        (["summer", "--from", "soon"], "is no time"),
        (["summer", "--from", "2017-01-02", "--to", "2017-01-02"], "is not before"),
    ],
)
def test_an_option_that_makes_no_sense_is_wrong_usage(options: list[str], words: str, city: Path) -> None:
    with pytest.raises(UsageError, match=words):
        invoke("report", *options, "--data", str(city))


def test_a_directory_without_data_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is no data directory"):
        invoke("report", "summer", "--data", str(tmp_path))


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "action")]

    def handle_data(self, data: str) -> None:
        self.words += data + "\n"


@pytest.mark.parametrize("name", list(questions()))
def test_every_page_stands_alone_without_a_script(name: str, city: Path) -> None:
    text = invoke("report", name, "--data", str(city), "--format", "html").stdout
    page = _Page(text)
    assert "script" not in page.tags
    assert page.links == []
    assert "url(" not in text
    assert page.tags.count("h1") == 1
    assert "Left out" in page.words
    assert "America/New_York" in page.words


def test_a_page_shows_chart_numbers_period_and_what_it_left_out(city: Path) -> None:
    options = ["--from", "2016-08-01", "--to", "2017-02-01"]
    page = _Page(invoke("report", "tickets-by-hour", "--data", str(city), "--format", "html", *options).stdout)
    assert {"svg", "table"} <= set(page.tags)
    assert "From 2016-08-01 00:00, to before 2017-02-01 00:00" in page.words
    assert "the time is known to the day only" in page.words


def test_a_chart_draws_every_minute_of_the_day_and_names_what_has_no_bar(fill: Fill) -> None:
    minutes = [f"2026-05-01T{minute // 60:02}:{minute % 60:02}:00Z" for minute in range(1440)]
    devices = [
        {"type": "device.status", "time": minutes[0], "device_id": str(n), "severity": 5 if n < 2 else 1}
        for n in range(30)
    ]
    data = fill([*({"type": "ticket.issued", "time": time} for time in minutes), *devices])

    def shown(name: str) -> str:
        return invoke("report", name, "--data", str(data), "--format", "html").stdout

    assert shown("tickets-by-minute").count('aria-roledescription="bar"') == 1440
    assert "figcaption" not in shown("tickets-by-minute")
    assert "<figcaption>Not drawn: 28 without failures.</figcaption>" in shown("failures")


def test_a_page_without_rows_says_so(city: Path) -> None:
    text = invoke("report", "response-times", "--data", str(city), "--format", "html").stdout
    assert "There is nothing to count." in text
    assert "<table" not in text


def test_times_on_a_page_are_the_citys(fill: Fill) -> None:
    data = fill([{"type": "device.status", "time": "2026-05-01T02:00:00Z", "device_id": "7"}])
    assert "2026-04-30 22:00:00" in invoke("report", "fleet", "--data", str(data), "--format", "html").stdout
    assert "2026-05-01 02:00:00 UTC" in invoke("report", "fleet", "--data", str(data), "--format", "table").stdout


def test_what_comes_from_outside_is_no_markup(fill: Fill) -> None:
    ticket = {"type": "ticket.issued", "time": "2026-05-01T10:00:00Z", "borough": EVIL, "plate_state": EVIL}
    data = fill([ticket, {**ticket, "borough": "Queens"}])
    text = invoke("report", "tickets-by-borough", "--data", str(data), "--format", "html").stdout
    assert EVIL not in text
    assert "script" not in _Page(text).tags
    assert ask(data, "tickets-by-borough")["rows"][0]["borough"] == EVIL


def test_names_and_numbers_beyond_all_bounds_are_reported_like_others(fill: Fill) -> None:
    names = ["a\0b", "\x1b[31m", "\ufffe", "x" * 3000, "plain"]
    rows = [
        {"type": "device.status", "time": "2026-05-01T10:00:00Z", "device_id": name, "battery": 1e308}
        for name in names
        for _ in range(3)
    ]
    rows += [
        {"type": "ticket.issued", "time": "2026-05-01T10:00:00Z", "address": name, "violation_code": 46}
        for name in names
    ]
    data = fill(rows)
    fleet = {row["device_id"]: row["battery"] for row in ask(data, "fleet")["rows"]}
    assert set(fleet) == set(names)
    assert fleet["plain"] in (None, 1e308), "a mean that is no number is none"
    assert "<svg" in invoke("report", "top-places", "--data", str(data), "--format", "html").stdout
    for form in ("html", "table"):
        assert invoke("report", "fleet", "--data", str(data), "--format", form).exit_code == 0
    asked = invoke(
        "sql", "SELECT 'nan'::DOUBLE AS x, 'inf'::FLOAT AS y, 1.5 AS z", "--data", str(data), "--format", "json"
    )
    assert json.loads(asked.stdout)["rows"] == [{"x": None, "y": None, "z": 1.5}]


def test_plates_and_persons_stand_under_stable_pseudonyms_on_paper_only(fill: Fill) -> None:
    ticket = {"type": "ticket.issued", "time": "2026-05-01T10:00:00Z", "plate": "SECRET1"}
    person = {"type": "person.report", "time": "2026-05-01T10:00:00Z", "person_id": "jane-doe"}
    data = fill([ticket, {**ticket, "plate": "SECRET2"}, person, person])
    pages = {
        name: invoke("report", name, "--data", str(data), "--format", "html").stdout
        for name in ("tickets-by-plate", "repeat-persons", "safety-watcher")
    }
    assert not any(secret in text for text in pages.values() for secret in ("SECRET", "jane-doe"))
    plates = re.findall("plate-[A-Z2-7]{8}", pages["tickets-by-plate"])
    assert len(set(plates)) == 2
    again = invoke("report", "tickets-by-plate", "--data", str(data), "--format", "html").stdout
    assert re.findall("plate-[A-Z2-7]{8}", again) == plates
    assert (data / "pseudonyms.key").stat().st_mode & 0o077 == 0
    assert {row["plate"] for row in ask(data, "tickets-by-plate")["rows"]} == {"SECRET1", "SECRET2"}


def test_who_looks_at_plates_is_recorded(city: Path) -> None:
    ask(city, "tickets-by-plate")
    with Desk(city / "desk.sqlite", create=False) as desk:
        assert desk.audited()[0]["what"] == "report tickets-by-plate"


def test_json_is_one_object_whatever_the_texts_hold(fill: Fill) -> None:
    odd = ['quote " and \\ back', "new\nline", "ünïcödé 😀", "", "null"]
    rows = [{"type": "ticket.issued", "time": "2026-05-01T10:00:00Z", "issuer_agency": text} for text in odd]
    data = fill(rows)
    text = invoke("report", "tickets-by-agency", "--data", str(data), "--format", "json").stdout
    assert {row["issuer_agency"] for row in json.loads(text)["rows"]} == set(odd)
