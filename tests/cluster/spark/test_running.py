"""A job that runs: what Spark gives up too early is begun again, and what waits is known while a batch takes long."""

from __future__ import annotations

import logging
import re
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from py4j.protocol import Py4JNetworkError

from citywatch.cli.spark_reporting import following
from citywatch.cli.spark_session import STARTS, Running
from citywatch.engine.spark.growth import watched
from citywatch.engine.spark.progress import Progress
from citywatch.errors import JobError
from tests.cluster.spark.running import Job
from tests.cluster.test_reading import event
from tests.cluster.topics import Cluster

pytestmark = pytest.mark.cluster

TOO_SLOW = "org.apache.spark.SparkException: Python worker failed to connect back."


class Queries:
    """Ends of queries, one after the other: an error, None for a good one, or a signal that comes while it runs."""

    def __init__(
        self, *ends: str | Exception | signal.Signals | None, progress: Any = None, gone: Exception | None = None
    ) -> None:
        self._ends = iter(ends)
        self._progress, self._gone = progress, gone
        self.started = self.stopped = 0

    def __call__(self) -> Any:
        self.started += 1
        return SimpleNamespace(awaitTermination=self._end, lastProgress=self._progress, stop=self._stop)

    def _end(self, _patience: float) -> bool:
        """Whether it is over."""
        from pyspark.errors import StreamingQueryException

        end = next(self._ends)
        if isinstance(end, signal.Signals):
            signal.raise_signal(end)
            logging.getLogger("py4j.clientserver").error("Java does not answer")
        elif isinstance(end, Exception):
            raise end
        elif end is not None:
            raise StreamingQueryException(message=end)
        return end is None

    def _stop(self) -> None:
        logging.getLogger("py4j.clientserver").error("the batch has failed")
        self.stopped += 1
        if self._gone:
            raise self._gone


def test_a_query_that_spark_gave_up_before_it_began_is_begun_again(capsys: pytest.CaptureFixture[str]) -> None:
    queries = Queries(TOO_SLOW, TOO_SLOW, None)
    Running(queries).wait()
    assert queries.started == 3
    assert capsys.readouterr().err.count("starting again") == 2


def test_one_that_never_begins_is_an_error_and_so_is_any_other_end() -> None:
    endless, broken = Queries(*[TOO_SLOW] * 2 * STARTS), Queries("the disk is gone", None)
    for queries, words, starts in ((endless, "connect back", STARTS), (broken, "the disk is gone", 1)):
        with pytest.raises(JobError, match=words):
            Running(queries).wait()
        assert queries.started == starts


def test_one_that_has_worked_in_between_may_be_begun_again_at_any_time() -> None:
    queries = Queries(*[TOO_SLOW] * 2 * STARTS, None, progress={"batchId": 7})
    Running(queries).wait()
    assert queries.started == 2 * STARTS + 1


@pytest.fixture(autouse=True)
def logged() -> Iterator[None]:
    """A job that ends leaves py4j's log quiet: not for other tests."""
    level = logging.getLogger("py4j").level
    yield
    logging.getLogger("py4j").setLevel(level)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_that_is_asked_to_end_is_stopped_between_two_words_with_java(
    number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    queries = Queries(number, "the batch was cut off")
    Running(queries).wait()
    assert (queries.started, queries.stopped) == (1, 1)
    assert capsys.readouterr().err == "citywatch: stopping\n", "a batch that is cut off fails, which is no news"
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.mark.parametrize("gone", [Py4JNetworkError("no answer"), ConnectionRefusedError()])
def test_one_whose_java_was_asked_to_end_too_ends_well(gone: Exception) -> None:
    queries = Queries(signal.SIGTERM, "SparkContext was shut down", gone=gone)
    Running(queries).wait()
    assert (queries.started, queries.stopped) == (1, 1)


def test_a_signal_that_comes_twice_at_once_is_one_and_a_later_one_ends_the_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Twice(Queries):
        def _stop(self) -> None:
            signal.raise_signal(signal.SIGINT)
            super()._stop()

    queries = Twice(signal.SIGINT, None)
    Running(queries).wait()
    assert queries.stopped == 1
    monkeypatch.setattr("citywatch.cli.spark_session._ONE_SIGNAL_S", -1.0)
    with pytest.raises(KeyboardInterrupt):
        Running(Twice(signal.SIGINT, None)).wait()


@pytest.mark.parametrize("gone", [Py4JNetworkError("no answer"), ConnectionRefusedError()])
def test_who_looks_after_a_job_says_nothing_of_java_that_is_gone(gone: Exception) -> None:
    class Gone:
        asked = threading.Event()

        @property
        def lastProgress(self) -> None:  # noqa: N802 - Spark's name
            self.asked.set()
            raise gone

    query = Gone()
    with following(cast(Running, SimpleNamespace(query=query)), Progress("a")):
        assert query.asked.wait(60)


def test_one_whose_java_has_ended_by_itself_is_an_error() -> None:
    with pytest.raises(JobError, match="Java has ended"):
        Running(Queries(ConnectionResetError())).wait()


def test_what_waits_in_a_topic_grows_while_no_batch_ends(cluster: Cluster) -> None:
    topic = cluster.make(partitions=2)
    source = cluster.url(topic)
    progress = Progress(source)

    def shown() -> dict[str, int]:
        sample = re.compile(rf'citywatch_source_lag{{source="{re.escape(source)}",partition="{topic}/(\d)"}} (\d+)\n')
        return {part: int(count) for part, count in sample.findall("".join(progress.exposition()))}

    def lag(wanted: dict[str, int]) -> bool:
        deadline = time.monotonic() + 60
        while shown() != wanted:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    with watched(progress, cluster.address, {}, [topic]):
        cluster.send(topic, ["a", "b", "c"], partition=0)
        assert lag({"0": 3, "1": 0})
        read = {"description": f"KafkaV2[Subscribe[{topic}]]", "endOffset": {topic: {"0": 2, "1": 0}}}
        progress.progressed({"sources": [read]})
        cluster.send(topic, ["d"] * 5, partition=0)
        cluster.send(topic, ["e"], partition=1)
        assert lag({"0": 6, "1": 1}), shown()


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_a_job_with_an_end_goes_on_where_one_without_stopped_in_batches_as_large_as_asked(tmp_path: Path) -> None:
    incoming, data, rules = tmp_path / "in", tmp_path / "data", tmp_path / "rules"
    commits = data / "spark" / "detect" / "commits"
    for directory in (incoming, rules):
        directory.mkdir()

    def batches() -> int:
        return sum(path.name.isdigit() for path in commits.iterdir()) if commits.exists() else 0

    def job(name: str, *more: str) -> Job:
        return Job(incoming, "--data", data, "--rules", rules, *more, log=tmp_path / f"{name}.log")

    def come(*numbers: int) -> None:
        for number in numbers:
            (incoming / f"{number}.ndjson").write_text("".join(f"{event(10 * number + n)}\n" for n in range(10)))

    come(0)
    assert job("first", "--once").last_line()["events"] == 10
    come(1)
    before, endless = batches(), job("endless")
    endless.wait_for(lambda: batches() > before + 2)
    assert endless.ended()["events"] == 10
    come(2, 3, 4)
    before, last = batches(), job("last", "--once").last_line()
    assert (last["read"], last["events"]) == (30, 30)
    assert batches() >= before + 3, "a batch takes one file"
