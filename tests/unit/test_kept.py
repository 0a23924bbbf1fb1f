"""What the doctor says about retention and the key of the pseudonyms."""

from __future__ import annotations

from pathlib import Path

import pytest

from citywatch.cli.kept import key_problems, retention_in_words
from citywatch.errors import SettingError
from citywatch.settings import DAY, HOUR, Retention, Settings


def test_retention_is_told_in_words() -> None:
    assert retention_in_words(Retention()) == "kept: everything, for ever"
    table = {"alerts": "2w", "events": {"*": "for ever", "anpr.read": "12h", "drone.*": "30d"}}
    words = "kept: events anpr.read 12h; events drone.* 30d; events * for ever; alerts 14d"
    assert retention_in_words(Retention.of(table)) == words


def test_the_most_exact_pattern_comes_first() -> None:
    spans = Retention.of({"events": {"*": "3d", "drone.*": "2d", "drone.violation": "1d", "drone.sub.*": "5h"}}).events
    assert spans == (("drone.violation", DAY), ("drone.sub.*", 5 * HOUR), ("drone.*", 2 * DAY), ("*", 3 * DAY))
    assert Retention.of({"events": "3d"}).events == (("*", 3 * DAY),)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[retention]\nalert = "3d"', "unknown kind of data 'alert'"),
        ('[retention]\nalerts = "soon"', "'soon' is no duration"),
        ('[retention]\nalerts = "0s"', "no time at all"),
        ("[retention]\nalerts = 30", "has no unit"),
        ('[retention.events]\n"dr*ne" = "3d"', "is no type of event"),
        ('retention = "3d"', "setting retention"),
    ],
)
def test_what_is_no_retention_is_refused_with_its_file(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "citywatch.toml").write_text(text)
    with pytest.raises(SettingError, match=problem) as raised:
        Settings.load(tmp_path)
    assert "citywatch.toml" in str(raised.value)


def test_retention_can_stand_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CITYWATCH_RETENTION", '{audit = "1d"}')
    assert Settings.load(tmp_path).retention == Retention(audit=DAY)


def test_a_key_that_others_may_read_or_that_is_cut_is_bad(tmp_path: Path) -> None:
    key = tmp_path / "pseudonyms.key"
    assert list(key_problems(key)) == []
    key.write_bytes(b"k" * 32)
    key.chmod(0o600)
    assert list(key_problems(key)) == []
    key.chmod(0o644)
    key.write_bytes(b"k")
    [cut, open_] = key_problems(key)
    assert "has 1 bytes instead of 32" in cut[0]
    assert "chmod 600" in open_[1]
