"""A process of many threads that is made responsive answers sooner, and still frees what it leaves behind."""

from __future__ import annotations

import atexit
import gc
import subprocess
import sys
import weakref
from collections.abc import Iterator

import pytest

from citywatch.cli.responsive import SWITCH_S, be_responsive


class _Circle:
    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = sys.getswitchinterval()
    yield
    sys.setswitchinterval(before)
    gc.unfreeze()
    atexit.unregister(gc.unfreeze)


def test_threads_take_turns_sooner_and_what_stays_is_not_looked_through_again() -> None:
    gc.unfreeze()
    there = gc.get_objects()
    be_responsive()
    assert sys.getswitchinterval() == pytest.approx(SWITCH_S)
    assert gc.get_freeze_count() > len(there) // 2
    assert not {id(one) for one in there} & {id(one) for one in gc.get_objects()}


def test_what_is_left_behind_before_and_after_is_freed() -> None:
    before = weakref.ref(_Circle())
    be_responsive()
    after = weakref.ref(_Circle())
    gc.collect()
    assert before() is None
    assert after() is None


def test_its_end_is_silent() -> None:
    lines = (
        "import duckdb",
        "from citywatch.cli.responsive import be_responsive",
        "class Kept: pass",
        "kept = Kept()",
        "kept.itself, kept.database = kept, duckdb.connect()",
        "be_responsive()",
    )
    ended = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True)
    assert ended.stderr == ended.stdout == ""
