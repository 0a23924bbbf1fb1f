"""Short answers from a process of many threads, before it begins to serve."""

from __future__ import annotations

import atexit
import gc
import sys

SWITCH_S = 0.0005


def be_responsive() -> None:
    """Let no thread wait long for another one of this process.

    A thread that computes gives up the interpreter after half a millisecond instead of five: who has waited for the
    disk or a connection waits for that again, each time. And the collector does not look through what is there already
    and stays, the modules above all: that stops every thread for 50 ms, again and again.
    """
    sys.setswitchinterval(SWITCH_S)
    gc.collect()
    gc.freeze()
    atexit.register(gc.unfreeze)  # at the end all is to be found, or DuckDB complains of what was never released
