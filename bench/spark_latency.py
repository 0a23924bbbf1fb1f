"""A thousand events a second through `spark detect`: how long from the event topic to the alert topic.

From the moment at which an event was handed to Kafka until the broker has written the alert whose last event it is
into the alert topic. Ten in a thousand make an alert by a plain rule, ten by a correlation; there are no other rules. A
batch begins as soon as the one before has ended (by default, a second after that one began), the checkpoint is on this
machine's disk, and alerts go nowhere else.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import paced
from bench.measure import CITYWATCH, Line, cores, fresh
from bench.on_spark import RULES, broker, properties

SECONDS = 60
_WARM_S = 20.0
_EVERY = "0 seconds"
_HOW = f"`spark detect --every '{_EVERY}'`, 2 rules, local checkpoint, no --store"


def bench(scratch: Path) -> Iterator[Line]:
    """The rules `marked` and `paired` of `rules/live`."""
    with broker(scratch) as servers:
        for topic in (paced.EVENTS, paced.ALERTS):
            paced.made(servers, topic)
        with _job(servers, scratch), paced.listening(servers) as reader:
            found = paced.delays(servers, reader, SECONDS, _WARM_S)
    for rule, kind in (("marked", "plain rule"), ("paired", "correlation")):
        measured, p50, p99 = paced.words(found[rule])
        what = f"{_HOW}, {paced.RATE:,} events/s, event to alert topic, {kind}"
        yield Line(what, measured, "p50 1.5 s, p99 4 s", "-", p50 < 1.5 and p99 < 4)


@contextmanager
def _job(servers: str, scratch: Path) -> Iterator[None]:
    conf = [word for name, value in properties().items() for word in ("--conf", f"{name}={value}")]
    topics = [f"kafka://{servers}/{paced.EVENTS}", "--to", f"kafka://{servers}/{paced.ALERTS}"]
    places = ["--data", fresh(scratch / "live-spark"), "--rules", RULES / "live"]
    arguments = [*topics, *places, "--every", _EVERY, "--master", f"local[{cores()}]", *conf]
    environment = {**os.environ, "SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": sys.executable}
    with (scratch / "spark.log").open("wb") as log:
        command = [str(word) for word in (CITYWATCH, "spark", "detect", *arguments)]
        job = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
    try:
        yield
    finally:
        job.send_signal(signal.SIGINT)
        try:
            job.wait(60)
        finally:
            if job.poll() is None:
                os.killpg(job.pid, signal.SIGKILL)
