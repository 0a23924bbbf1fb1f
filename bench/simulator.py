"""The city as it is made: 50,000 events a second have to come at least as fast as the clock, in every shape."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench.measure import CITYWATCH, Line, rate, run_command
from citywatch.mappings.load import load_mappings
from citywatch.sources.simulator.city import WORLDS

RATE = 50_000
SECONDS = 20
SHAPE_SECONDS = 5


def bench(scratch: Path) -> Iterator[Line]:
    """Each world as CloudEvents, then the city as messages of each mapping that writes; written into a file."""
    took = {world: _seconds(scratch, world, SECONDS) for world in WORLDS}
    slowest = max(took, key=lambda world: took[world])
    yield Line(
        f"each of {len(took)} simulators at {RATE:,} events/s, into a file",
        f"slowest {rate(RATE * SECONDS, took[slowest])} ({slowest})",
        f"{RATE:,} events/s",
        holds=took[slowest] < SECONDS,
    )
    shapes = [mapping.name for mapping in load_mappings() if mapping.returns]
    took = {shape: _seconds(scratch, "city", SHAPE_SECONDS, "--as", shape) for shape in shapes}
    slowest = max(took, key=lambda shape: took[shape])
    yield Line(
        f"the city at {RATE:,} events/s, `--as` each of {len(shapes)} shapes",
        f"slowest {rate(RATE * SHAPE_SECONDS, took[slowest])} ({slowest})",
        f"{RATE:,} events/s",
        holds=took[slowest] < SHAPE_SECONDS,
    )


def _seconds(scratch: Path, world: str, seconds: int, *more: str) -> float:
    """How long it takes to simulate so much of a world, start included; pictures are drawn at their own pace."""
    plan = ["--rate", str(RATE), "--duration", f"{seconds}s", "--images", "0", *more]
    command = f'exec "$@" > "{scratch / "simulated"}"'
    return run_command(["sh", "-c", command, "sh", str(CITYWATCH), "simulate", world, *plan]).seconds
