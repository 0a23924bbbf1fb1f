"""Which encoding a file is in: UTF-8, or what Windows wrote before it."""

from __future__ import annotations

from .lines import Line, Source
from .problems import WrongUsageError

UTF8 = "utf-8"
OLD_WINDOWS = "cp1252"
MARK = b"\xef\xbb\xbf"
_WINDOW = 1 << 20


class Decoder:
    """Texts of lines. `encoding` is None until the first letter that is not ASCII decides.

    A file is in one encoding: the text from that letter on, up to a MiB of it, is UTF-8 when a quarter of its lines
    with such letters are (others hardly ever are by chance), and cp1252 otherwise. A line that is not in the encoding
    of its file is broken.
    """

    def __init__(self, source: Source, encoding: str | None) -> None:
        self._source = source
        self.encoding = encoding
        if encoding is not None:
            self._known(encoding)
        if encoding is None and source.beginning().startswith(MARK):
            self.encoding = UTF8

    def text(self, raw: bytes, line: Line) -> str:
        """`raw`, which ends with `line`, without a byte order mark. Raises UnicodeDecodeError."""
        if raw.isascii():
            return raw.decode("ascii")
        if raw.startswith(MARK) and line.end == len(raw):
            raw = raw[len(MARK) :]
        if self.encoding is None:
            self.encoding = self._judged(line.end - len(raw))
        return raw.decode(self.encoding)

    def _judged(self, offset: int) -> str:
        window = b""
        for block in self._source.blocks(offset):
            window += block
            if len(window) >= _WINDOW:
                window = window[: window.rfind(b"\n") + 1] or window
                break
        verdicts = [_is_utf8(line) for line in window.split(b"\n") if not line.isascii()]
        return UTF8 if 4 * sum(verdicts) >= len(verdicts) else OLD_WINDOWS

    @staticmethod
    def _known(encoding: str) -> None:
        try:
            plain = b"a,\r\n".decode(encoding) == "a,\r\n"
        except (LookupError, UnicodeDecodeError):
            plain = False
        if not plain:
            hint = "utf-8, or cp1252 of older Windows; save UTF-16 as UTF-8"
            raise WrongUsageError(f"cannot read {encoding!r}", hint)


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode(UTF8)
    except UnicodeDecodeError:
        return False
    return True


def complaint(error: UnicodeDecodeError) -> str:
    """Why a text could not be read, for a person."""
    where = error.start + 1
    return f"not {error.encoding}: byte 0x{error.object[error.start]:02X} at position {where:,}"
