"""Several parsers read one input side by side, and nothing shows of it but the time."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from citywatch.engine.embedded.bounded import Parse, in_turn, threads_for
from citywatch.mappings.load import load_mappings
from citywatch.mappings.parse import Parser
from citywatch.records.chunk import Chunk, Format, Origin, Parsed, no_events, records_schema, rejected_schema
from citywatch.settings import Settings
from citywatch.sources import open_source


def chunk(number: int) -> Chunk:
    records = pa.table([[number], [b"{}"]], schema=records_schema())
    return Chunk(Origin(str(number)), Format.JSON, records)


def turns(chunks: Iterable[Chunk], parsers: Sequence[Parse]) -> Iterator[Parsed]:
    with threads_for(parsers) as threads:
        yield from (parsed for _, parsed in in_turn(chunks, parsers, threads))


def test_what_several_parsers_make_comes_in_the_order_of_the_chunks() -> None:
    second_is_done = threading.Event()

    def parse(chunk: Chunk) -> Parsed:
        if chunk.origin.name == "0":
            assert second_is_done.wait(30), "the second chunk is parsed while the first one is"
        elif chunk.origin.name == "1":
            second_is_done.set()
        return Parsed(no_events(), rejected_schema().empty_table(), chunk.origin)

    parsed = turns(map(chunk, range(5)), [parse, parse])
    assert [part.origin.name for part in parsed] == ["0", "1", "2", "3", "4"]


def test_a_parser_works_on_one_chunk_at_a_time() -> None:
    at_work = threading.Lock()

    def parse(chunk: Chunk) -> Parsed:
        assert at_work.acquire(blocking=False)
        try:
            return Parsed(no_events(), rejected_schema().empty_table(), chunk.origin)
        finally:
            at_work.release()

    def other(chunk: Chunk) -> Parsed:
        return Parsed(no_events(), rejected_schema().empty_table(), chunk.origin)

    assert len(list(turns(map(chunk, range(50)), [parse, other]))) == 50


def test_what_goes_wrong_in_one_parser_ends_the_reading() -> None:
    def parse(chunk: Chunk) -> Parsed:
        raise RuntimeError(chunk.origin.name)

    with pytest.raises(RuntimeError, match="0"):
        list(turns(map(chunk, range(5)), [parse, parse]))


def test_identical_records_of_a_file_have_ids_of_their_own_whichever_parser_reads_them(tmp_path: Path) -> None:
    line = '{"drone_id":4,"plate_id":"KX1","address":"907 W 91th St","time":"10/21/2020 0309A","violation_code":"95"}\n'
    path = tmp_path / "drone.ndjson"
    path.write_text(line * 100_000)
    mappings = load_mappings()

    def ids(parsers: int) -> list[str]:
        parse = [Parser(Settings(), mappings).parse for _ in range(parsers)]
        found = [part.events["id"] for source in open_source(str(path)) for part in turns(source.chunks(), parse)]
        assert len(found) > 1, "the file is cut into several chunks"
        return sorted(str(name) for part in found for name in part.to_pylist())

    alone = ids(1)
    assert len(set(alone)) == 100_000
    assert ids(2) == alone
