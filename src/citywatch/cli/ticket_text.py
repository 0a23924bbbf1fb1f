"""Proposals and tickets in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import click

from citywatch.ticketing import fine_in_words, place_of
from citywatch.wording import clock_time, printable


def print_table(proposals: Iterable[Mapping[str, Any]], zone: str) -> None:
    """A line a proposal, as they come: the list may be longer than the memory."""
    heading = (
        f"{'PROPOSAL':<12}  {'TIME':<19}  {'STATE':<9}  {'PLATE':<9}  {'CODE':>4}  {'FINE':>11}  {'SEEN':>4}  WHERE"
    )
    empty = True
    for proposal in map(printable, proposals):
        if empty:
            click.secho(heading, bold=True)
            empty = False
        when = f"{clock_time(proposal['time'], zone):>19}"
        start = f"{proposal['id'][:12]}  {when}  {proposal['state']:<9}  {proposal['plate']:<9}"
        costs = f"{proposal['violation_code']:>4}  {fine_in_words(proposal):>11}  {proposal['count']:>4}"
        ticket = f"  ticket {proposal['summons_number']}" if proposal["summons_number"] else ""
        click.echo(f"{start}  {costs}  {place_of(proposal)}{ticket}")
    if empty:
        click.echo("no proposals", err=True)


def in_words(proposal: Mapping[str, Any], zone: str) -> str:
    """`K1234, code 46 (double parking), Fri 1 May 08:00:00, 907 W 91st St`."""
    proposal = printable(proposal)
    offence = f" ({proposal['offence'].lower()})" if proposal["offence"] else ""
    parts = [proposal["plate"], f"code {proposal['violation_code']}{offence}", clock_time(proposal["time"], zone)]
    return ", ".join([*parts, *filter(None, [place_of(proposal)])])
