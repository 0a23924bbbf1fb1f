"""Whenever the power goes, nothing that was acknowledged is lost, nothing is doubled, and the alerts are the same."""

from __future__ import annotations

import random
import signal
import sqlite3
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from citywatch.stores.directory import DataDirectory
from citywatch.stores.history import Manifest
from tests.e2e import scenario
from tests.e2e.forks import FORKS
from tests.e2e.scenario import City


def start(kind: str, where: City, at: int = -1, *, torn: bool = False) -> Any:
    """Run a scenario in a process of its own."""
    process = FORKS.Process(target=scenario.process, args=(kind, where, at, torn))
    process.start()
    return process


def run(kind: str, where: City, at: int = -1, *, torn: bool = False) -> int:
    """Run a scenario in a process of its own to its end; its exit code."""
    process = start(kind, where, at, torn=torn)
    process.join(120)
    assert process.exitcode is not None
    return int(process.exitcode)


def told(where: City) -> list[str]:
    return where.acknowledged.read_text().splitlines() if where.acknowledged.exists() else []


def city(directory: Path) -> City:
    rules = directory / "rules"
    rules.mkdir(parents=True)
    (rules / "rules.yaml").write_text(scenario.RULES, "utf-8")
    return City(directory / "data", rules, directory / "acknowledged", directory / "trace")


@pytest.fixture(scope="module", params=["live", "bounded"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Reference(NamedTuple):
    alerts: list[dict[str, Any]]
    events: list[tuple[Any, ...]]
    moments: list[str]
    writes: int


@pytest.fixture(scope="module")
def reference(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """What a run without a power cut leaves, and the moments at which it can be cut."""
    whole = city(tmp_path_factory.mktemp("whole") / kind)
    assert run(kind, whole, at=0) == 0
    trace = whole.trace.read_text().splitlines()
    moments = [moment for moment in trace if moment != "write"]
    return Reference(scenario.alerts(whole.data), scenario.events(whole.data), moments, trace.count("write"))


def check_whole(cut: City, reference: Reference) -> None:
    found = scenario.events(cut.data)
    assert Counter(event[:2] for event in found).most_common(1)[0][1] == 1, "an event is doubled"
    assert found == reference.events
    assert scenario.alerts(cut.data) == reference.alerts
    with sqlite3.connect(cut.data / "desk.sqlite") as desk:
        assert desk.execute("SELECT count(*) FROM rejected").fetchone() == (scenario.BATCHES,)


def check_acknowledged(cut: City) -> None:
    """Before anything is sent again: what was acknowledged before the cut is there."""
    if not DataDirectory(cut.data).exists():
        assert told(cut) == []
        return
    known = {(event[0], event[1]) for event in scenario.events(cut.data)}
    for line in told(cut):
        for n in range(20):
            assert ("camera", str(int(line.split()[0]) * 20 + n)) in known


def test_the_run_has_moments_of_every_kind(reference: Reference, kind: str) -> None:
    assert {"fsync", "replace", "commit desk", "commit engine"} <= set(reference.moments)
    assert len(reference.alerts) > 10
    assert {alert["rule"] for alert in reference.alerts} == {"plate_read", "three_reads", "gone"}
    assert any(alert["outcome"] == "corrected" for alert in reference.alerts)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", range(4))
def test_a_kill_after_every_fsync_rename_and_commit(part: int, kind: str, reference: Reference, tmp_path: Path) -> None:
    for at in range(1 + part, len(reference.moments) + 1, 4):
        cut = city(tmp_path / str(at))
        code = run(kind, cut, at)
        assert code in (-signal.SIGKILL, 0)  # threads do not always reach the same number of moments
        if kind == "live":
            check_acknowledged(cut)
        assert run(kind, cut) == 0
        check_whole(cut, reference)


@pytest.mark.parametrize("share", [0.1, 0.4, 0.7, 1.0])
def test_a_write_torn_in_the_middle(share: float, kind: str, reference: Reference, tmp_path: Path) -> None:
    cut = city(tmp_path / "city")
    assert run(kind, cut, max(1, int(share * reference.writes)), torn=True) == -signal.SIGKILL
    assert run(kind, cut) == 0
    check_whole(cut, reference)


@pytest.mark.parametrize("seed", range(4))
def test_kills_at_random_again_and_again(seed: int, kind: str, reference: Reference, tmp_path: Path) -> None:
    chance = random.Random(seed)  # noqa: S311 - repeatable on purpose
    cut = city(tmp_path / "city")
    for _ in range(5):
        process = start(kind, cut)
        time.sleep(chance.uniform(0.05, 1.2))
        process.kill()
        process.join()
    assert run(kind, cut) == 0
    check_whole(cut, reference)


def test_history_is_published_and_identities_are_in_files(reference: Reference, tmp_path: Path) -> None:
    """The scenario reaches the paths that it means to cut."""
    whole = city(tmp_path / "city")
    assert run("live", whole) == 0
    assert Manifest.read(whole.data / "history").seq > 0
    assert list((whole.data / "identity").glob("*.run"))
