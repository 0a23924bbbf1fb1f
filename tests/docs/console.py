"""Runs the ```console blocks of a Markdown page as a reader would: top to bottom, in one fresh directory.

A line that begins with ``$ `` is a command; the lines below it are words that its output must show, in that order
(`...` stands for anything). Fenced blocks with ``title="FILE"`` are written to that file first. Behind ``console`` may
stand ``until-seen`` (the command runs until its words were seen, then gets Ctrl-C), ``background`` (the same, but it
gets Ctrl-C at the end of the page), ``in-any-order`` (lines of the output that do not wait for each other) and
``exit=N`` (that exit code is expected).
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[2]
_FENCE = re.compile(r"^```(?P<info>[^\n]*)\n(?P<body>.*?)^```\s*$", re.MULTILINE | re.DOTALL)
_PATIENCE = 120.0
# These would run the tests from within the tests, or measure for minutes: `make -n` says at least that they exist.
_TOO_LONG = {"test", "check", "soak", "bench", "clean", "browser"}


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: the words behind the fence, its text, and the line where it begins."""

    info: str
    body: str
    line: int


@dataclass(frozen=True, slots=True)
class Command:
    """A command of a page, the words that its output must show, and how it is run."""

    text: str
    words: str
    line: int
    how: str = ""
    exit_code: int = 0
    ordered: bool = True

    def shown_in(self, output: str) -> bool:
        """Whether the output has the words."""
        wanted = [self.words] if self.ordered else self.words.splitlines()
        return all(shows(output, words) for words in wanted)


def blocks(page: str) -> Iterator[Block]:
    """All fenced blocks of a Markdown text."""
    for match in _FENCE.finditer(page):
        yield Block(match["info"].strip(), match["body"], page.count("\n", 0, match.start()) + 1)


def commands(block: Block) -> Iterator[Command]:
    """The commands of a console block; a backslash at the end of a line continues it."""
    _, *options = block.info.split()
    code = next((int(option[5:]) for option in options if option.startswith("exit=")), 0)
    how = next((option for option in options if option in ("until-seen", "background")), "")
    body = re.sub(r"\\\n> ?", "", block.body)
    for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
        text, _, words = part.partition("\n")
        line = block.line + 1 + body.count("\n", 0, body.index(part))
        yield Command(text.strip(), words.strip(), line, how, code, "in-any-order" not in options)


def shows(output: str, words: str) -> bool:
    """Whether the output has the words in their order; blanks of any length are one."""
    lines = [line.split("...") for line in words.replace("…", "...").splitlines() if line.strip()]
    pattern = ".*?".join(".*?".join(r"\s+".join(map(re.escape, part.split())) for part in line) for line in lines)
    return re.search(pattern, output, re.DOTALL) is not None


@dataclass
class Reader:
    """A reader of one page, with a directory of its own."""

    directory: Path
    port: int
    running: list[tuple[Command, subprocess.Popen[str], IO[str]]] = field(default_factory=list)

    def follow(self, page: Path) -> None:
        """Do all that a page says; raises AssertionError with page and line where it is not as the page says."""
        text = page.read_text("utf-8")
        try:
            for block in blocks(text):
                self._do(block, page)
        finally:
            for command, process, output in reversed(self.running):
                self._interrupt(command, process, output, page)

    def _do(self, block: Block, page: Path) -> None:
        if title := re.search(r'title="([^"]+)"', block.info):
            target = self.directory / title[1]
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.body, "utf-8")
        elif block.info.split()[:1] == ["console"]:
            for command in commands(block):
                self._run(replace(command, words=self._moved(command.words)), page)

    def _run(self, command: Command, page: Path) -> None:
        if command.how:
            self._run_until_seen(command, page)
            return
        done = subprocess.run(
            ["sh", "-c", self._as_run(command.text)],
            cwd=self._place(command.text),
            env=self._environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
        self._judge(command, page, done.stdout, done.returncode)

    def _run_until_seen(self, command: Command, page: Path) -> None:
        output = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - lives as long as its process
        process = subprocess.Popen(
            ["sh", "-c", f"exec {self._as_run(command.text)}"],
            cwd=self._place(command.text),
            env=self._environment(),
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        until = time.monotonic() + _PATIENCE
        while not command.shown_in(_all_of(output)) and process.poll() is None and time.monotonic() < until:
            time.sleep(0.1)
        if command.how == "background" and process.poll() is None:
            self._judge(command, page, _all_of(output), command.exit_code)
            self.running.append((command, process, output))
        else:
            self._interrupt(command, process, output, page)

    def _interrupt(self, command: Command, process: subprocess.Popen[str], output: IO[str], page: Path) -> None:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        try:
            code = process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise AssertionError(f"{page}:{command.line}: `{command.text}` did not end at Ctrl-C") from None
        with output:
            self._judge(command, page, _all_of(output), 0 if code in (0, 130, -signal.SIGINT) else code)

    def _judge(self, command: Command, page: Path, output: str, code: int) -> None:
        at = f"{page.relative_to(ROOT)}:{command.line}: `{command.text}`"
        assert code == command.exit_code, f"{at} ended with {code}, not {command.exit_code}, and said:\n{output}"
        assert command.shown_in(output), f"{at} does not show\n{command.words}\nbut\n{output}"

    def _as_run(self, text: str) -> str:
        """The command with a port of its own, so that pages can be tested side by side."""
        text = self._moved(text.removeprefix(".venv/bin/"))
        words = shlex.split(text)
        if words[0] == "make":
            if _TOO_LONG & set(words):
                return text.replace("make ", "make -n ", 1)
            if "run" in words:
                return f'{text} ARGS="--port {self.port} --data {self.directory / "citywatch-data"}"'
        if words[:2] == ["citywatch", "up"] and "--port" not in words:
            return f"{text} --port {self.port}"
        return text

    def _moved(self, text: str) -> str:
        return re.sub(r"(127\.0\.0\.1|localhost):8000", rf"\1:{self.port}", text)

    def _place(self, text: str) -> Path:
        """`make` is called in the checkout, everything else where the reader works."""
        return ROOT if text.startswith("make ") else self.directory

    def _environment(self) -> dict[str, str]:
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("CITYWATCH_", "MAKE", "MFLAGS"))
        }
        path = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
        return {**kept, "PATH": path, "NO_COLOR": "1", "COLUMNS": "200", "PYTHONUNBUFFERED": "1"}


def _all_of(output: IO[str]) -> str:
    return os.pread(output.fileno(), 1 << 24, 0).decode("utf-8", "replace")
