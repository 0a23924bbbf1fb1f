"""Lines become records: what is fit to be sent, and what is kept back with its reason."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any, Callable, Iterable, Iterator, NamedTuple

from .encoding import MARK, Decoder, complaint
from .lines import Line, Source
from .problems import SendError

NDJSON = "ndjson"
CSV = "csv"
DELIMITERS = (",", ";", "\t", "|")
LINES_OF_A_RECORD = 100
BYTES_OF_A_RECORD = 1 << 20
_BLANK = b" \t\r\n"
_SUFFIXES = {".csv": CSV, ".tsv": CSV, ".ndjson": NDJSON, ".jsonl": NDJSON}
_NOT_TEXT = (
    (b"PK\x03\x04", "is a zip or an Excel file", "save it as CSV"),
    (b"PAR1", "is Parquet", "citywatch run reads it"),
    (b"\xff\xfe", "is UTF-16", "save it as CSV UTF-8"),
    (b"\xfe\xff", "is UTF-16", "save it as CSV UTF-8"),
)


class Record(NamedTuple):
    """A record: the number of its first line, its last line, all its bytes, and what is sent of it.

    Either `body` or `reason`, why it is not sent, is empty.
    """

    number: int
    last: Line
    raw: bytes
    body: bytes
    reason: str


def kind_of(source: Source) -> str:
    """NDJSON or CSV, by the name of the file and else by its beginning. Raises SendError for anything else."""
    beginning = source.beginning()
    for magic, what, hint in _NOT_TEXT:
        if beginning.startswith(magic):
            raise SendError(f"{source.path} {what}", hint)
    text = (beginning[len(MARK) :] if beginning.startswith(MARK) else beginning).lstrip()
    suffixes = [suffix.lower() for suffix in source.path.suffixes if suffix.lower() != ".gz"]
    named = _SUFFIXES.get(suffixes[-1]) if suffixes else None
    if named != CSV and (text.startswith(b"[") or text.split(b"\n", 1)[0].strip() == b"{"):
        raise SendError(f"{source.path} is JSON over several lines", "write one object a line")
    return named or (NDJSON if text.startswith(b"{") else CSV)


def records_of(source: Source, kind: str, decoder: Decoder, offset: int = 0, number: int = 0) -> Iterator[Record]:
    """Records behind byte `offset`, where line `number` ends. Raises SendError for a CSV without a header."""
    if kind == NDJSON:
        return _objects(source.lines(offset, number), decoder)
    header = header_of(source, decoder)
    if header is None:
        return iter(())
    if number < header.line.number:
        offset, number = header.line.end, header.line.number
    return _rows(source.lines(offset, number), header, decoder)


# NDJSON


def _objects(lines: Iterable[Line], decoder: Decoder) -> Iterator[Record]:
    for line in lines:
        if line.raw.strip(_BLANK) and line.raw.strip(_BLANK) != MARK:
            yield _judged(line.number, [line], decoder, _json_fault)


def _constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


_JSON = json.JSONDecoder(parse_constant=_constant, parse_int=float)  # an int may have more digits than Python reads


def _json_fault(text: str) -> str:
    try:
        value = _JSON.decode(text)
    except RecursionError:
        return "not JSON: nested too deeply"
    except ValueError as error:
        return f"not JSON: {error}"
    return "" if isinstance(value, dict) else "not a JSON object"


def object_of(body: bytes) -> dict[str, Any]:
    """The object that a record of NDJSON is."""
    value: dict[str, Any] = _JSON.decode(body.decode("utf-8"))
    return value


# CSV


class Header(NamedTuple):
    """First record of a CSV: its line, its text, what separates the columns, and how many there are."""

    line: Line
    text: str
    delimiter: str
    width: int


def header_of(source: Source, decoder: Decoder) -> Header | None:
    """The header; None for a file with nothing in it. Raises SendError when the first line is none."""
    for line in source.lines():
        if not line.raw.strip(_BLANK) or line.raw.strip(_BLANK) == MARK:
            continue
        try:
            text = decoder.text(line.raw, line).rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise SendError(f"{source.path}:{line.number}: {complaint(error)}") from error
        if "\r" in text:
            raise SendError(f"{source.path}: the lines end in CR alone", "save it with line ends of Windows or Unix")
        delimiter = max(DELIMITERS, key=text.count)
        width = _width(text, delimiter)
        if line.fault or not width or not text.replace(delimiter, "").strip(' "'):
            what = f"{source.path}:{line.number}: the first line is no header of columns"
            raise SendError(what, "a CSV has to begin with the names of its columns")
        return Header(line, text, delimiter, width)
    return None


def _rows(lines: Iterable[Line], header: Header, decoder: Decoder) -> Iterator[Record]:
    def fault(text: str) -> str:
        width = _width(text.rstrip("\r\n"), header.delimiter)
        if not width:
            return "a quote is left open"
        return "" if width == header.width else f"{width} columns where the header has {header.width}"

    for group in _joined(lines, header):
        if group[0].raw.strip() or len(group[0].raw.rstrip(b"\n")) > 1:
            yield _judged(group[0].number, group, decoder, fault)


def _width(text: str, delimiter: str) -> int:
    """Number of columns of a record; 0 when a quote is left open."""
    if '"' not in text:
        return text.count(delimiter) + 1
    field, at, width = _field(delimiter), 0, 0
    while True:
        match = field.match(text, at)
        if match is None:
            return 0
        at, width = match.end(), width + 1
        if not match.group(2):
            return width


@lru_cache(maxsize=None)
def _field(delimiter: str) -> re.Pattern[str]:
    """A value and what stands behind it. What a quote opens, the last possible quote closes: nothing is tried again."""
    d = re.escape(delimiter)
    return re.compile(r'(?:"(?=([^"]*(?:""[^"]*)*))\1"[^' + d + r']*|(?!")[^' + d + r"]*)(" + d + r"|\Z)")


def _joined(lines: Iterable[Line], header: Header) -> Iterator[list[Line]]:
    """Lines by record. A quote that is left open must not swallow the rest of the file: see `_is_record`."""
    held: list[Line] = []
    for line in lines:
        odd = line.raw.count(b'"') % 2 == 1
        if not held and not odd:
            yield [line]
            continue
        held.append(line)
        if len(held) > 1 and odd and _is_record(held, header):
            yield held
            held = []
        elif (len(held) > 1 and odd) or _too_much(held):
            for single in held[:-1]:
                yield [single]
            held = held[-1:]
            if not odd:
                yield held
                held = []
    for single in held:
        yield [single]


def _too_much(held: list[Line]) -> bool:
    return len(held) > LINES_OF_A_RECORD or sum(len(line.raw) for line in held) > BYTES_OF_A_RECORD


def _is_record(held: list[Line], header: Header) -> bool:
    """Whether several lines are one record: well formed, short, and no line inside of it a whole row by itself."""
    if _too_much(held) or any(line.fault for line in held):
        return False
    strict = _strict(header.delimiter, header.width)
    if not strict.fullmatch(b"".join(line.raw for line in held)):
        return False
    return header.width < 3 or not any(strict.fullmatch(line.raw) for line in held[1:-1])


@lru_cache(maxsize=None)
def _strict(delimiter: str, width: int) -> re.Pattern[bytes]:
    """A row of `width` columns with quotes only where the format has them."""
    d = re.escape(delimiter.encode())
    field = rb'(?:"[^"]*(?:""[^"]*)*"|[^"\r\n' + d + rb"]*)"
    return re.compile(field + rb"(?:" + d + field + rb"){%d}\r?\n?" % (width - 1))


# both


def _judged(number: int, lines: list[Line], decoder: Decoder, fault_of: Callable[[str], str]) -> Record:
    last = lines[-1]
    raw = lines[0].raw if len(lines) == 1 else b"".join(line.raw for line in lines)
    reason = lines[0].fault
    if reason:
        return Record(number, last, raw, b"", reason)
    try:
        text = decoder.text(raw, last)
        body = text.encode()
    except UnicodeDecodeError as error:
        return Record(number, last, raw, b"", complaint(error))
    reason = "holds a NUL byte" if "\0" in text else fault_of(text)
    if reason and not raw.endswith(b"\n"):
        reason = f"the file ends within this line: {reason}"
    return Record(number, last, raw, b"" if reason else body.rstrip(b"\r\n"), reason)
