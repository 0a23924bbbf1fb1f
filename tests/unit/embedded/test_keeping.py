"""Compacting, expiring and backing up beside a running engine, and without one."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from citywatch.alert import Action
from citywatch.cli import cli
from citywatch.engine.embedded import Engine, upkeep
from citywatch.engine.embedded.keeping import Keeping, alone
from citywatch.errors import DataDirectoryBusyError, StoreError
from citywatch.mappings.parse import Parser
from citywatch.records.chunk import Parsed
from citywatch.rules.model import Ruleset
from citywatch.settings import DAY, Retention, Settings
from citywatch.stores import compaction
from citywatch.stores.backup import restore_backup, write_backup
from citywatch.stores.compaction import Compactor
from citywatch.stores.desk import Desk
from citywatch.stores.directory import DataDirectory
from citywatch.stores.history import Manifest
from citywatch.triage import Wish

from .city import PLATES, THREE, File, alerts, chunk, engine, event, micros, parsed, rules, run, stored

EVENTS = 600
CUT = 20


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "_EVERY_S", 0.02)
    monkeypatch.setattr(compaction, "DAY_ROWS", 3)


@pytest.fixture
def ruleset(tmp_path: Path) -> Ruleset:
    return rules(tmp_path / "rules", PLATES, THREE)


def day(first: int = 0, last: int = EVENTS) -> list[str]:
    """Reads of forty plates, one every two seconds; every hundredth text is broken."""
    return [event(n, 2 * n, plate=f"K{n * 7 % 40}") if n % 100 else f"broken {n}" for n in range(first, last)]


def facts(data: Path) -> list[tuple[Any, ...]]:
    return [(a["id"], a["first_seen"], a["last_seen"], a["count"], json.dumps(a["evidence"])) for a in alerts(data)]


def asked(data: Path, what: str, **how: Any) -> dict[str, Any]:
    """Ask the engine that runs, and wait."""
    with Desk(data / "desk.sqlite") as desk:
        request = desk.ask(what, how)
        deadline = time.monotonic() + 60
        while (answer := desk.take_answer(request)) is None:
            assert time.monotonic() < deadline, "the engine has not answered"
            time.sleep(0.01)
    assert "error" not in answer, answer
    done: dict[str, Any] = answer["done"]
    return done


def batches() -> Callable[[int], Parsed]:
    """Number of the first text -> a batch of the day."""
    parser = Parser(Settings())
    return lambda start: parser.parse(chunk(day(start, start + CUT)))


def feed(host: Engine, stop: threading.Event, sent: list[int]) -> None:
    """Submit the day in small batches until told to stop."""
    parse = batches()
    for start in range(0, EVENTS, CUT):
        if stop.is_set():
            return
        host.submit(parse(start))
        sent.append(start + CUT)


def backed_up(tmp_path: Path, ruleset: Ruleset, *, after: int) -> tuple[Path, int]:
    """A backup made while events come in, and how many texts were sent in all before the engine was stopped."""
    data, stop, sent = tmp_path / "live", threading.Event(), [0]
    with engine(data, ruleset) as host:
        sending = threading.Thread(target=feed, args=(host, stop, sent))
        sending.start()
        while sent[-1] < after:
            time.sleep(0.001)
        snapshot = Path(asked(data, "snapshot", name="one")["path"])
        stop.set()
        sending.join()
        write_backup(snapshot, tmp_path / "backup")
    return tmp_path / "backup", sent[-1]


@pytest.mark.parametrize("after", [0, 80, 320])
def test_a_backup_made_while_events_come_in_goes_on_elsewhere_without_loss_or_doubling(
    tmp_path: Path, ruleset: Ruleset, after: int
) -> None:
    backup, sent = backed_up(tmp_path, ruleset, after=after)
    restored, oracle = tmp_path / "restored", tmp_path / "oracle"
    found = restore_backup(backup, restored)
    held = stored(restored, "seq, id")
    assert [seq for seq, _ in held] == list(range(1, len(held) + 1))
    assert after * 0.95 <= len(held) <= sent
    with Desk(restored / "desk.sqlite") as desk:
        rejected = desk.rejected_count()
    assert len(held) + rejected == found.events + found.rejected, "what was accepted, and no more, is in it"
    with engine(restored, ruleset) as host:  # the sender does not know what had arrived: it sends everything again
        parse = batches()
        for start in range(0, EVENTS, CUT):
            host.submit(parse(start))
        host.drain()
        status = host.status()
    run(oracle, *day(), ruleset=ruleset)
    assert sorted(stored(restored)) == sorted(stored(oracle))
    assert facts(restored) == facts(oracle)
    assert status["counts"]["events"] == len(stored(oracle))


def test_a_backup_has_what_people_did_and_the_keys_and_settings(tmp_path: Path, ruleset: Ruleset) -> None:
    data, restored = tmp_path / "data", tmp_path / "restored"
    run(data, *day(0, 50), ruleset=ruleset)
    (data / "pseudonyms.key").write_bytes(b"k" * 32)
    (data / "pseudonyms.key").chmod(0o600)
    (data / "citywatch.toml").write_text('live = "2d"\n')
    for name in ("rules/own.yaml", "mappings/own.yaml", "secrets/mail", "routes.yaml", "devices.csv", "door.json"):
        (data / name).parent.mkdir(exist_ok=True)
        (data / name).write_text(name)
    with Desk(data / "desk.sqlite") as desk:
        first = alerts(data)[0]["id"]
        desk.act(first, Wish(Action.ACK, "kim", "cli"))
        desk.audit("kim", "looked")
    with alone(DataDirectory(data), Settings()) as keeping:
        write_backup(Path(keeping.snapshot(name="one")["path"]), tmp_path / "backup")
    restore_backup(tmp_path / "backup", restored)
    assert (restored / "pseudonyms.key").read_bytes() == b"k" * 32
    assert (restored / "pseudonyms.key").stat().st_mode & 0o777 == 0o600
    assert (restored / "citywatch.toml").read_text() == 'live = "2d"\n'
    for name in ("rules/own.yaml", "mappings/own.yaml", "secrets/mail", "routes.yaml", "devices.csv"):
        assert (restored / name).read_text() == name
    assert not (restored / "door.json").exists(), "where the engine of another place listens"
    with Desk(restored / "desk.sqlite") as desk:
        assert desk.alert(first).alert["state"] == "acknowledged"
        assert desk.audited()[0]["what"] == "looked"
    assert not list(restored.glob("tmp/*"))


def test_a_backup_that_was_damaged_is_refused_and_leaves_nothing_behind(tmp_path: Path, ruleset: Ruleset) -> None:
    data, backup = tmp_path / "data", tmp_path / "backup"
    run(data, *day(0, 50), ruleset=ruleset)
    with alone(DataDirectory(data), Settings()) as keeping:
        write_backup(Path(keeping.snapshot(name="one")["path"]), backup)
    segment = next(backup.glob("log/*.parquet"))
    whole = segment.read_bytes()
    segment.write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
    with pytest.raises(StoreError, match=rf"{segment.name} is damaged"):
        restore_backup(backup, tmp_path / "restored")
    segment.write_bytes(whole[:-1])
    with pytest.raises(StoreError, match="bytes instead of"):
        restore_backup(backup, tmp_path / "restored")
    segment.unlink()
    with pytest.raises(StoreError, match="is missing"):
        restore_backup(backup, tmp_path / "restored")
    with pytest.raises(StoreError, match="is no backup"):
        restore_backup(data, tmp_path / "restored")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backup", "data", "rules"]


def test_a_backup_never_overwrites(tmp_path: Path) -> None:
    data = tmp_path / "data"
    run(data, *day(0, 5))
    with alone(DataDirectory(data), Settings()) as keeping:
        snapshot = Path(keeping.snapshot(name="one")["path"])
    write_backup(snapshot, tmp_path / "backup")
    with pytest.raises(StoreError, match="already there"):
        write_backup(snapshot, tmp_path / "backup")
    with pytest.raises(StoreError, match="not empty"):
        restore_backup(tmp_path / "backup", data)


def test_nobody_works_on_the_stores_beside_an_engine(tmp_path: Path) -> None:
    with engine(tmp_path), pytest.raises(DataDirectoryBusyError), alone(DataDirectory(tmp_path), Settings()):
        raise AssertionError


def test_an_engine_that_is_asked_for_the_impossible_says_so_and_goes_on(tmp_path: Path) -> None:
    with engine(tmp_path) as host, Desk(tmp_path / "desk.sqlite") as desk:
        request = desk.ask("dance")
        while (answer := desk.take_answer(request)) is None:
            time.sleep(0.01)
        assert "dance" in answer["error"]
        host.submit(parsed([event(1, 0)]))
        host.check()


def test_compacting_makes_one_file_a_day_and_changes_no_event(tmp_path: Path, ruleset: Ruleset) -> None:
    data = tmp_path / "data"
    with engine(data, ruleset) as host:
        parse = batches()
        for start in range(0, 400, CUT):
            host.submit(parse(start))
        before = stored(data, "seq, id, plate")
        done = asked(data, "compact")
        assert stored(data, "seq, id, plate") == before
        host.submit(parsed(day(400, 410)))
    assert done["before"]["events"] == done["after"]["events"] == 396
    assert done["after"]["files"] == 1
    run(data, *day(0, 410), ruleset=ruleset)
    assert len(stored(data)) == 405


# Retention. START is 2026-01-05T12:00Z; events are two seconds apart.

NOW = micros(0) + 30 * DAY


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Path]:
    """Reads of January, and a few of December, with alerts for three plates; without an engine."""
    data = tmp_path / "data"
    texts = [event(n, 2 * n, plate=f"K{n % 3}") for n in range(30)]
    texts += [event(f"old{n}", -20 * 86_400 + n, plate=None) for n in range(10)]
    run(data, *texts, ruleset=rules(tmp_path / "rules", THREE))
    yield data


def expire(data: Path, *, dry_run: bool = False, now: int = NOW, **kinds: Any) -> dict[str, Any]:
    with alone(DataDirectory(data), Settings(retention=Retention.of(kinds))) as keeping:
        return keeping.expire(dry_run=dry_run, now=now)


def test_only_what_is_older_than_its_retention_goes(kept: Path) -> None:
    before = stored(kept)
    assert expire(kept, events="60d") == {"events": {}}
    assert expire(kept, events={"anpr.read": "40d"}, dry_run=True) == {"events": {"anpr.read": 10}}
    assert stored(kept) == before
    assert expire(kept, events={"anpr.*": "40d", "camera.event": "1d"}) == {"events": {"anpr.read": 10}}
    assert stored(kept) == [id_ for id_ in before if not id_.startswith("old")]
    assert expire(kept, events="40d") == {"events": {}}


def test_evidence_of_an_open_alert_stays_until_the_alert_is_closed(kept: Path) -> None:
    needed = {evidence["id"] for alert in alerts(kept) for evidence in alert["evidence"]}
    assert 0 < len(needed) < 30
    assert expire(kept, events="1d") == {"events": {"anpr.read": 40 - len(needed)}}
    assert set(stored(kept)) == needed
    with Desk(kept / "desk.sqlite") as desk:
        closed = alerts(kept)[0]
        desk.act(closed["id"], Wish(Action.CLOSE, "kim", "cli", outcome="true_positive"))
    expire(kept, events="1d")
    assert set(stored(kept)) == needed - {evidence["id"] for evidence in closed["evidence"]}


def test_an_expired_event_sent_again_is_refused_and_its_identity_is_forgotten(kept: Path) -> None:
    retention = Retention.of({"events": "40d"})
    expire(kept, events="40d")
    settings = Settings(retention=retention)
    with engine(kept, settings=settings) as host:
        assert len(host.identities) == 30
        parse = Parser(settings, clock=lambda: NOW).parse
        texts = [event("old1", -20 * 86_400 + 1, plate=None), event(3, 6, plate="K0")]
        summary = host.run_bounded([File(chunk(texts))], [parse])
    assert (summary.events, summary.duplicates, summary.rejected) == (0, 1, 1)
    with Desk(kept / "desk.sqlite") as desk:
        assert [record["reason"] for record in desk.rejected()] == ["expired"]


def test_readers_see_all_of_a_removal_or_nothing(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    commit = Manifest.write

    def looked_at(manifest: Manifest, directory: Path) -> None:
        seen.append(len(stored(kept)))
        commit(manifest, directory)
        seen.append(len(stored(kept)))

    monkeypatch.setattr(Manifest, "write", looked_at)
    expire(kept, events="40d")
    assert seen == [40, 40, 40, 30]  # before and after publishing, before and after removing


def test_a_stop_before_the_removal_is_published_leaves_it_for_the_next_time(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Compactor, "_commit", crash)
        with pytest.raises(KeyboardInterrupt):
            expire(kept, events="40d")
    assert len(stored(kept)) == 40
    assert expire(kept, events="40d") == {"events": {"anpr.read": 10}}
    assert len(stored(kept)) == 30


def test_what_retention_removed_at_the_end_of_history_does_not_stop_an_engine_that_lost_its_state(
    kept: Path, tmp_path: Path
) -> None:
    with engine(kept) as host:
        host.run_parsed([parsed([event(f"last{n}", -30 * 86_400 + n) for n in range(5)])])
    expire(kept, events="40d")
    for file in kept.glob("engine.duckdb*"):
        file.unlink()
    with engine(kept, rules(tmp_path / "rules", THREE)) as host:
        host.drain()
        assert host.status()["evaluated"] == 45
        host.submit(parsed([event("new", 100, plate="K9")]))
        host.drain()
    assert "new" in stored(kept)


def test_a_running_engine_expires_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "_EXPIRE_AFTER_S", 0.0)
    run(tmp_path, *[event(n, n) for n in range(9)])
    with engine(tmp_path, settings=Settings(retention=Retention.of({"events": "1d"}))) as host:
        deadline = time.monotonic() + 60
        while stored(tmp_path) and time.monotonic() < deadline:
            host.check()
            time.sleep(0.02)
    assert stored(tmp_path) == []


def test_a_running_engine_removes_nothing_by_another_retention_than_it_knows(tmp_path: Path) -> None:
    run(tmp_path, *[event(n, n) for n in range(9)])
    before = stored(tmp_path)
    command = ["retention", "apply", "--data", str(tmp_path)]
    with engine(tmp_path):
        assert CliRunner().invoke(cli, command).exit_code == 0
        (tmp_path / "citywatch.toml").write_text('[retention]\nevents = "1d"\n')
        for words in (command, [*command, "--dry-run"]):
            refused = CliRunner().invoke(cli, words).exception
            assert isinstance(refused, StoreError)
            assert "restart it" in str(refused)
    assert stored(tmp_path) == before
    assert CliRunner().invoke(cli, command).exit_code == 0
    assert stored(tmp_path) == []


def test_keeping_knows_only_what_it_can_do(kept: Path) -> None:
    with alone(DataDirectory(kept), Settings()) as keeping, pytest.raises(KeyError):
        assert isinstance(keeping, Keeping)
        keeping.do("dance", {})
