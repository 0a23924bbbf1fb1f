"""`citywatch simulate`: the events of a simulated city on standard output."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TextIO

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

    from citywatch.sources.simulator.simulation import Simulation


@click.command()
@click.argument("world", type=click.Choice(["city", "cctv", "sensors", "drones"]))
@click.option("--rate", metavar="N", help="Events a second of simulated time (50).")
@click.option("--seed", metavar="N", help="The same seed gives the same events (1).")
@click.option("--duration", metavar="D", help="How much time to simulate: 10m, 1h, 1d. Without it, never ends.")
@click.option("--start", metavar="TIME", help="When it begins, RFC 3339 or now. With --duration 2026-05-01T12:00:00Z.")
@click.option("--history", metavar="D", help="Begin so much earlier, at one event a second.")
@click.option("--speed", metavar="X", help="Simulated seconds a second: 1 without --duration, else as fast as it can.")
@click.option("--truth", metavar="FILE", help="Write what was planted, for every alert that is to come: NDJSON.")
def simulate(world: str, **options: str | None) -> None:
    """Print the events of a simulated city: CloudEvents, one a line.

    The lines are in the order in which they are received. A few are late, sent twice, or broken.
    """
    from citywatch.sources.simulator.simulation import simulation

    given = {name: value for name, value in options.items() if value is not None}
    _print(simulation(world, given))


def _print(asked: Simulation) -> None:
    from citywatch.sources.simulator.playback import play, write_truth
    from citywatch.sources.simulator.text import block

    with contextlib.ExitStack() as stack:
        truth = stack.enter_context(_opened(asked.truth)) if asked.truth else None
        stack.enter_context(_gone_reader_is_no_error())
        out: BinaryIO = sys.stdout.buffer
        for batch in play(asked):
            out.write(block(batch.lines))
            out.flush()
            if truth:
                write_truth(batch.planted, truth)


def _opened(file: Path) -> TextIO:
    from citywatch.errors import UsageError

    try:
        return file.open("w", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {file}: {error.strerror}") from error


@contextlib.contextmanager
def _gone_reader_is_no_error() -> Iterator[None]:
    """`citywatch simulate city | head` ends quietly, and so does Ctrl-C."""
    try:
        yield
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left in the buffer has nowhere to go
    except KeyboardInterrupt:
        pass
