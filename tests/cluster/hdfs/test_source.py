"""Files on HDFS are read whole and once, as files on a disk are."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from citywatch.errors import SourceError, UsageError
from citywatch.sources import open_source
from tests.cluster.hdfs.files import put
from tests.cluster.running import citywatch

pytestmark = pytest.mark.cluster

MESSAGE = {"plate_id": "VWWFHVR", "address": "907 W 91th St", "time": "10/21/2020 0309A", "violation_code": "95"}


def lines(count: int, first: int = 0) -> bytes:
    return "".join(json.dumps({"drone_id": first + n, **MESSAGE}) + "\n" for n in range(count)).encode()


def older_layout(home: str) -> None:
    """The older system's storage: JSON, CSV and Parquet in folders, with what jobs leave beside."""
    put(f"{home}/drone/part-00000.json", lines(40))
    put(f"{home}/drone/part-00001.json.gz", gzip.compress(lines(10, 40)))
    put(f"{home}/drone/_SUCCESS", b"")
    put(f"{home}/drone/_temporary/0/part-00000.json", lines(5, 900))
    put(f"{home}/drone/.part-00000.json.crc", b"crc")
    head = "drone_id,plate_id,address,time,violation_code\n"
    put(f"{home}/csv/part-00000.csv", f"{head},GZH7067,1316 Madison Ave,01/24/2017 1003A,38\n".encode())
    rows = pa.Table.from_pylist([{"drone_id": n, **MESSAGE} for n in range(60, 75)])
    file = io.BytesIO()
    pq.write_table(rows, file)
    put(f"{home}/parquet/day=1/part-00000.snappy.parquet", file.getvalue())


def test_the_older_storage_is_read_once_and_again_adds_nothing(home: str, tmp_path: Path) -> None:
    older_layout(home)
    command = ("run", home, "--once", "--mapping", "prestacop", "--data", tmp_path / "data")
    first = citywatch(*command)
    counts = json.loads(first.stdout)
    assert (counts["read"], counts["events"], counts["rejected"]) == (66, 66, 0), first.stderr
    again = json.loads(citywatch(*command).stdout)
    assert (again["read"], again["duplicates"], again["events"]) == (66, 66, 0)


def test_a_pattern_names_some_of_the_files_in_order_of_path(home: str) -> None:
    older_layout(home)
    found = open_source(f"{home}/drone/part-*")
    assert [source.name.rpartition("/")[2] for source in found] == ["part-00000.json", "part-00001.json.gz"]
    assert [source.bounded for source in found] == [True, True]
    assert sum(chunk.records.num_rows for source in found for chunk in source.chunks()) == 50


def test_what_is_damaged_is_said_with_its_place(home: str, tmp_path: Path) -> None:
    put(f"{home}/a.ndjson", lines(3) + b'{"drone_id": 4, "pla\n')
    done = json.loads(citywatch("run", home, "--once", "--data", tmp_path / "data").stdout)
    assert (done["events"], done["rejected"]) == (3, 1)
    (rejected,) = citywatch("rejected", "list", "--data", tmp_path / "data", "--format", "ndjson").stdout.splitlines()
    assert json.loads(rejected)["source"] == f"{home}/a.ndjson"
    assert json.loads(rejected)["line"] == 4


def test_a_file_larger_than_a_block_comes_whole(home: str) -> None:
    put(f"{home}/large.ndjson", lines(100_000))
    (source,) = open_source(f"{home}/large.ndjson")
    assert sum(chunk.records.num_rows for chunk in source.chunks()) == 100_000


def test_what_is_not_there_is_an_error_that_says_so(home: str) -> None:
    with pytest.raises(SourceError, match="nothing is at"):
        open_source(f"{home}/none")
    with pytest.raises(SourceError, match="no file with content"):
        open_source(f"{home}/none/*.csv")
    put(f"{home}/packed.json.snappy", b"?")
    with pytest.raises(SourceError, match="packed"):
        open_source(home)


@pytest.mark.parametrize("wrong", ["hdfs://host:8020", "hdfs://me@host/x", "hdfs://host:port/x"])
def test_an_address_that_is_none_is_wrong_usage(wrong: str) -> None:
    with pytest.raises(UsageError):
        open_source(wrong)
