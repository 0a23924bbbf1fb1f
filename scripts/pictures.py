"""Take the pictures of the README from the running demo: `python -m scripts.pictures` (needs Chromium and Linux).

Writes page.png, alert.png and terminal.png in docs/images/.
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
from pathlib import Path
from typing import IO

from playwright.sync_api import Browser, Page, sync_playwright
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
CITYWATCH = Path(sys.executable).with_name("citywatch")
_WAIT_S = 150
_WIDTH = 185
_ENVIRONMENT = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(_WIDTH)}
_CHROMIUM = ["--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-sync"]


def main() -> None:
    """Let the demo run until several kinds of alert are there, then look at it."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as directory, tempfile.TemporaryFile("w+") as words:
        command: list[str | Path] = [CITYWATCH, "up", "--demo", "--data", directory, "--port", "0"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=words, env=_ENVIRONMENT) as up:
            time.sleep(_WAIT_S)
            link = _link(words)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=_CHROMIUM)
                _page(browser, link)
                _terminal(browser, directory)
            up.terminate()


def _link(words: IO[str]) -> str:
    words.seek(0)
    found = re.search(r"http://\S+", words.read())
    if found is None:
        raise RuntimeError("the demo printed no link")
    return found[0]


def _page(browser: Browser, link: str) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(link)
    page.wait_for_timeout(1500)
    _shoot(page, "page.png")
    page.get_by_text("Same plate too far apart").first.click()
    page.wait_for_timeout(1000)
    _shoot(page, "alert.png")


def _shoot(page: Page, name: str) -> None:
    # Whoever takes the pictures shall not stand in them.
    page.evaluate("document.querySelector('form.leave .wide').textContent = 'ada\u00a0·\u00a0'")
    page.screenshot(path=IMAGES / name)


def _terminal(browser: Browser, directory: str) -> None:
    """What `alerts tail` says to a terminal, colours and all."""
    command = [str(CITYWATCH), "alerts", "tail", "--once", "--data", directory, "--since", "30m"]
    keeper, terminal = pty.openpty()
    subprocess.run(command, stdout=terminal, stderr=subprocess.DEVNULL, env=_ENVIRONMENT, check=True)
    os.close(terminal)
    text = os.read(keeper, 1 << 16).decode()
    console = Console(record=True, width=_WIDTH, file=open(os.devnull, "w"))  # noqa: SIM115, PTH123 - shown nowhere
    console.print("[bold]$ citywatch alerts tail[/]")
    console.print(Text.from_ansi(text.replace("\a", "").replace("\r\n", "\n")))
    page = browser.new_page(viewport={"width": 1360, "height": 400})
    page.set_content(console.export_html(inline_styles=True, theme=MONOKAI))
    page.add_style_tag(
        content="body{background:#0c0c0c;margin:0;padding:10px} pre{font-size:12px!important;line-height:1.45}"
    )
    page.locator("body").screenshot(path=IMAGES / "terminal.png")


if __name__ == "__main__":
    main()
