"""How long until something is seen: `--help`, and `make run` up to its first alert."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench.measure import Line, fresh, run, run_command


def bench(scratch: Path) -> Iterator[Line]:
    """The best of five for `--help`: what else the machine does is not its fault."""
    seconds = min(run("--help").seconds for _ in range(5))
    yield Line("`citywatch --help`", f"{seconds:.2f} s", "0.3 s", holds=seconds < 0.3)
    data = fresh(scratch / "demo")
    demo = run_command(["make", "--no-print-directory", "run", "ONCE=1", f"ARGS=--data {data} --port 8765"])
    yield Line("`make run` to the first alert", f"{demo.seconds:.1f} s", "60 s", "20 s", demo.seconds < 60)
