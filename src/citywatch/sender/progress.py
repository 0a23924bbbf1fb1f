"""What a person sees of it: a line that is written over on a terminal, nearly nothing in a pipe."""

from __future__ import annotations

import sys
import time
from typing import TextIO

from .lines import Source
from .sending import Sending, Watcher
from .state import Progress

_EVERY = 0.5
_PATIENCE = 60.0
"""Seconds without news after which a pipe is told as well that the link is down."""


class Screen(Watcher):
    """Writes to `out`; how far it went only when that is a terminal."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stderr
        self._terminal = self._out.isatty()
        self._shown = 0
        self._last = 0.0
        self._begun = time.monotonic()
        self._quiet_since = self._begun
        self._before = -1

    def notice(self, words: str) -> None:
        """A line that stays."""
        self.clear()
        self._write(words + "\n")

    def prepares(self, source: Source) -> None:
        """Large files take a while."""
        if self._terminal:
            self._over(f"{source.path.name}: looking for identical lines")

    def at(self, progress: Progress, source: Source) -> None:
        """The place in the file, and how fast it goes."""
        now = self._quiet_since = time.monotonic()
        if self._before < 0:
            self._before, self._begun = progress.sent, now
        if not self._terminal or now - self._last < _EVERY:
            return
        self._last = now
        share = 100 * source.position // max(1, source.size)
        rate = (progress.sent - self._before) / max(now - self._begun, _EVERY)
        words = f"{source.path.name}: {share}%, {progress.sent:,} lines sent, {int(rate):,} a second"
        self._over(words + (f", {progress.kept:,} kept" if progress.kept else ""))

    def waits(self, why: str, seconds: float) -> None:
        """On a terminal at once; in a pipe when it lasts."""
        words = f"{why}: trying again in {seconds:.0f} s"
        if self._terminal:
            self._over(words)
        elif time.monotonic() - self._quiet_since > _PATIENCE:
            self._quiet_since = time.monotonic()
            self._write(words + "\n")

    def clear(self) -> None:
        """Take away what is written over."""
        if self._shown:
            self._write("\r" + " " * self._shown + "\r")
            self._shown = 0

    def _over(self, words: str) -> None:
        words = words[:78]
        self._write("\r" + words.ljust(self._shown))
        self._shown = len(words)

    def _write(self, words: str) -> None:
        encoding = self._out.encoding or "ascii"
        self._out.write(words.encode(encoding, "replace").decode(encoding))
        self._out.flush()


def report(sending: Sending) -> str:
    """What became of the file, in a sentence."""
    progress = sending.progress
    words = ["{:,} {} sent".format(progress.sent, "line" if progress.sent == 1 else "lines")]
    if sending.sent_now != progress.sent:
        words[0] += f" ({sending.sent_now:,} of them now)"
    if progress.kept:
        words.append(f"{progress.kept:,} kept in {progress.rejected}")
    if progress.duplicates:
        words.append(f"{progress.duplicates:,} of what they hold was known there already")
    return ", ".join(words)
