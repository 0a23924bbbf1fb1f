"""Which tests of the cluster run one after the other in one process: those that share what takes long to start.

At the end of the run it says how long servers took to start.
A plugin for pytest (`-p tests.cluster.lane`), beside `-n`; a test that is in no group goes to whoever is free.
"""

from __future__ import annotations

from typing import Any

import pytest
from xdist.scheduler.loadscope import LoadScopeScheduling  # type: ignore[import-untyped]  # it has no types

from tests.cluster.servers import STARTS

_HERE = "tests/cluster/"

GROUPS = {
    "airflow": ("airflow/",),
    "killed jobs": ("spark/test_topics",),
    "spark": ("spark/", "test_same_reports"),
    "doctor": ("test_doctor",),
    "compose": ("compose/",),
    "console": ("postgresql/test_console", "postgresql/test_processes"),
    "stores": ("tests/conformance/test_stores",),
    "desk": ("postgresql/", "tests/unit/desk/"),
    "cassandra": ("cassandra/",),
    "hdfs": ("hdfs/",),
    "security": ("test_security",),
}
"""Beginnings of the paths of each; what takes longest stands first, so that nobody is left alone with it at the end.

Who begins with a single test has the next but two groups in store, too: one that takes long does not stand there.
"""


class Lane(LoadScopeScheduling):  # type: ignore[misc] # it ships no types
    """Hands out groups whole."""

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid) or nodeid


def group(nodeid: str) -> str:
    """The group of a test; empty where it has none."""
    path = nodeid.removeprefix(_HERE)
    return next((name for name, paths in GROUPS.items() if path.startswith(paths)), "")


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Lane:
    """Called by pytest-xdist."""
    return Lane(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests into the order of the groups."""
    places = {name: place for place, name in enumerate(GROUPS)}
    items.sort(key=lambda item: places.get(group(item.nodeid), len(places)))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Let a worker hand over what it knows when it ends."""
    if (output := getattr(session.config, "workeroutput", None)) is not None:
        output["starts"] = STARTS


def pytest_testnodedown(node: Any) -> None:
    """Called by pytest-xdist when a worker has ended; one that was killed knows nothing any more."""
    STARTS.extend((name, seconds) for name, seconds in getattr(node, "workeroutput", {}).get("starts", ()))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how long each server took to start, and all of them."""
    if STARTS:
        each = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in sorted(STARTS))
        total = sum(seconds for _, seconds in STARTS)
        terminalreporter.write_line(f"servers started: {each}; {total:.1f} s in all")
