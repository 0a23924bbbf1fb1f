"""Proposals are kept up with what the engine accepts, and their tickets come back as events."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from citywatch.engine.embedded import Engine
from citywatch.engine.embedded.proposing import Proposing
from citywatch.errors import StoreError
from citywatch.settings import HOUR, Settings
from citywatch.stores.desk import Desk

from .city import NO_RULES, parsed

WAIT_S = 60.0


def test_what_is_accepted_is_proposed_while_the_engine_runs(tmp_path: Path) -> None:
    with Engine(tmp_path, NO_RULES, Settings()) as engine, Proposing(tmp_path, within=HOUR) as proposing:
        engine.submit(parsed([violation(1)]), "drones")
        with Desk(tmp_path / "desk.sqlite") as desk:
            until = time.monotonic() + WAIT_S
            while not desk.proposals() and time.monotonic() < until:
                time.sleep(0.05)
                proposing.check()
            assert [proposal["plate"] for proposal in desk.proposals()] == ["K1"]


def test_what_ends_it_is_raised_where_it_is_looked_after(tmp_path: Path) -> None:
    with Engine(tmp_path, NO_RULES, Settings()):
        pass
    (tmp_path / "history" / "manifest.json").write_text("{", "utf-8")
    with Proposing(tmp_path, within=HOUR) as proposing, pytest.raises(StoreError, match="manifest"):
        until = time.monotonic() + WAIT_S
        while time.monotonic() < until:
            time.sleep(0.05)
            proposing.check()


def violation(n: int) -> str:
    head = f'{{"specversion":"1.0","id":"{n}","source":"drone/4","type":"drone.violation"'
    return f'{head},"time":"2026-01-05T12:00:00Z","data":{{"plate":"K1","violation_code":46}}}}'
