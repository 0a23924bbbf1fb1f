"""`citywatch mappings`: list, check and test mappings of foreign messages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

    from citywatch.mappings.model import Mapping

_PATHS = click.argument("paths", nargs=-1, type=click.Path(path_type=Path))


@click.group()
def mappings() -> None:
    """List, check and test mappings of foreign messages."""


@mappings.command("list")
@_PATHS
@click.option("--format", "form", type=click.Choice(["table", "ndjson"]), default="table", help="How to print.")
def list_(paths: tuple[Path, ...], form: str) -> None:
    """Show the shipped mappings, or those in PATHS: what is read, and by which keys it is recognised."""
    from citywatch.mappings.load import load_mappings

    loaded = load_mappings(paths or None, judged=True)
    for mapping in loaded:
        click.echo(json.dumps(_row(mapping), ensure_ascii=False) if form == "ndjson" else _line(mapping))


@mappings.command()
@_PATHS
def check(paths: tuple[Path, ...]) -> None:
    """Load mappings and say everything that is wrong, each with its line."""
    from citywatch.errors import MappingError

    wrong = 0
    for file in _files(paths):
        try:
            _read(file)
        except MappingError as error:
            wrong += 1
            click.echo(str(error), err=True)
    _end(wrong, "mappings are wrong", "all mappings are fine")


@mappings.command()
@_PATHS
def test(paths: tuple[Path, ...]) -> None:
    """Run the samples inside of mappings."""
    from citywatch.mappings.samples import failures

    wrong = samples = 0
    for file in _files(paths):
        mapping = _read(file)
        samples += len(mapping.samples)
        for failure in failures(mapping):
            wrong += 1
            click.echo(str(failure), err=True)
    _end(wrong, "samples did not become what they say", f"{samples} samples are fine")


def _files(paths: tuple[Path, ...]) -> Iterator[Path]:
    from citywatch.mappings.load import mapping_files, shipped

    yield from mapping_files(paths or [shipped()])


def _read(file: Path) -> Mapping:
    from citywatch.mappings.load import read_mapping

    return read_mapping(file)


def _row(mapping: Mapping) -> dict[str, object]:
    return {
        "name": mapping.name,
        "title": mapping.title,
        "formats": sorted(mapping.formats),
        "recognised_by": [sorted(names) for names in mapping.required],
        "both_ways": mapping.returns is not None,
        "file": str(mapping.place.file),
    }


def _line(mapping: Mapping) -> str:
    keys = ", ".join("|".join(sorted(names)) for names in mapping.required)
    formats = "/".join(sorted(mapping.formats))
    ways = "to and from events" if mapping.returns else "to events"
    return f"{mapping.name:16} {formats:9} {ways:19} {mapping.title} ({keys})"


def _end(wrong: int, bad: str, good: str) -> None:
    click.echo(f"{wrong} {bad}" if wrong else good, err=True)
    if wrong:
        raise SystemExit(1)
