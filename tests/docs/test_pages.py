"""What README and docs say is so: commands run, links lead somewhere, the reference is that of the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from citywatch.cli import COMMANDS
from deploy.servers.server import free_port
from scripts import reference
from tests.docs.console import ROOT, Reader, blocks

FOUND = [page for place in ("*.md", "docs/**/*.md", "bench/*.md", "deploy/**/*.md") for page in ROOT.glob(place)]
PAGES = sorted(page for page in FOUND if ".venv" not in page.parts)
WITH_COMMANDS = [page for page in PAGES if "```console" in page.read_text("utf-8")]


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=name)
def test_every_command_of_a_page_does_what_the_page_says(page: Path, tmp_path: Path) -> None:
    Reader(tmp_path, free_port()).follow(page)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_no_command_hides_from_the_tests_in_a_block_of_another_kind(page: Path) -> None:
    hidden = [
        f"{name(page)}:{block.line}"
        for block in blocks(page.read_text("utf-8"))
        if block.info.split()[:1] in (["sh"], ["bash"], ["shell"], ["text"]) and re.search(r"^\$ ", block.body, re.M)
    ]
    assert not hidden


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_to_a_file_of_the_project(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    targets = re.findall(r"\]\(([^)#\s]+)", text)
    dead = [
        target
        for target in targets
        if not re.match(r"(https?|mailto):", target) and not (page.parent / target).exists()
    ]
    assert not dead


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_that_is_named_exists(page: Path) -> None:
    named = set(re.findall(r"`citywatch ([a-z]+)", page.read_text("utf-8")))
    assert named <= set(COMMANDS), f"no such command: {sorted(named - set(COMMANDS))}"


def test_every_page_can_be_reached_from_the_readme() -> None:
    seen: set[Path] = set()
    ahead = [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        if page in seen or not page.exists() or page.suffix != ".md":
            continue
        seen.add(page)
        ahead += [(page.parent / link).resolve() for link in re.findall(r"\]\(([^)#\s:]+)", page.read_text("utf-8"))]
    lost = [name(page) for page in PAGES if page not in seen]
    assert not lost


@pytest.mark.parametrize("file", reference.PAGES)
def test_the_reference_is_that_of_the_code(file: str) -> None:
    assert (reference.REFERENCE / file).read_text("utf-8") == reference.page(file), "run `make docs`"
