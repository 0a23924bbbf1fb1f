"""Processes that die on purpose, forked from one that has loaded all that they need: a process has one such server."""

from __future__ import annotations

import multiprocessing

FORKS = multiprocessing.get_context("forkserver")
# Arrow loads pandas before its first array of a list: here once, and not in each of hundreds of processes.
FORKS.set_forkserver_preload(["pandas", "tests.e2e.scenario", "tests.e2e.test_images", "tests.e2e.test_tickets"])
