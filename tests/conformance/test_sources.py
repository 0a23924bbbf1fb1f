"""What every kind of source promises, whatever its scheme: those of the registry are picked up by themselves.

A new scheme needs a `Case` here that feeds it; without one the first test fails.
"""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from citywatch.errors import CitywatchError, UsageError
from citywatch.mappings.load import load_mappings
from citywatch.mappings.parse import Parser
from citywatch.records.chunk import Chunk
from citywatch.settings import Settings
from citywatch.sources import SCHEMES, open_source
from citywatch.sources.model import Feed, Source
from tests.cluster.cassandra.keyspaces import SECRET, keyspace
from tests.cluster.hdfs.files import put
from tests.cluster.servers import cassandra, hdfs
from tests.cluster.topics import topic
from tests.mqtt.broker import Broker, until

Opened = tuple[str, Callable[[Sequence[str]], None]]
"""An address, and what sends records to it."""


@dataclass(frozen=True)
class Case:
    """How a scheme is fed. `given`: it takes records of ours; else it makes its own."""

    scheme: str
    open: Callable[[Path], Any]
    given: bool = True


def _file(suffix: str) -> Callable[[Path], Any]:
    @contextmanager
    def opened(directory: Path) -> Iterator[Opened]:
        file = directory / f"records{suffix}"

        def send(lines: Sequence[str]) -> None:
            content = "".join(f"{line}\n" for line in lines).encode()
            file.write_bytes(gzip.compress(content) if suffix.endswith(".gz") else content)

        yield str(file), send

    return opened


@contextmanager
def _url(directory: Path) -> Iterator[Opened]:
    with _file(".ndjson")(directory) as (address, send):
        yield f"file://{address}", send


@contextmanager
def _simulator(_: Path) -> Iterator[Opened]:
    yield "sim://city?seed=1&duration=10s", lambda _: None


def _broker(scheme: str) -> Callable[[Path], Any]:
    @contextmanager
    def opened(directory: Path) -> Iterator[Opened]:
        ca = directory / "ca.pem" if scheme == "mqtts" else None
        with Broker(directory, listener=_certificate(directory) if ca else "", ca=ca) as broker:
            yield (
                broker.address("t", *([f"ca={ca}"] if ca else []), scheme=scheme),
                lambda lines: broker.publish("t", lines),
            )

    return opened


def _certificate(directory: Path) -> str:
    """Certificates for 127.0.0.1, and the lines of the broker's configuration that name them."""
    import trustme

    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(str(directory / "ca.pem"))
    issued.private_key_and_cert_chain_pem.write_to_path(str(directory / "server.pem"))
    return f"certfile {directory}/server.pem\nkeyfile {directory}/server.pem"


@contextmanager
def _kafka(_: Path) -> Iterator[Opened]:
    with topic() as (address, send):
        yield address, send


@contextmanager
def _hdfs(directory: Path) -> Iterator[Opened]:
    address = f"{hdfs()}/conformance/{uuid4().hex}/records.ndjson"
    yield address, lambda lines: put(address, "".join(f"{line}\n" for line in lines).encode())


@contextmanager
def _cassandra(_: Path) -> Iterator[Opened]:
    with keyspace(cassandra()) as store, pytest.MonkeyPatch.context() as patch:
        patch.setenv(*next(iter(SECRET.items())))
        for number in range(3):
            store.rows(f"INSERT INTO {{}}.users (id, first_name) VALUES ('{number}', 'Ada')")
        yield f"{store.url}/users", lambda _: None


CASES = {
    "ndjson": Case("", _file(".ndjson")),
    "ndjson.gz": Case("", _file(".ndjson.gz")),
    "file url": Case("file", _url),
    "simulator": Case("sim", _simulator, given=False),
    "cassandra": Case("cassandra", _cassandra, given=False),
    "hdfs": Case("hdfs", _hdfs),
    "kafka": Case("kafka", _kafka),
    "mqtt": Case("mqtt", _broker("mqtt")),
    "mqtts": Case("mqtts", _broker("mqtts")),
}
MARKS = dict.fromkeys(("cassandra", "hdfs", "kafka"), pytest.mark.cluster)
FED = [pytest.param(case, id=name, marks=MARKS.get(name, ())) for name, case in CASES.items() if case.given]
ALL = [pytest.param(case, id=name, marks=MARKS.get(name, ())) for name, case in CASES.items()]


def event(number: int, **data: Any) -> str:
    time = f"2026-01-05T12:00:{number:02}Z"
    attributes = {"specversion": "1.0", "id": str(number), "source": "s", "type": "t", "time": time}
    return json.dumps(attributes | {"data": data})


class Reading:
    """A source that is read in a thread of its own, as the engine reads it."""

    def __init__(self, address: str) -> None:
        (self.source,) = open_source(address)
        self.chunks: list[Chunk] = []
        self.ended = False
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        source = self.source
        if isinstance(source, Feed):
            feed: Feed = source
            until(lambda: feed.trouble is None)

    def _read(self) -> None:
        for chunk in self.source.chunks():
            self.chunks.append(chunk)
        self.ended = True

    def records(self) -> int:
        """How many have come, faults included."""
        return sum(chunk.records.num_rows + (chunk.faults.num_rows if chunk.faults else 0) for chunk in self.chunks)

    def wait(self, count: int) -> None:
        until(lambda: self.records() >= count and (self.ended or not self.source.bounded))

    def leave(self) -> None:
        if isinstance(self.source, Feed):
            self.source.close()
        self._thread.join(30)
        assert not self._thread.is_alive()


def read(address: str, send: Callable[[Sequence[str]], None], lines: Sequence[str]) -> Reading:
    """Send lines and read them: a bounded source is filled first, a live one is listened to first."""
    if address.startswith(("mqtt", "kafka")):
        reading = Reading(address)
        send(lines)
    else:
        send(lines)
        reading = Reading(address)
    reading.wait(len(lines))
    return reading


def parsed(chunks: Sequence[Chunk]) -> tuple[list[Any], list[Any]]:
    """(ids of the events, reasons of what is refused)."""
    parser = Parser(Settings(), load_mappings(), threads=1)
    parts = [parser.parse(chunk) for chunk in chunks]
    ids = [value for part in parts for value in part.events["id"].to_pylist()]
    return ids, [value for part in parts for value in part.rejected["reason"].to_pylist()]


def test_every_scheme_of_the_registry_is_tested_here() -> None:
    assert {case.scheme for case in CASES.values()} == set(SCHEMES)


@pytest.mark.parametrize("case", FED)
def test_every_record_comes_once_in_its_order(case: Case, tmp_path: Path) -> None:
    with case.open(tmp_path) as (address, send):
        reading = read(address, send, [event(n) for n in range(30)])
        reading.leave()
        assert parsed(reading.chunks) == ([str(n) for n in range(30)], [])


@pytest.mark.parametrize("case", FED)
def test_a_bad_record_is_refused_and_its_neighbours_are_read(case: Case, tmp_path: Path) -> None:
    with case.open(tmp_path) as (address, send):
        reading = read(address, send, [event(0), "no JSON", '{"unknown": 1}', event(1)])
        reading.leave()
        ids, reasons = parsed(reading.chunks)
        assert ids == ["0", "1"]
        assert len(reasons) == 2


@pytest.mark.parametrize("case", FED)
def test_records_without_an_id_that_come_again_have_the_same_ids(case: Case, tmp_path: Path) -> None:
    lines = [f'{{"UtcTime": "2026-01-05T12:00:0{n}Z", "Source": {{}}, "Data": {{"State": true}}}}' for n in range(3)]
    with case.open(tmp_path) as (address, send):
        first = read(address, send, lines)
        first.leave()
        second = read(address, send, lines)
        second.leave()
        once, again = parsed(first.chunks)[0], parsed(second.chunks)[0]
        assert len(set(once)) == 3
        assert set(again) == set(once)


@pytest.mark.parametrize("case", ALL)
def test_a_source_says_what_it_is_called_and_whether_it_ends(case: Case, tmp_path: Path) -> None:
    with case.open(tmp_path) as (address, send):
        send([event(0)])
        (source,) = open_source(address)
        assert source.name in (address, address.removeprefix("file://"))
        assert isinstance(source.bounded, bool)
        assert {chunk.origin.name for chunk in _some(source)} <= {source.name}


def _some(source: Source) -> list[Chunk]:
    return list(source.chunks()) if source.bounded else []


@pytest.mark.parametrize("case", FED)
def test_a_feed_sends_again_what_is_not_committed_and_nothing_else(case: Case, tmp_path: Path) -> None:
    with case.open(tmp_path) as (address, send):
        first = read(address, send, [event(0), event(1)])
        if not isinstance(first.source, Feed):
            first.leave()
            assert first.source.bounded
            assert all(chunk.origin.replay for chunk in first.chunks)
            return
        assert all(chunk.origin.replay is (chunk.placing is not None) for chunk in first.chunks)
        first.leave()
        second = Reading(address)
        second.wait(2)
        assert isinstance(second.source, Feed)
        second.source.committed(len(second.chunks))
        second.leave()
        third = Reading(address)
        send([event(2)])
        third.wait(1)
        third.leave()
        assert parsed(third.chunks) == (["2"], [])


@pytest.mark.parametrize("scheme", [scheme for scheme in SCHEMES if scheme])
def test_an_address_that_says_nothing_is_an_error_for_people(scheme: str) -> None:
    with pytest.raises(CitywatchError) as wrong:
        open_source(f"{scheme}://")
    assert wrong.value.what


def test_a_scheme_that_there_is_not_names_those_that_there_are() -> None:
    with pytest.raises(CitywatchError) as wrong:
        open_source("gopher://x")
    assert all(f"{scheme}://" in str(wrong.value) for scheme in SCHEMES if scheme)
    assert not isinstance(wrong.value, UsageError)
