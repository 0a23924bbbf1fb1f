"""A setting that is wrong is said with the place where it was given."""

from __future__ import annotations

from pathlib import Path

import pytest

from citywatch.errors import SettingError, UsageError
from citywatch.settings import DAY, MINUTE, Settings, duration


def problem(directory: Path, **overrides: str) -> str:
    with pytest.raises(UsageError if overrides else SettingError) as raised:
        Settings.load(directory, overrides)
    return str(raised.value)


def test_in_the_file_it_is_the_line(tmp_path: Path) -> None:
    file = tmp_path / "citywatch.toml"
    file.write_text('# ours\nzone = "Europe/Paris"\nlateness = "5x"\n\n[retention.events]\n"drone.position" = "x"\n')
    assert problem(tmp_path).startswith(f"{file}:3: setting lateness: '5x' is no duration")
    file.write_text('zone = "Europe/Paris"\n\n[retention.events]\n"drone.position" = "x"\n')
    assert problem(tmp_path).startswith(f"{file}:3: setting retention: ")
    file.write_text('zone = "Europe/Paris"\nlatenes = "5s"\n')
    assert problem(tmp_path).startswith(f"{file}:2: unknown setting 'latenes'")


@pytest.mark.parametrize("address", ["alerts.example.org", "https://alerts.example.org/city", "ftp://a"])
def test_the_address_of_the_console_is_that_of_a_site(tmp_path: Path, address: str) -> None:
    assert "write https://alerts.example.org" in problem(tmp_path, address=address)
    assert Settings.load(tmp_path, {"address": "https://a.example:8443/"}).address == "https://a.example:8443"


def test_elsewhere_it_is_the_name_that_was_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "citywatch.toml").write_text('lateness = "1m"\n')
    assert problem(tmp_path, lateness="5x").startswith("setting lateness: '5x' is no duration")
    monkeypatch.setenv("CITYWATCH_LATENESS", "5y")
    assert problem(tmp_path).startswith("CITYWATCH_LATENESS: '5y' is no duration")
    monkeypatch.setenv("CITYWATCH_LATENESS", "2m")
    assert Settings.load(tmp_path).lateness == 2 * MINUTE


@pytest.mark.parametrize("text", ["3652426d", f"{'9' * 30}w", f"{'9' * 5000}s"])
def test_a_span_is_not_longer_than_times_can_be_apart(text: str) -> None:
    assert duration("3652425d") == 3_652_425 * DAY
    with pytest.raises(ValueError, match=r"longer than ten thousand years|digits"):
        duration(text)


@pytest.mark.parametrize("zone", ["Mars/Base", "America", "", "../etc/passwd", "America/New_York'"])
def test_a_time_zone_that_there_is_not_is_refused_wherever_it_was_said(tmp_path: Path, zone: str) -> None:
    assert "write it like America/New_York" in problem(tmp_path, zone=zone)
    (tmp_path / "citywatch.toml").write_text(f'lateness = "5s"\nzone = "{zone}"\n')
    assert problem(tmp_path).startswith(f"{tmp_path / 'citywatch.toml'}:2: setting zone: there is no time zone")


def test_a_time_zone_is_a_text(tmp_path: Path) -> None:
    (tmp_path / "citywatch.toml").write_text("zone = 5\n")
    assert "there is no time zone 5" in problem(tmp_path)
