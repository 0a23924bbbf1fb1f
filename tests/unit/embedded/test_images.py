"""Images inside messages are put aside before the message is accepted; violations know whether theirs is here."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from citywatch.engine.embedded import Engine
from citywatch.engine.embedded.images import with_images
from citywatch.errors import DiskFullError
from citywatch.mappings.load import load_mappings, shipped
from citywatch.mappings.parse import Parser
from citywatch.records.chunk import Chunk, Format, Origin, Parsed, records_schema
from citywatch.rules.load import shipped as shipped_rules
from citywatch.settings import Settings
from citywatch.stores.directory import DataDirectory
from citywatch.stores.gallery import Gallery
from citywatch.stores.media import Media
from tests.unit.stores.pictures import DOT, picture

from .city import NO_RULES, alerts, rules, stored

DOT_ID = "a1abfd410973b0111c215baa879b9edcd739e601659ba44168269767cc2e9108"
TEXT = base64.b64encode(DOT).decode()
IN_IMAGE_DRONE = {"droneId": "d1", "long": -73.9, "lat": 40.7, "image": TEXT, "message": "57", "timestamp": 1777636800}


class Entry:
    """Parses messages as an engine does whose images are in a directory of the test."""

    def __init__(self, directory: Path) -> None:
        self.media = Media(directory)
        parser = Parser(Settings(), load_mappings([shipped()]))
        self._parse = with_images(parser.parse, self.media, DataDirectory(directory.parent).require_space)

    def parsed(self, *records: dict[str, Any] | str) -> Parsed:
        raw = [(r if isinstance(r, str) else json.dumps(r)).encode() for r in records]
        table = pa.table([list(range(1, len(raw) + 1)), raw], schema=records_schema())
        return self._parse(Chunk(Origin("messages.ndjson"), Format.JSON, table))

    def events(self, *records: dict[str, Any] | str) -> list[dict[str, Any]]:
        found = self.parsed(*records)
        assert not len(found.rejected)
        rows: list[dict[str, Any]] = found.events.select(["type", "image_id", "data", "fingerprint"]).to_pylist()
        return [{**row, "data": json.loads(row["data"])} for row in rows]


@pytest.fixture
def entry(tmp_path: Path) -> Entry:
    return Entry(tmp_path / "media")


def cloudevent(type_: str, id_: str = "1", **data: Any) -> dict[str, Any]:
    head = {"specversion": "1.0", "id": id_, "source": "drone/9", "type": type_, "time": "2026-05-01T12:00:00Z"}
    return {**head, "data": data}


RECORD_DRONE = {"id": 5, "date": 1777636800000, "coordinate": {"latitude": 40.7, "longitude": -73.9}, "battery": 50}
STAT_DRONE = {"drone_id": 4, "stat_message": 1, "drone_latitude": 40.7, "drone_longitude": -73.9, "time": 1777636800}


@pytest.mark.parametrize(
    "message",
    [
        IN_IMAGE_DRONE,
        {**IN_IMAGE_DRONE, "image": f"data:image/png;base64,{TEXT}"},
        {**RECORD_DRONE, "alert": {"code": 2, "label": "x", "imgByteString": TEXT}},
        {**STAT_DRONE, "battery": 9, "temperature": 14, "violation_code": 1, "image": TEXT},
        cloudevent("drone.violation", violation_code=46, image=TEXT),
        cloudevent("violation.image", image=TEXT),
        json.dumps(IN_IMAGE_DRONE).replace("/", "\\/"),
    ],
    ids=["image-drone", "data address", "record-drone", "stat-drone", "violation", "image event", "escaped slashes"],
)
def test_an_image_inside_a_message_is_put_aside(entry: Entry, message: dict[str, Any]) -> None:
    (event,) = entry.events(message)
    assert event["image_id"] == event["data"]["image_id"] == DOT_ID
    assert TEXT[:20] not in json.dumps(event["data"])
    kept = entry.media.find(DOT_ID)
    assert kept is not None
    assert kept.type == "image/png"


def test_an_image_event_gives_its_image_the_id_that_it_names(entry: Entry) -> None:
    (event,) = entry.events(cloudevent("violation.image", image_id="i7", image=TEXT))
    assert (event["image_id"], event["data"]["image"]) == ("i7", DOT_ID)
    assert entry.media.find("i7") == entry.media.find(DOT_ID)


def test_an_id_that_means_another_image_stays_and_nothing_is_lost(entry: Entry) -> None:
    other = base64.b64encode(picture()).decode()
    first, second = entry.events(
        cloudevent("violation.image", image_id="i7", image=TEXT),
        cloudevent("violation.image", "2", image_id="i7", image=other),
    )
    assert first["image_id"] == second["image_id"] == "i7"
    assert entry.media.find("i7") == entry.media.find(DOT_ID)
    assert entry.media.find(second["data"]["image"]) is not None


PAYLOAD = {"specversion": "1.0", "id": "1", "source": "drone/9", "time": "2026-05-01T12:00:00Z", "data_base64": TEXT}


@pytest.mark.parametrize(
    ("type_", "subject", "image_id"),
    [("violation.image", "i7", "i7"), ("violation.image", None, DOT_ID), ("drone.violation", "K1", DOT_ID)],
    ids=["named by its subject", "without a name", "of a violation"],
)
def test_a_payload_that_is_an_image_is_put_aside(entry: Entry, type_: str, subject: str | None, image_id: str) -> None:
    message = {**PAYLOAD, "type": type_, "datacontenttype": "image/png", **({"subject": subject} if subject else {})}
    parsed = entry.parsed(message)
    (event,) = parsed.events.to_pylist()
    assert (event["image_id"], event["subject"]) == (image_id, subject)
    known = {"image_known": True} if type_ == "drone.violation" else {}
    assert json.loads(event["data"]) == {**known, "image_id": image_id, "image": DOT_ID}
    assert json.loads(event["extensions"]) == {"datacontenttype": "application/json"}
    assert entry.media.find(image_id) == entry.media.find(DOT_ID) is not None
    assert entry.parsed(message).events["fingerprint"].equals(parsed.events["fingerprint"])


@pytest.mark.parametrize(
    "message",
    [
        {**PAYLOAD, "type": "drone.violation", "data_base64": "AP8="},
        {**PAYLOAD, "type": "drone.violation", "data_base64": base64.b64encode(DOT[:30]).decode()},
    ],
    ids=["other bytes", "half an image"],
)
def test_a_payload_that_is_no_image_stays(entry: Entry, message: dict[str, Any]) -> None:
    (event,) = entry.parsed(message).events.to_pylist()
    assert json.loads(event["extensions"])["data_base64"] == message["data_base64"]
    assert entry.media.totals() == (0, 0)


def test_an_event_with_an_image_as_payload_that_is_wrong_otherwise_is_still_refused(entry: Entry) -> None:
    message = json.dumps({**PAYLOAD, "type": "drone.violation", "time": "yesterday"})
    assert len(entry.parsed(message, message.replace('"id": "1"', '"id": ""')).rejected) == 2


@pytest.mark.parametrize("text", [TEXT[:40], "/9j/4AAQ not base64", "UklGRg=="], ids=["cut off", "words", "no image"])
def test_what_is_no_image_stays_in_its_message(entry: Entry, text: str) -> None:
    (event,) = entry.events(cloudevent("drone.violation", violation_code=46, image_id="i1", image=text))
    assert event["data"]["image"] == text
    assert entry.media.totals() == (0, 0)


def test_a_violation_whose_image_came_before_it_says_so(entry: Entry) -> None:
    violation = cloudevent("drone.violation", violation_code=46, image_id="i1")
    (waiting,) = entry.events(violation)
    assert "image_known" not in waiting["data"]
    entry.media.name("i1", entry.media.keep(DOT))
    (served,) = entry.events(violation)
    assert served["data"]["image_known"] is True
    # What came again is still known as what came before.
    assert served["fingerprint"] == waiting["fingerprint"]


@pytest.mark.parametrize("data", [TEXT, [TEXT], f"data:image/png;base64,{TEXT}"])
def test_an_image_in_data_that_are_no_object_leaves_them_what_they_are(entry: Entry, data: str | list[str]) -> None:
    for _ in ("unknown", "known"):
        (event,) = entry.events({**cloudevent("drone.violation"), "data": data})
        assert event["data"] == ([DOT_ID] if isinstance(data, list) else DOT_ID)
        assert event["image_id"] == DOT_ID


def test_the_id_of_a_message_does_not_depend_on_what_is_kept_already(entry: Entry) -> None:
    ids = [entry.parsed(IN_IMAGE_DRONE).events["id"].to_pylist() for _ in range(2)]
    assert ids[0] == ids[1]


def test_a_refused_message_leaves_its_image_where_a_replay_finds_it(entry: Entry) -> None:
    refused = entry.parsed({**IN_IMAGE_DRONE, "lat": 200}).rejected.to_pylist()
    assert DOT_ID.encode() in refused[0]["raw"]
    (event,) = entry.events(refused[0]["raw"].decode().replace("200", "40.7"))
    assert event["image_id"] == DOT_ID


def test_messages_without_images_stay_as_they_are_and_cost_no_file(entry: Entry, tmp_path: Path) -> None:
    (event,) = entry.events(cloudevent("drone.violation", violation_code=46, note="/9j and iVBORw0KGgo are no images"))
    assert event["data"]["note"] == "/9j and iVBORw0KGgo are no images"
    assert not (tmp_path / "media").exists()


def test_a_message_of_many_megabytes_is_read_at_once(entry: Entry) -> None:
    (event,) = entry.events(cloudevent("drone.violation", violation_code=46, image="/9j/" * 500_000))
    assert len(event["data"]["image"]) == 2_000_000


def test_without_room_an_image_in_a_message_is_refused_before_anything_of_it_is_written(
    entry: Entry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry.events(cloudevent("violation.image", image=TEXT))
    before = files(tmp_path / "media")
    message = cloudevent("violation.image", "2", image=base64.b64encode(picture()).decode())
    with monkeypatch.context() as full:
        full.setattr(DataDirectory, "free", lambda _: (2 * len(picture()) - 1, 1 << 28))
        for _ in range(2):
            with pytest.raises(DiskFullError, match="nothing was accepted"):
                entry.parsed(message)
        assert files(tmp_path / "media") == before
        assert entry.events(cloudevent("drone.violation", violation_code=46))  # there is room for a message without
        assert entry.media.totals()[0] == 1
        full.setattr(DataDirectory, "free", lambda _: (2 * len(picture()), 1 << 28))
        entry.events(message)
    assert entry.media.totals()[0] == 2


def files(directory: Path) -> dict[str, int]:
    """The files below with their sizes, without the index, whose journal also grows when it is read."""
    found = [path for path in directory.rglob("*") if path.is_file() and not path.name.startswith("index.sqlite")]
    return {str(path.relative_to(directory)): path.stat().st_size for path in found}


def test_messages_of_several_shapes_may_be_mixed(entry: Entry) -> None:
    kinds = [event["type"] for event in entry.events(IN_IMAGE_DRONE, cloudevent("violation.image", image=TEXT))]
    assert kinds == ["drone.violation", "violation.image"]


def test_an_image_that_was_sent_reaches_the_engine_as_an_event_once(tmp_path: Path) -> None:
    gallery = Gallery(DataDirectory(tmp_path))
    parse = with_images(Parser(Settings()).parse, Media(tmp_path / "media"), DataDirectory(tmp_path).require_space)
    with Engine(tmp_path, NO_RULES, Settings()) as engine:
        for _ in range(2):
            gallery.receive("i1", DOT)
            engine.take_inbox(parse)
    assert stored(tmp_path, "type, source, id, image_id") == [("violation.image", "citywatch/media", "i1", "i1")]


MISSING = (shipped_rules() / "image_missing.yaml").read_text("utf-8")


@pytest.mark.parametrize("sent", ["before", "inside", "after", "never"])
def test_only_an_image_that_never_comes_is_missing(tmp_path: Path, sent: str) -> None:
    ruleset = rules(tmp_path / "rules", MISSING)
    media = Media(tmp_path / "data" / "media")
    parse = with_images(Parser(Settings()).parse, media, DataDirectory(tmp_path).require_space)
    if sent == "before":
        media.name("i1", media.keep(DOT))
    inside = {"image": TEXT} if sent == "inside" else {}
    violation = cloudevent("drone.violation", image_id="i1", violation_code=46, **inside)
    image = {**cloudevent("violation.image", "2", image_id="i1"), "time": "2026-05-01T12:01:00Z"}
    last = {**cloudevent("drone.position", "3"), "time": "2026-05-01T12:20:00Z"}
    happened = [violation, *([image] if sent == "after" else []), last]
    raw = [json.dumps(record).encode() for record in happened]
    table = pa.table([list(range(1, len(raw) + 1)), raw], schema=records_schema())
    with Engine(tmp_path / "data", ruleset, Settings()) as engine:
        engine.run_parsed([parse(Chunk(Origin("day.ndjson"), Format.JSON, table))])
    found = alerts(tmp_path / "data")
    assert [alert["group"] for alert in found] == ([{"image_id": "i1"}] if sent == "never" else [])
