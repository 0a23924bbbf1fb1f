"""Answers on a terminal: a drawn table; in a pipe the same words without the drawing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from rich.console import Console
from rich.table import Table
from rich.text import Text

from citywatch.analytics.question import Answer
from citywatch.analytics.render.words import SHOWN, Cells, heading, in_words, is_number
from citywatch.wording import printable


def print_answer(
    title: str, answer: Answer, console: Console, meanings: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Title, rows, what was left out. `meanings`: reason -> what it means."""
    cells: Cells = printable(in_words(answer.rows.slice(0, SHOWN)))
    columns = list(cells[0]) if cells else answer.rows.column_names
    if console.is_terminal:
        console.print(_drawn(title, columns, cells))
    else:
        _plain(columns, cells, console)
    if (rest := answer.rows.num_rows - SHOWN) > 0:
        console.print(f"and {rest:,} rows more: narrow it down with --top, or ask for csv or json", highlight=False)
    for left in answer.excluded:
        meaning = meanings.get(left.reason)
        why = f"{left.reason}: {meaning}" if meaning else left.reason
        console.print(f"left out: {left.rows:,} ({why})", style="dim", highlight=False, soft_wrap=True, markup=False)


def _drawn(title: str, columns: Sequence[str], cells: Cells) -> Table:
    table = Table(title=title, header_style="bold", title_justify="left")
    for column in columns:
        table.add_column(heading(column), justify="right" if is_number(column) else "left")
    for row in cells:
        table.add_row(*(Text(text) for text in row.values()))  # a Text: what comes from outside is no markup
    return table


def _plain(columns: Sequence[str], cells: Cells, console: Console) -> None:
    """Columns of fixed width, two blanks apart."""
    rows = [[heading(column) for column in columns], *(list(row.values()) for row in cells)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(columns))]
    for row in rows:
        line = "  ".join(
            text.rjust(width) if is_number(column) else text.ljust(width)
            for text, width, column in zip(row, widths, columns, strict=True)
        )
        console.file.write(line.rstrip() + "\n")
