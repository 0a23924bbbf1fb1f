"""Proposals and tickets in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from citywatch.wording import clock_time, place_in_words


def print_table(proposals: Sequence[Mapping[str, Any]], zone: str) -> None:
    """A line a proposal."""
    if not proposals:
        click.echo("no proposals", err=True)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("proposal", "state", "time", "plate", "code", "fine", "seen", "where", "ticket"):
        table.add_column(column, justify="right" if column in ("code", "fine", "seen") else "left", no_wrap=True)
    for proposal in proposals:
        table.add_row(
            proposal["id"][:12],
            proposal["state"],
            clock_time(proposal["time"], zone),
            proposal["plate"],
            str(proposal["violation_code"]),
            fine_in_words(proposal),
            f"{proposal['count']}×",
            place_in_words(proposal),
            proposal["summons_number"] or "",
        )
    width = None if click.get_text_stream("stdout").isatty() else 200
    Console(width=width, highlight=False, soft_wrap=True).print(table)


def fine_in_words(proposal: Mapping[str, Any]) -> str:
    """`$115`; both where the place does not tell which one holds."""
    if proposal["fine"] is not None:
        return f"${proposal['fine']}"
    if proposal["fine_manhattan"] is None:
        return "?"
    return f"${proposal['fine_elsewhere']} or ${proposal['fine_manhattan']}"


def in_words(proposal: Mapping[str, Any], zone: str) -> str:
    """`K1234, code 46 (double parking), Fri 1 May 08:00:00, 907 W 91st St`."""
    offence = f" ({proposal['offence'].lower()})" if proposal["offence"] else ""
    parts = [proposal["plate"], f"code {proposal['violation_code']}{offence}", clock_time(proposal["time"], zone)]
    return ", ".join([*parts, *filter(None, [place_in_words(proposal)])])
