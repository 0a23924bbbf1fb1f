"""Cut CSV into records, and records into columns.

A record is a line, or several when a quoted value holds line ends. A quote that is left open must not swallow the rest
of a file: a record of several lines is believed only when it is well formed, of the right width, short, and none of its
inner lines is a whole row by itself. Otherwise its first line stands alone, and is refused for its open quote.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from citywatch.records.chunk import faults_schema, records_schema
from citywatch.records.columns import Array, Bytes, Mask, Offsets, Positions, from_spans, lengths, one_array, spans
from citywatch.records.lines import Cut, cut_lines

DELIMITERS = (",", ";", "\t", "|")
MOST_COLUMNS = 1_000
"""Columns of a header; what is asked about rows grows with them."""

LINES_OF_A_RECORD = 100
BYTES_OF_A_RECORD = 1 << 20
QUOTE, NEWLINE, RETURN = 34, 10, 13
MARK = 0xEF

_FIELDS: dict[str, re.Pattern[bytes]] = {}
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f]")
_BLANKS = re.compile(r"[^0-9a-z]+")
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")


@dataclass(frozen=True)
class Header:
    """First record of a CSV: the names as spelled, and what separates them."""

    names: tuple[str, ...]
    delimiter: str

    @property
    def is_row(self) -> bool:
        """It holds a number, as no name of a column is: the first of rows that have no header."""
        return any(_NUMBER.fullmatch(name.strip()) for name in self.names)


def column_name(spelled: str) -> str:
    """Name of a column whatever its spelling: ``Vehicle Make``, ``Vehicle.Make`` and ``vehicle_make`` are one."""
    return _BLANKS.sub("_", spelled.strip().lower()).strip("_")


def column_names(header: Sequence[str]) -> list[str]:
    """Distinct names of the columns; one without a name, as a row number has, is ``_<position>``."""
    names: dict[str, None] = {}
    for position, spelled in enumerate(header, start=1):
        name = column_name(spelled) or f"_{position}"
        while name in names:
            name = f"{name}_{position}"
        names[name] = None
    return list(names)


def read_header(record: bytes) -> Header:
    """The header that `record` is; the delimiter is the one that occurs most. Raises ValueError when it is none."""
    text = record.decode("utf-8").rstrip("\r\n")
    if "\r" in text:
        raise ValueError("the lines end in CR alone, wanted is LF or CRLF")
    if _CONTROL.search(text):
        raise ValueError("the first line is no header but binary data")
    delimiter = max(DELIMITERS, key=text.count)
    if (count := text.count(delimiter) + 1) > MOST_COLUMNS:
        raise ValueError(f"the first line has some {count:,} columns, more than {MOST_COLUMNS:,}")
    fields = split_row(record, delimiter)
    if fields is None or not any(fields):
        raise ValueError("the first line is no header of columns")
    return Header(tuple(fields), delimiter)


def header_line(names: Sequence[str], delimiter: str) -> str:
    """The first record of a CSV with these names, as `read_header` reads it."""
    return delimiter.join(
        '"' + name.replace('"', '""') + '"' if {'"', delimiter} & set(name) else name for name in names
    )


def split_row(record: bytes, delimiter: str) -> list[str] | None:
    """Values of one record, exactly and slowly; None when a quote is left open. `record` has to be UTF-8."""
    text = record.removesuffix(b"\n").removesuffix(b"\r")
    values: list[str] = []
    position = 0
    pattern = _field_pattern(delimiter)
    while True:
        match = pattern.match(text, position)
        if match is None:
            return None
        quoted, rest, plain = match.group(1), match.group(2), match.group(3)
        value = plain if quoted is None else quoted.replace(b'""', b'"') + rest
        values.append(value.decode("utf-8"))
        position = match.end()
        if not match.group(4):
            return values


def _field_pattern(delimiter: str) -> re.Pattern[bytes]:
    if delimiter not in _FIELDS:
        d = re.escape(delimiter.encode())
        _FIELDS[delimiter] = re.compile(
            rb'(?:"((?:[^"]|"")*+)"([^' + d + rb']*)|((?!")[^' + d + rb"]*))(" + d + rb"|\Z)", re.DOTALL
        )
    return _FIELDS[delimiter]


def cut_rows(
    blocks: Iterable[bytes], header: Header, *, first: int, broken: Callable[[], str | None] = lambda: None
) -> Iterator[Cut]:
    """Records of a stream of blocks that starts behind the header, at line `first`. `broken`: see `cut_lines`."""
    held = records_schema().empty_table()
    for cut in cut_lines(blocks, first=first, keep_blank=True, broken=broken):
        lines = pa.concat_tables([held, cut.records]).combine_chunks() if held.num_rows else cut.records
        records, held = _joined(lines, header, final=False)
        yield Cut(records, cut.faults)
    records, _ = _joined(held, header, final=True)
    yield Cut(records, faults_schema().empty_table())


def _joined(lines: pa.Table, header: Header, *, final: bool) -> tuple[pa.Table, pa.Table]:
    """Records of `lines`, and the lines at the end that may belong to a record which goes on."""
    if not lines.num_rows:
        return lines, lines
    raw = one_array(lines["raw"])
    odd = np.flatnonzero(_odd_quotes(raw))
    if not len(odd):
        return _without_blank(lines), lines.slice(0, 0)
    starts = np.ones(len(raw), dtype=bool)
    offsets, data = spans(raw)
    held = _join(odd.tolist(), offsets, data.tobytes(), header, starts=starts, final=final)
    return _without_blank(_records(lines, data, offsets, starts, held)), lines.slice(held)


def _join(odd: list[int], offsets: Offsets, data: bytes, header: Header, *, starts: Mask, final: bool) -> int:
    """Clear `starts` for the lines that continue a record; number of lines that can be decided now."""
    k, lines = 0, len(starts)
    while k < len(odd):
        i = odd[k]
        if k + 1 < len(odd):
            j = odd[k + 1]
            if _is_record(i, j, offsets, data, header):
                starts[i + 1 : j + 1] = False
                k += 1
        elif not final and lines - i <= LINES_OF_A_RECORD and offsets[lines] - offsets[i] <= BYTES_OF_A_RECORD:
            return i
        k += 1
    return lines


def _is_record(i: int, j: int, offsets: Offsets, data: bytes, header: Header) -> bool:
    if j - i >= LINES_OF_A_RECORD or offsets[j + 1] - offsets[i] > BYTES_OF_A_RECORD:
        return False
    width = len(header.names)
    if not _strict(data[offsets[i] : offsets[j + 1]], header.delimiter, width):
        return False
    inner = (data[offsets[k] : offsets[k + 1]] for k in range(i + 1, j))
    return width < 3 or not any(_strict(line, header.delimiter, width) for line in inner)


def _strict(record: bytes, delimiter: str, width: int) -> bool:
    """Whether `record` is a row of `width` columns with quotes only where the format has them."""
    d = re.escape(delimiter.encode())
    field = rb'(?:"(?:[^"]|"")*+"|[^"\r\n' + d + rb"]*+)"
    pattern = field + rb"(?:" + d + field + rb"){%d}\r?\n?" % (width - 1)
    return re.fullmatch(pattern, record) is not None


def _records(lines: pa.Table, data: Bytes, offsets: Offsets, starts: Mask, held: int) -> pa.Table:
    first = np.flatnonzero(starts[:held])
    joined = from_spans(offsets[np.append(first, held)], data)
    return pa.table([lines["line"].take(first), joined], schema=records_schema())


def _without_blank(records: pa.Table) -> pa.Table:
    short = np.flatnonzero(lengths(one_array(records["raw"])) <= 2)
    blank = [i for i in short if not bytes(records["raw"][int(i)].as_py() or b"").strip()]
    if not blank:
        return records
    keep = np.ones(records.num_rows, dtype=bool)
    keep[blank] = False
    return records.filter(pa.array(keep))


@dataclass(frozen=True)
class Columns:
    """Rows as columns of texts: `table` has one row for every record that is not in `faults` (row -> reason)."""

    rows: Positions
    table: pa.Table
    faults: dict[int, str]


def split_columns(raw: Array, names: list[str], delimiter: str) -> Columns:
    """Columns of records, each a whole row of text in UTF-8; rows of another width or with an open quote are faults."""
    doubtful = _doubtful(raw, delimiter)
    if not doubtful.any():
        return _quick(raw, names, delimiter) or _exact(raw, names, delimiter)
    places = [np.flatnonzero(~doubtful), np.flatnonzero(doubtful)]
    easy = raw.take(places[0])
    parts = [_quick(easy, names, delimiter) or _exact(easy, names, delimiter)]
    parts.append(_exact(raw.take(places[1]), names, delimiter))
    return _merged(parts, places)


def _doubtful(raw: Array, delimiter: str) -> Mask:
    """Rows that Arrow's reader may not read as `split_row` does.

    They have a quote elsewhere than round a whole value, a line end elsewhere than behind the row, nothing at all, or a
    beginning that Arrow may take for the mark of a file in UTF-8.
    """
    offsets, data = spans(raw)
    if not len(data):
        return np.ones(len(raw), dtype=bool)
    ended = (np.diff(offsets) > 2) & (data[np.maximum(offsets[1:], 1) - 1] == NEWLINE)
    bare = (data[:-1] == RETURN) & (data[1:] != NEWLINE)
    odd = np.concatenate((np.flatnonzero(data == QUOTE), np.flatnonzero(bare)))
    looked = np.unique(np.searchsorted(offsets, odd, side="right") - 1)
    doubtful: Mask = ~ended
    if len(looked):
        well = pc.match_substring_regex(raw.take(looked).cast(pa.binary()), _well_quoted(delimiter))
        doubtful[looked] |= ~well.to_numpy(zero_copy_only=False)
    doubtful |= data[np.minimum(offsets[:-1], len(data) - 1)] == MARK
    return doubtful


def _well_quoted(delimiter: str) -> str:
    d = re.escape(delimiter)
    field = rf'(?:"(?:[^"]|"")*"|[^"\r\n{d}]*)'
    return rf"\A{field}(?:{d}{field})*\r?\n?\z"


def _odd_quotes(raw: Array) -> Mask:
    offsets, data = spans(raw)
    counts = np.diff(np.searchsorted(np.flatnonzero(data == QUOTE), offsets))
    return (counts & 1).astype(bool)


def _merged(parts: list[Columns], places: list[Positions]) -> Columns:
    rows = np.concatenate([place[part.rows] for part, place in zip(parts, places, strict=True)])
    faults = {
        int(place[row]): reason
        for part, place in zip(parts, places, strict=True)
        for row, reason in part.faults.items()
    }
    order = np.argsort(rows, kind="stable")
    return Columns(rows[order], pa.concat_tables([part.table for part in parts]).take(order), faults)


def _quick(raw: Array, names: list[str], delimiter: str) -> Columns | None:
    """Arrow's reader over the lines as they are; None when it does not see one row in each line."""
    faults: dict[int, str] = {}

    def refuse(row: csv.InvalidRow) -> Literal["skip"]:
        faults[(row.number or 0) - 1] = _width(row.expected_columns, row.actual_columns)
        return "skip"

    if not len(raw):
        return None
    _, data = spans(raw)
    try:
        table = csv.read_csv(
            io.BytesIO(data.tobytes()),
            read_options=csv.ReadOptions(column_names=names, use_threads=False, block_size=max(len(data) + 1, 1 << 16)),
            parse_options=csv.ParseOptions(
                delimiter=delimiter, ignore_empty_lines=False, newlines_in_values=True, invalid_row_handler=refuse
            ),
            convert_options=csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=[""]
            ),
        )
    except pa.ArrowInvalid:
        return None
    if table.num_rows + len(faults) != len(raw):
        return None
    keep = np.ones(len(raw), dtype=bool)
    keep[list(faults)] = False
    return Columns(np.flatnonzero(keep), table, faults)


def _exact(raw: Array, names: list[str], delimiter: str) -> Columns:
    faults: dict[int, str] = {}
    rows: list[int] = []
    values: list[list[str]] = []
    for number, record in enumerate(raw.to_pylist()):
        fields = split_row(record or b"", delimiter)
        if fields is None:
            faults[number] = "a quote is left open"
        elif len(fields) != len(names):
            faults[number] = _width(len(names), len(fields))
        else:
            rows.append(number)
            values.append(fields)
    columns = zip(*values, strict=True) if values else [()] * len(names)
    arrays = [pa.array([value or None for value in column], pa.string()) for column in columns]
    return Columns(np.array(rows, np.int64), pa.table(arrays, names=names), faults)


def _width(expected: int, found: int) -> str:
    return f"{found} columns where the header has {expected}"
