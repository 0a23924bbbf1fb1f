"""Images over HTTP: sent for violations, before or after them; looked at with the right and a purpose."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from citywatch.console import site
from citywatch.stores.desk import Desk
from citywatch.stores.directory import DataDirectory
from citywatch.stores.gallery import Gallery
from citywatch.stores.media import Media
from tests.console.conftest import Running, visitor
from tests.unit.stores.pictures import DOT, SECRET, picture

if TYPE_CHECKING:
    from django.test import Client

LIMIT = 100_000


@pytest.fixture
def gallery(desk: Desk) -> Iterator[Gallery]:
    """Beside the desk of this test."""
    opened = Gallery(DataDirectory(desk.path.parent), limit=LIMIT)
    site.install(replace(site.current(), gallery=opened))
    yield opened


def send(client: Client, image_id: str, content: bytes, **headers: str) -> Any:
    return client.put(f"/api/v1/media/{image_id}", content, "application/octet-stream", headers=headers)


def events(desk: Desk) -> list[dict[str, Any]]:
    return [json.loads(text) for _, text in desk.take_inbox()]


def test_an_image_is_kept_and_the_engine_learns_of_it(gallery: Gallery, desk: Desk) -> None:
    response = send(visitor(), "i1", picture())
    assert response.status_code == 202
    kept = gallery.find("i1")
    sizes = {"width": 64, "height": 48, "bytes": kept.size}
    assert response.json() == {"image_id": "i1", "type": "image/jpeg", **sizes}
    (event,) = events(desk)
    assert (event["type"], event["source"], event["id"]) == ("violation.image", "citywatch/media", "i1")
    assert event["data"]["image_id"] == "i1"


def test_the_same_image_again_changes_nothing(gallery: Gallery, desk: Desk) -> None:
    first, again = send(visitor(), "i1", picture()), send(visitor(), "i1", picture())
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json() == again.json()
    assert len(events(desk)) == 1


def test_what_was_kept_and_not_told_before_a_crash_is_told_when_it_is_sent_again(gallery: Gallery, desk: Desk) -> None:
    with Media(desk.path.parent / "media") as media:
        media.name("i1", media.keep(DOT), now=1_777_636_800_000_000)
    assert send(visitor(), "i1", DOT).status_code == 202
    assert [event["time"] for event in events(desk)] == ["2026-05-01T12:00:00.000000Z"]


def test_another_image_under_the_same_id_is_a_conflict(gallery: Gallery, desk: Desk) -> None:
    send(visitor(), "i1", DOT)
    response = send(visitor(), "i1", picture())
    assert response.status_code == 409
    assert response.headers["Content-Type"] == "application/problem+json"
    assert "with other content" in response.json()["detail"]
    assert gallery.find("i1").type == "image/png"


@pytest.mark.parametrize(
    ("content", "status"),
    [(b"no image", 415), (b"", 415), (picture()[:300], 415), (bytes(LIMIT + 1), 413)],
    ids=["words", "nothing", "cut off", "too large"],
)
def test_what_cannot_be_kept_is_refused(gallery: Gallery, desk: Desk, content: bytes, status: int) -> None:
    response = send(visitor(), "i1", content)
    assert (response.status_code, response.json()["status"]) == (status, status)
    assert events(desk) == []


def test_without_room_an_image_is_refused_before_anything_of_it_is_written(
    gallery: Gallery, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = picture()
    with monkeypatch.context() as full:
        full.setattr(DataDirectory, "free", lambda _: (2 * len(content) - 1, 1 << 28))
        response = send(visitor(), "i1", content)
    assert (response.status_code, response.json()["status"]) == (507, 507)
    assert response.headers["Content-Type"] == "application/problem+json"
    assert "nothing was accepted" in response.json()["detail"]
    assert events(desk) == []
    assert not (desk.path.parent / "media").exists()
    assert send(visitor(), "i1", content).status_code == 202


def test_the_type_is_that_of_the_content_whatever_was_said(gallery: Gallery) -> None:
    response = visitor().put("/api/v1/media/i1", DOT, "image/jpeg")
    assert response.json()["type"] == "image/png"


def test_an_id_may_have_any_characters_of_an_address(gallery: Gallery) -> None:
    assert send(visitor(), "cam/7/2026-05-01 12:00", DOT).status_code == 202
    assert gallery.known(["cam/7/2026-05-01 12:00"])


def test_an_image_needs_the_right_and_a_purpose_and_is_recorded(gallery: Gallery, desk: Desk, anna: Client) -> None:
    send(visitor(), "i1", picture())
    assert visitor().get("/api/v1/media/i1?purpose=x").status_code == 401
    assert anna.get("/api/v1/media/i1").status_code == 422
    for nothing in ("", "%20"):
        assert anna.get(f"/api/v1/media/i1?purpose={nothing}").status_code == 422
    response = anna.get("/api/v1/media/i1?purpose=answer a complaint")
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "image/jpeg"
    assert response.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert response.headers["Cache-Control"] == "no-store"
    assert SECRET.encode() not in response.content
    (entry,) = desk.audited()
    assert (entry["who"], entry["what"], entry["purpose"]) == ("anna", "image i1", "answer a complaint")


def test_somebody_who_may_only_read_alerts_sees_no_image(gallery: Gallery, desk: Desk) -> None:
    from citywatch.console.people import add_person

    send(visitor(), "i1", DOT)
    ben = visitor()
    ben.force_login(add_person("ben", []))
    assert ben.get("/api/v1/media/i1?purpose=x").status_code == 403
    assert desk.audited() == []


def test_an_image_that_is_not_here_is_not_found(gallery: Gallery, anna: Client) -> None:
    assert anna.get("/api/v1/media/i9?purpose=x").status_code == 404


def test_a_page_of_another_origin_sends_no_image(gallery: Gallery) -> None:
    assert send(visitor(), "i1", DOT, origin="https://evil.example").status_code == 403
    assert not gallery.known(["i1"])


def ask(running: Running, body: Any, headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=20)
    with closing(connection):
        connection.request("PUT", "/api/v1/media/i1", body, headers, encode_chunked="Transfer-Encoding" in headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())


def test_a_body_without_end_is_read_only_as_far_as_an_image_may_go(console: Running) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(400):
            sent += 1
            yield bytes(100_000)

    # It is cut off while it still sends; whether the answer is seen before that is for the system to say.
    with suppress(BrokenPipeError, ConnectionResetError):
        status, problem = ask(console, endless(), {"Transfer-Encoding": "chunked"})
        assert (status, problem["detail"]) == (413, "The body is larger than 10,000,000 bytes.")
    assert sent < 400
    with Media(console.desk.parent / "media") as media:
        assert media.totals() == (0, 0)


def test_a_body_that_says_it_is_too_large_is_not_read_at_all(console: Running) -> None:
    status, problem = ask(console, b"x", {"Content-Length": "99999999999"})
    assert status == 413
    assert problem["detail"] == "The body is larger than 10,000,000 bytes."


def test_a_running_console_takes_images(console: Running) -> None:
    status, kept = ask(console, picture(), {})
    assert (status, kept["type"]) == (202, "image/jpeg")
    with Media(console.desk.parent / "media") as media:
        assert media.known(["i1"])
