"""The command: `citywatch-send.pyz FILE --to URL`, and what `citywatch send` does as well."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from .door import Receiver
from .problems import SendError, WrongUsageError
from .progress import Screen, report
from .sending import Options, Sending

KEY = "CITYWATCH_KEY"
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
HELP = {
    "to": "Address of the citywatch, like http://city.example:8000.",
    "mapping": "Mapping that says what the lines mean. Without it they are CloudEvents.",
    "rate": "Lines a second at most; as fast as it goes otherwise.",
    "batch": "Lines in a request, at most.",
    "key_file": f"File with the API key; else the environment names it, as {KEY}.",
    "encoding": "Encoding of the file, like cp1252; found out otherwise.",
    "keep": "Directory for what is remembered and what is kept; beside the file otherwise.",
    "again": "Send from the beginning, whatever was sent before.",
    "give_up": "Stop after so long without an acknowledgement, like 30s, 10m or 2h; never otherwise.",
}


def seconds(text: str) -> float:
    """`30s`, `10m`, `2h` or `1d` as seconds; nothing is 0. Raises WrongUsageError."""
    if not text:
        return 0.0
    try:
        return float(text[:-1]) * _UNITS[text[-1]]
    except (KeyError, ValueError):
        raise WrongUsageError(f"{text!r} is no duration", "write 30s, 10m or 2h") from None


def key_from(file: Path | None, environment: dict[str, str]) -> str:
    """The API key of a file, or of the environment. Raises SendError."""
    if file is None:
        key = environment.get(KEY, "").strip()
    else:
        try:
            content = file.read_bytes()
            # PowerShell's `>` writes UTF-16.
            key = content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SendError(f"cannot read the key in {file}: {error}") from error
        if not key:
            raise SendError(f"there is no key in {file}")
    if not key.isprintable() or not key.isascii() or " " in key:
        raise SendError("the API key is more than one word", f"look at --key-file or {KEY}")
    return key


def run(options: Options, door: Receiver | None = None) -> int:
    """Send, tell, and say how it ended: 0 all is sent or kept, 1 it stopped, 2 wrong usage."""
    screen = Screen()
    sending = None
    try:
        sending = Sending(options, screen, door=door)
        sending.run()
    except SendError as error:
        screen.notice(f"citywatch: {error}")
        if sending is not None and error.code == 1:
            screen.notice(report(sending))
        return error.code
    except KeyboardInterrupt:
        done = report(sending) + "; " if sending is not None else ""
        screen.notice(f"stopped: {done}the same command goes on where it stopped")
        return 1
    screen.notice(report(sending))
    return 0


def main(arguments: list[str] | None = None, version: str = "0") -> int:
    """The command line of the sender alone."""
    asked = _parser(version).parse_args(arguments)
    try:
        options = Options(
            file=Path(asked.file),
            to=asked.to,
            mapping=asked.mapping,
            key=key_from(Path(asked.key_file) if asked.key_file else None, dict(os.environ)),
            rate=asked.rate,
            batch=asked.batch,
            encoding=asked.encoding,
            keep=Path(asked.keep) if asked.keep else None,
            again=asked.again,
            give_up=seconds(asked.give_up),
            version=version,
        )
    except SendError as error:
        Screen().notice(f"citywatch: {error}")
        return error.code
    return run(options)


def _parser(version: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="citywatch-send",
        description="Send the lines of a file (NDJSON or CSV, also .gz) to a citywatch, each once.",
        epilog="Called again, it goes on where it stopped. Exit codes: 0 fine, 1 it stopped, 2 wrong usage.",
        allow_abbrev=False,
    )
    parser.add_argument("file", metavar="FILE")
    parser.add_argument("--to", metavar="URL", required=True, help=HELP["to"])
    parser.add_argument("--mapping", metavar="NAME", default="", help=HELP["mapping"])
    parser.add_argument("--rate", metavar="N", type=float, default=0.0, help=HELP["rate"])
    parser.add_argument("--batch", metavar="N", type=int, default=500, help=HELP["batch"] + " [500]")
    parser.add_argument("--key-file", metavar="FILE", help=HELP["key_file"])
    parser.add_argument("--encoding", metavar="NAME", default="", help=HELP["encoding"])
    parser.add_argument("--keep", metavar="DIR", help=HELP["keep"])
    parser.add_argument("--again", action="store_true", help=HELP["again"])
    parser.add_argument("--give-up", metavar="TIME", default="", help=HELP["give_up"])
    parser.add_argument("--version", action="version", version="citywatch-send " + version)
    return parser
