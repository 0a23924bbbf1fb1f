"""The simulated city as a source: `sim://city?rate=50&seed=1&duration=10m`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from citywatch.errors import SourceError
from citywatch.records.chunk import Chunk, Format, Origin, records_schema
from citywatch.records.ordinals import Ordinals
from citywatch.sources.model import Options, Source
from citywatch.sources.simulator.playback import play, write_truth
from citywatch.sources.simulator.simulation import Simulation, parse


class SimulatedCity:
    """A source of CloudEvents. Its records say when they were received, and are believed.

    Without a duration it is live: after its history, which comes at once, each record comes when it is received.
    """

    def __init__(self, name: str, simulation: Simulation) -> None:
        self._name = name
        self._simulation = simulation

    @property
    def name(self) -> str:
        """The address it was opened with."""
        return self._name

    @property
    def bounded(self) -> bool:
        """True with a duration."""
        return not self._simulation.live

    def chunks(self) -> Iterator[Chunk]:
        """Lines in the order of their receipt. Raises SourceError when the truth file cannot be written."""
        origin, line, reading = Origin(self._name), 1, Ordinals()
        mode: Literal["a", "w"] = "a" if self._simulation.live else "w"  # a live one goes on with its directory's file
        with contextlib.ExitStack() as stack:
            file = self._simulation.truth
            try:
                truth = stack.enter_context(file.open(mode, encoding="utf-8")) if file else None
            except OSError as error:
                raise SourceError(f"{self._name}: cannot write {file}: {error.strerror}") from error
            for batch in play(self._simulation):
                count = len(batch.lines)
                columns: dict[str, Any] = {"line": np.arange(line, line + count), "raw": batch.lines.cast(pa.binary())}
                if count:
                    yield Chunk(origin, Format.JSON, pa.table(columns, schema=records_schema()), reading=reading)
                if truth:
                    write_truth(batch.planted, truth)
                line += count


def open_simulator(text: str, options: Options) -> list[Source]:  # noqa: ARG001 - a simulation dates its own records
    """The simulation behind a `sim://` address. Raises UsageError."""
    return [SimulatedCity(text, parse(text))]
