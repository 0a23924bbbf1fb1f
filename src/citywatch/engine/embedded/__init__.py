"""The embedded host: the engine step on one machine, with everything it reads and writes in one data directory."""

from __future__ import annotations

from citywatch.engine.embedded.bounded import Summary
from citywatch.engine.embedded.engine import Engine
from citywatch.engine.embedded.intake import Receipt
from citywatch.engine.embedded.live import LogFeed

__all__ = ["Engine", "LogFeed", "Receipt", "Summary"]
