"""The whole job of `spark detect` over the same topic, on one core and on two, with the same shards.

Each in a process of its own to which the system gives no more cores: Java, Python and what they start. Both run the
topic once before, so that all is loaded. The broker keeps the cores that it has.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.measure import Line, cores, run_command
from bench.on_spark import broker, city, job, rate, session


def bench(scratch: Path) -> Iterator[Line]:
    """With as many shards as there are cores, on one of them and on all."""
    allowed = sorted(os.sched_getaffinity(0))
    with broker(scratch) as servers:
        city(servers, scratch)
        one, all_ = (_on(some, servers, scratch, cores()) for some in (allowed[:1], allowed))
    measured = f"{all_ / one:.2f} times as fast ({one:,.0f} and {all_:,.0f} messages/s)"
    yield Line(f"`spark detect`, 5 correlations, {cores()} shards, from 1 core to {cores()}", measured)


def _on(some: Sequence[int], servers: str, scratch: Path, shards: int) -> float:
    """Messages a second of a process that has these cores."""
    words = [sys.executable, "-m", "bench.spark_scaling", servers, str(scratch), str(shards)]
    return float(run_command(["taskset", "-c", ",".join(map(str, some)), *words]).summary["rate"])


def _measured(servers: str, scratch: Path, shards: int) -> float:
    """Of the second of two runs."""
    with session(scratch) as spark:
        rates = [rate(job(spark, servers, scratch / "scaling", "spark", shards)) for _ in range(2)]
    return rates[-1]


if __name__ == "__main__":
    print(json.dumps({"rate": _measured(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))}))
