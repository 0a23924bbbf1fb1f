"""What is said on stderr: words for people, or JSON for what collects logs; the same for libraries."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from citywatch.cli.log import VARIABLE, say, use
from citywatch.errors import SettingError
from citywatch.settings import Settings


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    root = logging.getLogger()
    handlers = list(root.handlers)
    monkeypatch.delenv(VARIABLE, raising=False)
    yield
    root.handlers = handlers


def test_words_are_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    use("text")
    say("rules loaded again")
    assert capsys.readouterr().err == "citywatch: rules loaded again\n"


def test_json_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    use("json")
    say("two\nlines, é")
    logging.getLogger("uvicorn.error").warning("a door %s", "jams")
    try:
        int("boom")
    except ValueError:
        logging.getLogger("citywatch.somewhere").exception("a request failed")
    first, second, third = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert (first["level"], first["from"], first["message"]) == ("info", "citywatch", "two\nlines, é")
    assert datetime.fromisoformat(first["time"]).utcoffset() is not None
    assert (second["level"], second["from"], second["message"]) == ("warning", "uvicorn.error", "a door jams")
    assert "ValueError: invalid literal" in third["trace"]


def test_the_form_is_a_setting(tmp_path: Path) -> None:
    assert Settings.load(tmp_path).log == "text"
    (tmp_path / "citywatch.toml").write_text('log = "json"\n')
    assert Settings.load(tmp_path).log == "json"
    (tmp_path / "citywatch.toml").write_text('log = "xml"\n')
    with pytest.raises(SettingError, match="neither text nor json"):
        Settings.load(tmp_path)


def test_an_error_of_a_command_has_that_form_too(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-c",
        "from citywatch.cli import main; main()",
        "compact",
        "--data",
        str(tmp_path / "no"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, VARIABLE: "json"})
    assert done.returncode == 1
    said = json.loads(done.stderr)
    assert said["level"] == "error"
    assert "is no data directory" in said["message"]
