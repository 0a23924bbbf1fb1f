"""What a person sees who starts the demo: within a minute alerts of many kinds, one that needs them, with its image."""

from __future__ import annotations

import io
import json
import re
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.console.test_up import CITYWATCH, Starter, Up

PATIENCE = 240.0
"""Seconds: the city takes one minute, a machine that is busy with other tests several."""


class Visitor:
    """Somebody with a browser, from the link that `up` printed on."""

    def __init__(self, port: int, link: str) -> None:
        self._base = f"http://127.0.0.1:{port}"
        self._open = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar())).open
        self.get(link)

    def get(self, path: str, form: dict[str, str] | None = None) -> tuple[int, str, bytes]:
        """Status, media type and content; with a form, of what it is answered."""
        body = urllib.parse.urlencode(form).encode() if form else None
        try:
            with self._open(self._base + path, body, 30) as answer:
                return answer.status, answer.headers.get_content_type(), answer.read()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, refused.headers.get_content_type(), refused.read()

    def page(self, path: str) -> str:
        """The text of a page."""
        status, kind, content = self.get(path)
        assert (status, kind) == (200, "text/html")
        return content.decode()

    def submit(self, page: str, form: str, **fields: str) -> tuple[int, str, bytes]:
        """What is answered to a form of the page, filled in."""
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', self.page(page))
        assert token is not None
        return self.get(form, {**fields, "csrfmiddlewaretoken": token[1]})


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Up]:
    """The demo, as `make run` starts it."""
    starter = Starter(tmp_path)
    yield starter("--demo")
    for up in starter.started:
        up.end()
        assert "Traceback" not in "".join(up.said)


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[dict[str, Any]]]:
    """citywatch in another terminal, which finds the running demo by itself; its lines of JSON."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("CITYWATCH_DATA", raising=False)

    def run(*words: str) -> list[dict[str, Any]]:
        done = subprocess.run([CITYWATCH, *words], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    return run


def within(deadline: float, look: Callable[[], Any], up: Up) -> Any:
    """What `look` finds in the end; it has to before the deadline."""
    while not (found := look()):
        assert up.process.poll() is None, "".join(up.said)
        assert time.monotonic() < deadline, "".join([*up.said, *up.printed])
        time.sleep(0.5)
    return found


def test_after_a_minute_there_are_eight_kinds_an_image_and_a_correction_to_try(
    demo: Up, cli: Callable[..., list[dict[str, Any]]]
) -> None:
    deadline = time.monotonic() + PATIENCE
    visitor = Visitor(*demo.address())

    def kinds() -> set[str]:
        """Titles that the page shows: those of rules that call somebody."""
        return set(re.findall(r"<strong>([^<]+)</strong>", visitor.page("/")))

    def unseen() -> str | None:
        """The latest alert that waits for a human who looks at its image."""
        waiting = cli("alerts", "list", "--rule", "needs_human", "--state", "open", "--format", "ndjson")
        pages = [(alert["id"], visitor.page(f"/alerts/{alert['id']}")) for alert in reversed(waiting)]
        return next((id_ for id_, page in pages if "The image is hidden" in page), None)

    within(deadline, lambda: len(kinds()) >= 8, demo)
    assert len({a["rule"] for a in cli("alerts", "list", "--format", "ndjson") if a["status"] == "stable"}) >= 8
    alert = within(deadline, unseen, demo)

    page, image = f"/alerts/{alert}", f"/alerts/{alert}/images/1"
    assert "Correct and close" in visitor.page(page)
    assert visitor.get(image)[0] == 403
    assert visitor.submit(page, f"{page}/reveal", purpose="check for a mistake")[0] == 200
    status, kind, content = visitor.get(image)
    assert (status, kind) == (200, "image/jpeg")
    with Image.open(io.BytesIO(content)) as shot:
        assert shot.width >= 640
        assert shot.height >= 360

    cli("alerts", "correct", alert[:12], "--code", "46")
    (closed,) = cli("alerts", "show", alert, "--format", "ndjson")
    assert (closed["state"], closed["outcome"]) == ("closed", "corrected")
    assert "closed: corrected" in visitor.page(page)

    def corrected() -> list[dict[str, Any]]:
        events = cli("events", "--type", "violation.corrected", "--format", "ndjson")
        return [e["data"] for e in events if e["data"]["corrects_id"] == closed["evidence"][0]["id"]]

    (said,) = within(deadline, corrected, demo)
    assert said["violation_code"] == 46
    demo.stop()
    assert demo.process.returncode == 0
