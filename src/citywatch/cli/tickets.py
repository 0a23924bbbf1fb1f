"""`citywatch tickets`: proposals that violations lead to, what people decide about them, and the tickets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from citywatch.cli.options import data_option, person
from citywatch.settings import Settings
from citywatch.stores.desk import Desk
from citywatch.stores.directory import DataDirectory
from citywatch.ticketing import Decision, Selection, Standing, Verdict

format_option = click.option(
    "--format", "form", type=click.Choice(["table", "ndjson"]), default="table", show_default=True, help="Form."
)
ids_argument = click.argument("proposals", nargs=-1, required=True, metavar="PROPOSAL...")


@click.group()
def tickets() -> None:
    """List proposals for tickets, approve or refuse them, export the tickets.

    PROPOSAL is any unique beginning of a proposal's id.
    """


@contextmanager
def _desk(data: Path) -> Iterator[tuple[Desk, Settings]]:
    """The desk of a data directory that exists, with all violations that are accepted now."""
    from citywatch.stores.violations import follow

    directory = DataDirectory(data).require()
    settings = directory.settings()
    with Desk(directory.desk, live=settings.live, create=False) as desk:
        follow(directory, desk, within=settings.same_offence)
        yield desk, settings


@tickets.command("list")
@data_option
@format_option
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([standing.value for standing in Standing]),
    help="Only those that stand so; may be given several times.",
)
@click.option("--code", "codes", multiple=True, type=int, help="Only of this violation code.")
def list_(*, data: Path, form: str, states: tuple[str, ...], codes: tuple[int, ...]) -> None:
    """Print proposals and tickets, ordered by time and id."""
    with _desk(data) as (desk, settings):
        desk.audit(person(), "tickets list")
        found = _pages(desk, Selection(standings=states, codes=codes))
        if form == "ndjson":
            for proposal in found:
                click.echo(json.dumps(proposal, ensure_ascii=False))
            return
        from citywatch.cli.ticket_text import print_table

        print_table(found, settings.zone)


_PAGE = 1000


def _pages(desk: Desk, selection: Selection) -> Iterator[dict[str, Any]]:
    after = None
    while page := desk.proposals(selection, limit=_PAGE, after=after):
        yield from page
        after = page[-1]["time"], page[-1]["id"]


@tickets.command()
@ids_argument
@data_option
@click.option("--reason", help="Why, in words; kept with the decision.")
def approve(proposals: tuple[str, ...], data: Path, reason: str | None) -> None:
    """Approve proposals: tickets are issued for them with the next export. All of those named, or none."""
    _decide(data, proposals, Decision(Verdict.APPROVE, person(), "cli", reason))


@tickets.command()
@ids_argument
@data_option
@click.option("--reason", required=True, help="Why, in words; kept with the decision.")
def refuse(proposals: tuple[str, ...], data: Path, reason: str) -> None:
    """Refuse proposals. All of those named, or none."""
    _decide(data, proposals, Decision(Verdict.REFUSE, person(), "cli", reason))


def _decide(data: Path, proposals: tuple[str, ...], decision: Decision) -> None:
    from citywatch.cli.ticket_text import in_words

    with _desk(data) as (desk, settings):
        for proposal in desk.decide_all([(text, None) for text in proposals], decision):
            click.echo(f"{proposal['state']} {proposal['id'][:12]}, {in_words(proposal, settings.zone)}", err=True)


@tickets.command()
@data_option
@click.option(
    "--to",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory of the files. [default: tickets/ in the data directory]",
)
@format_option
def export(*, data: Path, directory: Path | None, form: str) -> None:
    """Issue tickets for what is approved: each once, as a file in the city's columns and as a ticket.issued event.

    Prints the name of each file. What an export that was interrupted had begun is finished first.
    """
    from citywatch.stores.issuing import issue

    with _desk(data) as (desk, settings):
        place = directory or data / "tickets"
        batches = issue(desk, place, by=person(), first=settings.first_summons, zone=settings.zone)
        desk.audit(person(), f"tickets export of {len(batches)}")
        for batch in batches:
            issued = desk.in_batch(batch)
            if form == "ndjson":
                numbers = [ticket["summons_number"] for ticket in issued]
                line = {"batch": batch.number, "file": str(batch.file), "tickets": len(issued), "summons": numbers}
                click.echo(json.dumps(line))
            else:
                click.echo(batch.file)
            click.echo(f"batch {batch.number}: {len(issued):,} tickets", err=True)
    if not batches:
        click.echo("nothing is approved that was not exported before", err=True)
