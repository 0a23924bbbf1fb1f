"""Lines to a citywatch as they are made: in batches, each until it is acknowledged."""

from __future__ import annotations

import json

import pytest

from citywatch.cli.posting import Posting
from citywatch.errors import CitywatchError, UsageError
from tests.unit.sender.city import City, closed_port, open_city
from tests.unit.sender.sent import event


def test_lines_go_in_batches_to_the_door_of_their_shape() -> None:
    with open_city() as city:
        with Posting(city.url, "", "") as posting:
            posting.post(event(n) for n in range(1200))
            posting.post([event(0)])
        assert [len(lines) for _, _, lines in city.requests] == [500, 500, 200, 1]
        assert str(posting.posted) == "1,200 events accepted, 1 known already, 0 rejected"
        with Posting(city.url, "prestacop", "") as other:
            other.post([json.dumps({"drone_id": 4})])
        assert city.requests[-1][0] == "/api/v1/ingest/prestacop"


def test_what_has_no_answer_is_sent_again_after_the_pause_that_is_asked_for() -> None:
    waited: list[float] = []
    busy = [(503, {}, b""), (429, {"Retry-After": "7"}, b""), (503, {}, b"")]
    with open_city(City(answers=list(busy))) as city, Posting(city.url, "", "", sleep=waited.append) as posting:
        posting.post([event(1)])
        assert list(city.kept) == ["1"]
    assert waited == [0.5, 7.0, 2.0]


def test_what_will_never_be_taken_is_an_error() -> None:
    def refused(city: City, why: str) -> None:
        with Posting(city.url, "", "mine", sleep=lambda _: None) as posting, pytest.raises(CitywatchError, match=why):
            posting.post([event(1)])

    with open_city(City(key="another")) as city:
        refused(city, "the API key is not known")
    with open_city(City(largest=10)) as city:
        refused(city, "this size")
    with open_city(City(answers=[(200, {}, b"<html>")] * 3)) as city:
        refused(city, "not that of a citywatch")
    with pytest.raises(UsageError, match="is no address"):
        Posting("city.example", "", "")


def test_an_address_where_nobody_listens_is_tried_again() -> None:
    class EnoughError(Exception):
        pass

    def once(seconds: float) -> None:
        raise EnoughError

    with Posting(closed_port(), "", "", sleep=once) as posting, pytest.raises(EnoughError):
        posting.post([event(1)])


def test_each_batch_of_rows_has_the_header_above_it() -> None:
    with open_city() as city, Posting(city.url, "nyc-tickets", "", header="a,b") as posting:
        posting.post(f"{n},x" for n in range(600))
    under_the_first = [(path, lines[0], len(lines)) for path, _, lines in city.requests]
    assert under_the_first == [
        ("/api/v1/ingest/nyc-tickets", "0,x", 500),
        ("/api/v1/ingest/nyc-tickets", "500,x", 100),
    ]
