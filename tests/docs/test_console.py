"""The runner of the pages' commands can fail: else all pages would be right."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs import console
from tests.docs.console import Reader, shows


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(console, "ROOT", tmp_path)
    return tmp_path / "page.md"


def read(page: Path, text: str) -> None:
    page.write_text(text, "utf-8")
    work = page.parent / "work"
    work.mkdir(exist_ok=True)
    Reader(work, port=0).follow(page)


def test_words_are_found_in_their_order_whatever_stands_between() -> None:
    assert shows("a  b\nnoise\nc d", "a b\nc ...")
    assert shows("{a:1,b:2}", "{a:1...2}")
    assert shows("{a:1,b:2}", "a:1 ... b:2")
    assert not shows("c d\na b", "a b\nc d")
    assert not shows("ab", "a b")


def test_a_page_that_tells_the_truth_passes(page: Path) -> None:
    read(
        page, '```yaml title="a/b.txt"\nhello\n```\n\n```console\n$ cat a/b.txt \\\n>   | tr h H\nHello\n$ true\n```\n'
    )


def test_words_that_are_not_shown_are_told_with_page_and_line(page: Path) -> None:
    with pytest.raises(AssertionError, match=r"page\.md:4: `echo other` does not show"):
        read(page, "# Page\n\n```console\n$ echo other\nwords\n```\n")


def test_a_failing_command_is_told(page: Path) -> None:
    with pytest.raises(AssertionError, match="ended with 3, not 0"):
        read(page, "```console\n$ exit 3\n```\n")


def test_a_failure_can_be_what_the_page_says(page: Path) -> None:
    read(page, "```console exit=3\n$ echo refused; exit 3\nrefused\n```\n")


def test_a_command_without_end_gets_ctrl_c_once_its_words_were_seen(page: Path) -> None:
    read(page, "```console until-seen\n$ sh -c 'echo ready; exec sleep 100'\nready\n```\n")


def test_a_command_without_end_that_never_shows_its_words_is_told(page: Path) -> None:
    with pytest.raises(AssertionError, match="does not show"):
        read(page, "```console until-seen\n$ echo other\nready\n```\n")


def test_a_background_command_is_there_for_the_commands_below_it(page: Path) -> None:
    read(
        page,
        "```console background\n$ sh -c 'echo $$ > pid; echo ready; exec sleep 100'\nready\n```\n"
        "```console\n$ kill -0 $(cat pid) && echo alive\nalive\n```\n",
    )
