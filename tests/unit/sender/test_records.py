"""The sender cuts a CSV into the records that `citywatch run` reads from it, and judges them the same."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from citywatch.records.columns import listed
from citywatch.records.csv_rows import cut_rows, read_header, split_row
from citywatch.sender.encoding import Decoder
from citywatch.sender.lines import Source
from citywatch.sender.records import CSV, records_of

_PIECES = st.sampled_from(
    ['"', '""', ",", ",,", "\n", "\r\n", "a", "é", " ", '"x"', '"x,y"', "a,b\n", '"a\nb",c\n', "\n\n"]
)


def as_sent(content: bytes) -> list[tuple[int, bytes, bool]]:
    """First line, text, and whether it is fit, of every record."""
    with TemporaryDirectory() as directory:
        file = Path(directory) / "a.csv"
        file.write_bytes(content)
        source = Source(file)
        records = list(records_of(source, CSV, Decoder(source, "utf-8")))
    return [(record.number, record.raw.rstrip(b"\r\n"), not record.reason) for record in records]


def as_run(header: bytes, content: bytes) -> list[tuple[int, bytes, bool]]:
    read = read_header(header)
    found: list[tuple[int, bytes, bool]] = []
    for cut in cut_rows([content] if content else [], read, first=2):
        for line, text in zip(listed(cut.records["line"]), listed(cut.records["raw"]), strict=True):
            values = split_row(text, read.delimiter)
            found.append((line, text.rstrip(b"\r\n"), values is not None and len(values) == len(read.names)))
    return found


@given(st.sampled_from([b"a,b\n", b"a,b,c\n", b"a,b,c,d\n"]), st.lists(_PIECES, max_size=40).map("".join))
@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
def test_records_of_any_csv_are_those_of_a_run(header: bytes, text: str) -> None:
    assert as_sent(header + text.encode()) == as_run(header, text.encode())


def test_a_quote_that_is_left_open_does_not_swallow_the_file() -> None:
    text = b'1,"open\n' + b"1,2\n" * 500 + b'3,"closed"\n'
    sent = as_sent(b"a,b\n" + text)
    assert sent == as_run(b"a,b\n", text)
    assert [fit for _, _, fit in sent].count(False) == 1
