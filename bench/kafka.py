"""`run kafka://` beside `run FILE` over the same events, in one run on the same cores; and from a topic to another.

A topic is read until its last event is safe and its rules are done, a file to its end; both from the start of the
process, with a data directory of their own. The broker shares the cores with the reader.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from confluent_kafka import Consumer

from bench import generate, paced
from bench.measure import CITYWATCH, ROOT, Line, cached, fresh, rate, size
from deploy.servers.kafka_server import Kafka

COUNT = 500_000
PARTITIONS = 4
SECONDS = 40
_WARM_S = 10.0
_PATIENCE_S = 600.0
_RULES = ROOT / "bench" / "rules"


def bench(scratch: Path) -> Iterator[Line]:
    """How quickly a topic fills, the ratio, bytes, one core against two, and how long an event takes to its alert."""
    name = "from-topics.ndjson"
    events = cached(scratch / name, lambda path: generate.events(path, first=0, count=COUNT, measured_from=COUNT))
    with Kafka(fresh(scratch / "kafka")) as broker:
        paced.made(broker.address, "city", PARTITIONS)
        filling = paced.filled(broker.address, "city", events, COUNT)
        yield Line("one producer in Python, by key into a topic, acknowledged", rate(COUNT, filling))
        _begin_groups(broker.address)
        allowed = sorted(os.sched_getaffinity(0))
        from_file = _run(scratch / "file", [str(events), "--once"], allowed)
        address = f"kafka://{broker.address}/city"
        from_topic = _run(scratch / "topic", [address], allowed)
        on_one = _run(scratch / "one", [address], allowed[:1])
        yield _compared(from_file, from_topic)
        yield _sizes(events, broker.directory / "data", scratch / "file" / "log")
        gain = on_one.seconds / from_topic.seconds
        yield Line(f"`run kafka://`, from 1 core to {len(allowed)}", f"{gain:.2f} times as fast")
        yield _latency(broker.address, scratch)


def _begin_groups(servers: str) -> None:
    """Let a reader be in a group once: the first one ever waits until the broker has made its topic of offsets."""
    reader = Consumer({"bootstrap.servers": servers, "group.id": "first", "auto.offset.reset": "earliest"})
    reader.subscribe(["city"])
    until = time.monotonic() + _PATIENCE_S
    while reader.poll(1.0) is None:
        if time.monotonic() > until:
            raise RuntimeError(f"{servers} lets nobody into a group")
    reader.close()


class _Ran:
    """Wall seconds, seconds of the processor, and the most memory that a run held."""

    def __init__(self, seconds: float, processor: float, peak: int) -> None:
        self.seconds, self.processor, self.peak = seconds, processor, peak


def _compared(file: _Ran, topic: _Ran) -> Line:
    ratio, processor = file.seconds / topic.seconds, file.processor / topic.processor
    measured = f"{ratio:.2f} of `run FILE` ({rate(COUNT, topic.seconds)} and {rate(COUNT, file.seconds)};"
    measured += f" by time of the processor {processor:.2f}; {size(topic.peak)})"
    return Line(f"`run kafka://`, {COUNT:,} events, plain24", measured, "0.6", "-", ratio >= 0.6)


def _run(data: Path, arguments: Sequence[str], allowed: Sequence[int]) -> _Ran:
    """Run until all events are in and the rules have seen them."""
    command = [str(CITYWATCH), "run", *arguments, "--data", str(fresh(data)), "--rules", str(_RULES / "plain24")]
    at = ",".join(map(str, allowed))
    began, peak = time.perf_counter(), 0
    with subprocess.Popen(["taskset", "-c", at, *command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as run:
        stopped = "--once" in arguments
        while (done := os.wait4(run.pid, os.WNOHANG))[0] == 0:
            peak = max(peak, _held(run.pid))
            if not stopped and _accepted(data) >= COUNT:
                run.send_signal(signal.SIGINT)  # the rules are finished before it ends
                stopped = True
            if time.perf_counter() - began > _PATIENCE_S:
                run.kill()
                raise RuntimeError(f"not read after {_PATIENCE_S:.0f} s: {_accepted(data):,} of {COUNT:,}")
            time.sleep(0.02)
        seconds = time.perf_counter() - began
        assert run.stdout
        said = json.loads(run.stdout.read().splitlines()[-1])
        run.returncode = os.waitstatus_to_exitcode(done[1])
    if said["events"] != COUNT or run.returncode:
        raise RuntimeError(f"{COUNT:,} events were sent, and these were counted: {said}")
    return _Ran(seconds, done[2].ru_utime + done[2].ru_stime, peak)


def _accepted(data: Path) -> int:
    """Events that are safe: the last number of the newest segment."""
    numbers = [int(path.stem.split("-")[1]) for path in (data / "log").glob("*-*.parquet")]
    return max(numbers, default=0)


def _held(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text("ascii", "replace")
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:")), 0)


def _sizes(events: Path, topic: Path, log: Path) -> Line:
    """Bytes that an event needs: as the broker keeps it, in the history of a run, and as its line alone."""
    kept = sum(file.stat().st_size for part in topic.glob("city-*") for file in part.glob("*.log")) / COUNT
    columns = sum(file.stat().st_size for file in log.glob("*.parquet")) / COUNT
    target = events.with_suffix(".parquet")
    pq.write_table(pa.table({"raw": events.read_bytes().splitlines()}), target, compression="zstd")
    raw = target.stat().st_size / COUNT
    measured = (
        f"{kept:.0f} B in the topic's files, {columns:.0f} B in the log of `run FILE`, {raw:.0f} B its line in Parquet"
    )
    return Line(f"an event of {events.stat().st_size / COUNT:.0f} bytes", measured)


def _latency(servers: str, scratch: Path) -> Line:
    """From handing an event to Kafka until the topic of alerts has its alert; plain rules."""
    for topic in (paced.EVENTS, paced.ALERTS):
        paced.made(servers, topic)
    with _live(servers, scratch), paced.listening(servers) as reader:
        found = paced.delays(servers, reader, SECONDS, _WARM_S)["marked"]
    measured, _, p99 = paced.words(found)
    what = f"`run kafka://`, {paced.RATE:,} events/s, event to alert topic, plain rules"
    return Line(what, measured, "p99 250 ms", "-", p99 < 0.25)


@contextmanager
def _live(servers: str, scratch: Path) -> Iterator[None]:
    rules = [word for name in ("live", "plain24") for word in ("--rules", str(_RULES / name))]
    words = ["run", f"kafka://{servers}/{paced.EVENTS}", "--data", str(fresh(scratch / "live-run")), *rules]
    command = [str(CITYWATCH), *words, "--to", f"kafka://{servers}/{paced.ALERTS}"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
        try:
            yield
        finally:
            run.send_signal(signal.SIGINT)
