"""Take the pictures of the README from the running demo: `python -m scripts.pictures` (needs Chromium and Linux).

Writes page.png, correct.png, alert.png and terminal.png in docs/images/: what is there after a minute.
"""

from __future__ import annotations

import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

from playwright.sync_api import Browser, Page, sync_playwright
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
CITYWATCH = Path(sys.executable).with_name("citywatch")
_WAIT_S = 60
_WIDTH = 185
_ENVIRONMENT = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(_WIDTH)}
_CHROMIUM = ["--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-sync"]


def main() -> None:
    """Let the demo run for a minute, then look at it."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as directory, tempfile.TemporaryFile("w+") as words:
        command: list[str | Path] = [CITYWATCH, "up", "--demo", "--data", directory, "--port", "0"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=words, env=_ENVIRONMENT) as up:
            try:
                time.sleep(_WAIT_S)
                _look(_link(words), directory)
            finally:
                up.terminate()


def _look(link: str, directory: str) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=_CHROMIUM)
        _pages(browser, link)
        _terminal(browser, directory)


def _link(words: IO[str]) -> str:
    words.seek(0)
    found = re.search(r"http://\S+", words.read())
    if found is None:
        raise RuntimeError("the demo printed no link")
    return found[0]


def _pages(browser: Browser, link: str) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(link)
    page.wait_for_timeout(1500)
    _shoot(page, "page.png")
    _correction(page)
    page.get_by_role("link", name="All alerts").click()
    page.get_by_text("Same plate too far apart").first.click()
    page.wait_for_timeout(1000)
    _shoot(page, "alert.png")


def _correction(page: Page) -> None:
    """What a drone could not qualify, by its image, and the form for the right code."""
    page.locator(".is-open", has_text="a human is needed").first.click()
    page.get_by_text("Show plates, names and faces").click()
    page.get_by_label("For which purpose?").fill("check for a mistake")
    page.get_by_role("button", name="Show them").click()
    page.get_by_text("Correct the code").click()
    page.get_by_label("Right code").fill("46")
    page.get_by_label("Why").first.fill("double parked")
    page.get_by_alt_text("Image of event 1").scroll_into_view_if_needed()
    page.evaluate("scrollTo(0, document.querySelector('.evidence').closest('section').offsetTop - 72)")
    page.wait_for_timeout(1000)
    _shoot(page, "correct.png")


def _shoot(page: Page, name: str) -> None:
    # Whoever takes the pictures shall not stand in them.
    page.evaluate("document.querySelector('form.leave .wide').textContent = 'ada\u00a0·\u00a0'")
    page.screenshot(path=IMAGES / name)


def _terminal(browser: Browser, directory: str) -> None:
    """What `alerts tail` says to a terminal, colours and all."""
    text = _on_terminal([str(CITYWATCH), "alerts", "tail", "--once", "--data", directory, "--since", "3m"])
    console = Console(record=True, width=_WIDTH, file=open(os.devnull, "w"))  # noqa: SIM115, PTH123 - shown nowhere
    console.print("[bold]$ citywatch alerts tail[/]")
    console.print(Text.from_ansi(text.replace("\a", "").replace("\r\n", "\n")))
    page = browser.new_page(viewport={"width": 1360, "height": 400})
    page.set_content(console.export_html(inline_styles=True, theme=MONOKAI))
    page.add_style_tag(
        content="body{background:#0c0c0c;margin:0;padding:10px} pre{font-size:12px!important;line-height:1.45}"
    )
    page.locator("body").screenshot(path=IMAGES / "terminal.png")


def _on_terminal(command: list[str]) -> str:
    """All that a command says to a terminal."""
    keeper, terminal = pty.openpty()
    said = b""
    with subprocess.Popen(command, stdout=terminal, stderr=subprocess.DEVNULL, env=_ENVIRONMENT) as child:
        os.close(terminal)
        with suppress(OSError):  # how Linux says that nobody writes to a terminal any more
            while part := os.read(keeper, 1 << 16):
                said += part
    os.close(keeper)
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, command)
    return said.decode()


if __name__ == "__main__":
    main()
