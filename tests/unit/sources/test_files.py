"""Files are read whole; what is wrong with one is said in words or refused with its line."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from citywatch.errors import SourceError
from citywatch.mappings.parse import Parser
from citywatch.records.chunk import Format, Origin, Parsed
from citywatch.records.columns import listed
from citywatch.sources import open_source
from citywatch.sources.content import chunks_of, sniffed
from citywatch.sources.model import Options
from citywatch.sources.streams import Blocks
from tests.unit.mappings.intake import cloudevent, parser

LINES = [cloudevent({"age": n}, id=str(n)) for n in range(5)]
NDJSON = "".join(line + "\n" for line in LINES).encode()
CSV = b"Summons Number,Issue Date,Violation Time\n" + b"".join(b"%d,07/10/2016,0143A\n" % n for n in range(1, 6))


def _read(address: Path | str, options: Options | None = None) -> Parsed:
    """All of a source, parsed."""
    reader: Parser = parser(mapped=True)
    parts = [reader.parse(chunk) for source in open_source(str(address), options) for chunk in source.chunks()]
    events = pa.concat_tables([part.events for part in parts])
    return Parsed(events, pa.concat_tables([part.rejected for part in parts]))


def _file(directory: Path, name: str, content: bytes) -> Path:
    file = directory / name
    file.write_bytes(content)
    return file


def _ids(parsed: Parsed) -> list[str]:
    return [str(value) for value in parsed.events["id"].to_pylist()]


def _refused(parsed: Parsed) -> list[tuple[int, str]]:
    return list(zip(listed(parsed.rejected["line"]), listed(parsed.rejected["reason"]), strict=True))


CONTENTS = {
    "e.ndjson": NDJSON,
    "e.jsonl": NDJSON,
    "e.ndjson.gz": gzip.compress(NDJSON),
    "members.ndjson.gz": gzip.compress(NDJSON[:100]) + gzip.compress(NDJSON[100:]),
    "array.json": ("[" + ",\n".join(LINES) + "]").encode(),
    "array.json.gz": gzip.compress(("[" + ",".join(LINES) + "]").encode()),
    "lines.json": NDJSON,
    "no-name": NDJSON,
    "crlf.ndjson": NDJSON.replace(b"\n", b"\r\n"),
    "bom.ndjson": b"\xef\xbb\xbf" + NDJSON,
    "no-end.ndjson": NDJSON.rstrip(),
    "blank.ndjson": NDJSON.replace(b"\n", b"\n\n \r\n"),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_the_same_events_in_every_form(tmp_path: Path, name: str) -> None:
    parsed = _read(_file(tmp_path, name, CONTENTS[name]))
    assert _ids(parsed) == ["0", "1", "2", "3", "4"]
    assert _refused(parsed) == []


CSVS = {
    "t.csv": CSV,
    "t.csv.gz": gzip.compress(CSV),
    "crlf.csv": CSV.replace(b"\n", b"\r\n"),
    "bom.csv": b"\xef\xbb\xbf" + CSV,
    "semicolon.csv": CSV.replace(b",", b";"),
    "blank-first.csv": b"\n\n" + CSV,
    "no-end.csv": CSV.rstrip(),
}


@pytest.mark.parametrize("name", CSVS)
def test_the_same_tickets_in_every_form(tmp_path: Path, name: str) -> None:
    assert _ids(_read(_file(tmp_path, name, CSVS[name]))) == ["1", "2", "3", "4", "5"]


def test_parquet_is_read_by_its_columns(tmp_path: Path) -> None:
    table = pa.table({"summons_number": [1, 2], "issue_date": ["07/10/2016", "nonsense"]})
    parquet.write_table(table, tmp_path / "t.parquet")
    parsed = _read(tmp_path / "t.parquet")
    assert _ids(parsed) == ["1"]
    assert _refused(parsed) == [(2, "issue_date: nonsense is no date like 7/10/2016")]


def test_a_glob_is_read_in_order_of_name(tmp_path: Path) -> None:
    for name in ("b", "a", "c"):
        _file(tmp_path, f"{name}.ndjson", cloudevent(id=name).encode())
    assert _ids(_read(tmp_path / "*.ndjson")) == ["a", "b", "c"]


def test_standard_input_is_read(tmp_path: Path) -> None:
    code = (
        "from citywatch.sources import open_source\n"
        "for s in open_source('-'):\n    for c in s.chunks():\n        print(c.format.value, c.records.num_rows)"
    )
    for content, shown in ((NDJSON, "json 5"), (CSV, "csv 5")):
        answer = subprocess.run([sys.executable, "-c", code], input=content, capture_output=True, check=True)
        assert answer.stdout.decode().split("\n")[0] == shown


def test_an_empty_file_has_nothing(tmp_path: Path) -> None:
    for name in ("a.csv", "a.ndjson", "a.json"):
        (source,) = open_source(str(_file(tmp_path, name, b"")))
        assert list(source.chunks()) == []


def test_a_file_stands_for_the_receipt_of_its_records(tmp_path: Path) -> None:
    file = _file(tmp_path, "a.ndjson", cloudevent(time=None).encode())
    os.utime(file, (1_700_000_000, 1_700_000_000))
    assert _read(file).events["time"].to_pylist() == [datetime.fromtimestamp(1_700_000_000, UTC)]
    parsed = _read(file, Options(date=date(2026, 1, 2)))
    assert parsed.events["time"].to_pylist() == [datetime(2026, 1, 2, 5, tzinfo=UTC)]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no such file: .*none.csv"):
        open_source(str(tmp_path / "none.csv"))


def test_a_glob_that_fits_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no file fits"):
        open_source(str(tmp_path / "*.csv"))


def test_a_directory_is_no_source(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="is a directory"):
        open_source(str(tmp_path))


def test_an_unknown_scheme_names_the_known_ones() -> None:
    with pytest.raises(SourceError, match=r"unknown kind of source gopher://.*sim://"):
        open_source("gopher://x")


def test_a_file_that_may_not_be_read_is_an_error(tmp_path: Path) -> None:
    file = _file(tmp_path, "a.csv", CSV)
    file.chmod(0)
    if os.access(file, os.R_OK):  # the superuser may read everything
        file.chmod(0o600)
        code = (
            "import os, sys\nimport citywatch.sources.files\n"
            "from citywatch.errors import SourceError\nfrom citywatch.sources import open_source\n"
            "os.setuid(65534)\n"
            "try:\n    open_source(sys.argv[1])\nexcept SourceError as error:\n    print(error)"
        )
        tmp_path.chmod(0o755)
        answer = subprocess.run([sys.executable, "-c", code, str(file)], capture_output=True, check=False, text=True)
        assert "cannot read" in answer.stdout
        assert "Permission denied" in answer.stdout
    else:
        with pytest.raises(SourceError, match=r"cannot read .*Permission denied"):
            open_source(str(file))


def test_gzip_that_is_cut_off_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    content = b"".join(cloudevent({"age": 1}, id=str(n)).encode() + b"\n" for n in range(20_000))
    packed = gzip.compress(content)
    parsed = _read(_file(tmp_path, "cut.ndjson.gz", packed[: len(packed) // 2]))
    (fault,) = _refused(parsed)
    assert fault == (parsed.events.num_rows + 1, "gzip ends too early here")
    assert parsed.events.num_rows > 5_000


def test_gzip_that_is_damaged_is_read_up_to_the_damage(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(NDJSON * 2000, 1))
    packed[len(packed) // 2 : len(packed) // 2 + 50] = b"\0" * 50
    (fault,) = [r for r in _refused(_read(_file(tmp_path, "bad.ndjson.gz", bytes(packed)))) if "gzip" in r[1]]
    assert fault[1].startswith("gzip is damaged here")


def test_csv_in_gzip_that_is_cut_off_does_not_lose_its_last_line(tmp_path: Path) -> None:
    packed = gzip.compress(CSV)
    parsed = _read(_file(tmp_path, "cut.csv.gz", packed[:-9]))
    assert parsed.read >= 5
    assert _refused(parsed)[-1][1] == "gzip ends too early here"


def test_a_disk_that_fails_in_mid_file_is_a_fault() -> None:
    def blocks() -> object:
        yield b"one\ntw"
        raise OSError(5, "Input/output error")

    read = Blocks(blocks(), "x")  # type: ignore[arg-type]  # a generator that fails
    assert b"".join(read) == b"one\ntw"
    assert read.fault == "cannot be read further: Input/output error"


@pytest.mark.parametrize("size", [1, 2, 5, 40])
def test_what_comes_in_small_pieces_is_read_as_if_it_came_at_once(size: int) -> None:
    origin = Origin("-", 0)
    for content in (CSV, gzip.compress(CSV), b"\xef\xbb\xbf" + CSV, NDJSON):
        whole, pieces = (
            [(chunk.header, listed(chunk.records["raw"])) for chunk in chunks_of(read, sniffed(read.head), origin)]
            for read in (
                Blocks(iter([content]), "-"),
                Blocks((content[at : at + size] for at in range(0, len(content), size)), "-"),
            )
        )
        assert {header for header, _ in pieces} == {header for header, _ in whole}
        assert [raw for _, raws in pieces for raw in raws] == [raw for _, raws in whole for raw in raws] != []


def test_a_binary_file_is_refused_line_by_line_or_said_to_be_none(tmp_path: Path) -> None:
    noise = bytes(range(256)) * 64
    parsed = _read(_file(tmp_path, "noise.ndjson", noise))
    assert parsed.events.num_rows == 0
    assert parsed.read >= 64
    for name in ("noise.csv", "noise.bin"):
        (source,) = open_source(str(_file(tmp_path, name, noise)))
        with pytest.raises(SourceError, match="cannot be read as CSV"):
            list(source.chunks())
    (source,) = open_source(str(_file(tmp_path, "noise.parquet", noise)))
    with pytest.raises(SourceError, match="cannot be read as Parquet"):
        list(source.chunks())


def test_utf16_is_said_to_be_utf16(tmp_path: Path) -> None:
    (source,) = open_source(str(_file(tmp_path, "a.csv", CSV.decode().encode("utf-16"))))
    with pytest.raises(SourceError, match=r"UTF-16.*iconv"):
        list(source.chunks())


def test_a_row_in_another_encoding_is_refused_with_its_line(tmp_path: Path) -> None:
    content = CSV + b"6,07/10/2016,0143A\n" + "Café,07/10/2016,0143A\n".encode("cp1252") + b"8,07/10/2016,\0\n"
    assert _refused(_read(_file(tmp_path, "a.csv", content))) == [
        (8, "not UTF-8: byte 0xE9 at 4"),
        (9, "holds a NUL byte"),
    ]


def test_a_line_of_100_mb_is_refused_and_its_neighbours_are_read(tmp_path: Path) -> None:
    file = tmp_path / "long.ndjson"
    with file.open("wb") as out:
        out.write(cloudevent(id="a").encode() + b'\n{"id":"')
        for _ in range(100):
            out.write(b"x" * (1 << 20))
        out.write(b'"}\n' + cloudevent(id="b").encode())
    parsed = _read(file)
    assert _ids(parsed) == ["a", "b"]
    ((line, reason),) = _refused(parsed)
    assert line == 2
    assert reason == "longer than 16,777,216 bytes: 104,857,609"
    (raw,) = parsed.rejected["raw"].combine_chunks().filter(pa.array([True]))
    assert len(memoryview(raw.as_buffer())) == 104_857_609


@pytest.mark.parametrize(("name", "content"), [("t.csv", CSV + b"6,nonsense,0143A"), ("e.ndjson", NDJSON + b'{"id":')])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\n\n"])
def test_a_refused_record_has_one_id_with_and_without_its_line_end(
    tmp_path: Path, name: str, content: bytes, end: bytes
) -> None:
    without, ended = (_read(_file(tmp_path, name, text)).rejected for text in (content, content + end))
    assert without["id"].to_pylist() == ended["id"].to_pylist()
    assert without["raw"].to_pylist() == ended["raw"].to_pylist()


def test_a_quote_open_to_the_end_of_the_file_swallows_nothing(tmp_path: Path) -> None:
    content = CSV + b'6,"07/10/2016,0143A\n' + b"".join(b"%d,07/10/2016,0143A\n" % n for n in range(7, 3000))
    parsed = _read(_file(tmp_path, "open.csv", content))
    assert _refused(parsed) == [(7, "a quote is left open")]
    assert parsed.events.num_rows == 2998


def test_chunks_of_csv_carry_their_header(tmp_path: Path) -> None:
    (source,) = open_source(str(_file(tmp_path, "a.csv", CSV)))
    (chunk,) = source.chunks()
    assert chunk.format is Format.CSV
    assert chunk.header == ("Summons Number", "Issue Date", "Violation Time")
    assert chunk.records["line"].to_pylist() == [2, 3, 4, 5, 6]


def test_a_header_without_rows_is_judged_too(tmp_path: Path) -> None:
    (source,) = open_source(str(_file(tmp_path, "a.csv", CSV.split(b"\n")[0] + b"\n")))
    (chunk,) = source.chunks()
    assert (chunk.header, chunk.records.num_rows) == (("Summons Number", "Issue Date", "Violation Time"), 0)
    (empty,) = open_source(str(_file(tmp_path, "b.csv", b"\n")))
    assert list(empty.chunks()) == []
