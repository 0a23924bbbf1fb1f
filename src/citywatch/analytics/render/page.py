"""An answer as one page that needs nothing else: numbers, chart, what was left out; to read, print and file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from zoneinfo import ZoneInfo

from citywatch import __version__
from citywatch.analytics.question import Answer, Asked, Question
from citywatch.analytics.render.charts import BARS, is_ordered, svg
from citywatch.analytics.render.pseudonyms import PRIVATE, pseudonym
from citywatch.analytics.render.words import MEASURES, SHOWN, Cells, heading, in_words, is_number

_STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { font: 15px/1.5 Helvetica, Arial, sans-serif; color: #1b1f24; background: #fff;
  margin: 2.5rem auto; padding: 0 1.5rem; max-width: 52rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .4rem; }
h2 { font-size: 1.05rem; margin: 2rem 0 .5rem; }
p { margin: .3rem 0; max-width: 44rem; }
.period { color: #4a5561; }
figure { margin: 1.5rem 0 0; }
figure svg { max-width: 100%; height: auto; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; min-width: 60%; max-width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .3rem 1.2rem .3rem 0; border-bottom: 1px solid #dde2e7; vertical-align: top;
  overflow-wrap: break-word; }
th { font-weight: 600; border-bottom: 2px solid #9aa5b1; vertical-align: bottom; }
.number { text-align: right; }
td.number { white-space: nowrap; }
td:not(.number) { min-width: 6rem; }
th:last-child, td:last-child { padding-right: 0; }
footer { margin-top: 2.5rem; padding-top: .6rem; border-top: 1px solid #dde2e7; color: #4a5561; font-size: .85rem; }
@media print {
  body { margin: 0; max-width: none; font-size: 10.5pt; }
  .wide { overflow: visible; }
  th, td { padding-right: .7rem; }
  td:not(.number) { overflow-wrap: anywhere; }
  thead { display: table-header-group; }
  tr, figure { break-inside: avoid; }
  h2 { break-after: avoid; }
}
"""


DRAWN = 3660
"""At most so many columns stand side by side in a chart: ten years of days."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What a page says beside the answer. `span`: first and last event that was asked of, if any."""

    zone: str
    key: bytes
    span: tuple[datetime, datetime] | None = None
    now: datetime | None = None


def page(question: Question, asked: Asked, answer: Answer, frame: Frame) -> str:
    """HTML without a script or anything to fetch. Plates and persons stand under pseudonyms."""
    private = {name: pseudonym(frame.key, name) for name in answer.rows.column_names if name in PRIVATE}
    cells = in_words(answer.rows.slice(0, DRAWN), private, ZoneInfo(frame.zone))
    columns = list(cells[0]) if cells else list(answer.rows.column_names)
    title = question.title + (f", by {heading(asked.by)}" if asked.by else "")
    parts = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="period">{escape(_period(asked, frame))}</p>',
        f"<p>{_inline(question.definition)}{_types(asked, question)}</p>",
        _chart(question, asked, answer, cells),
        "<h2>Numbers</h2>",
        _table(columns, cells[:SHOWN]) if cells else "<p>There is nothing to count.</p>",
        _more(answer),
        _left_out(question, answer),
        _footer(question, frame, pseudonyms=bool(private)),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(part for part in parts[:-1] if part)
        + f"\n</main>\n{parts[-1]}\n</body>\n</html>\n"
    )


def _inline(text: str) -> str:
    """The two marks that definitions use: `code` and *term*."""
    for mark, tag in (("`", "code"), ("*", "em")):
        pieces = text.split(mark) if tag == "em" else escape(text).split(mark)
        text = "".join(f"<{tag}>{piece}</{tag}>" if i % 2 else piece for i, piece in enumerate(pieces))
    return text


def _types(asked: Asked, question: Question) -> str:
    types = asked.types or question.types
    return f" Counted: {escape(', '.join(types))}." if types and types != question.types else ""


def _period(asked: Asked, frame: Frame) -> str:
    zone = ZoneInfo(frame.zone)

    def shown(moment: datetime) -> str:
        return f"{moment.astimezone(zone):%Y-%m-%d %H:%M}"

    first, last = (
        datetime.fromtimestamp(edge / 1_000_000, UTC) if edge is not None else None
        for edge in (asked.period.start, asked.period.end)
    )
    if frame.span is None:
        return f"No events in this period ({frame.zone})."
    start = f"From {shown(first)}" if first else f"From the first event, {shown(frame.span[0])}"
    end = f"to before {shown(last)}" if last else f"to the last event, {shown(frame.span[1])}"
    return f"{start}, {end} ({frame.zone})."


def _chart(question: Question, asked: Asked, answer: Answer, cells: Cells) -> str:
    """The chart of the first columns, or nothing where a single number would be drawn."""
    if question.chart is None or len(cells) < 2:
        return ""
    along, measured = question.chart
    if along not in cells[0]:
        along = asked.by or along
    ordered = is_ordered(along) and asked.top is None and asked.by in (None, along)
    values = answer.rows[measured].to_pylist()
    names = [_name(row, along, asked.by) for row in cells]
    known = [(name, value) for name, value in zip(names, values, strict=False) if value is not None]
    drawn = known if ordered or measured not in MEASURES else [bar for bar in known if bar[1]]
    if not drawn:
        return ""
    shown = drawn if ordered else drawn[:BARS]
    words = f"{heading(measured)} by {heading(along)}"
    image = svg(shown, along=heading(along), measured=heading(measured), ordered=ordered)
    image = image.replace("<svg ", f'<svg role="img" aria-label="{escape(words)}" ', 1)
    return f"<figure>{image}{_caption(len(shown), len(drawn), answer.rows.num_rows, heading(measured))}</figure>"


def _caption(shown: int, drawn: int, total: int, measured: str) -> str:
    """What the chart leaves out of `total` rows: those without a bar, and all bars but the first."""
    notes = [f"The first {shown:,} of {total if total > DRAWN else drawn:,}."] if shown < drawn or total > DRAWN else []
    notes += [f"Not drawn: {total - drawn:,} without {measured}."] if drawn < total <= DRAWN else []
    return f"<figcaption>{' '.join(notes)}</figcaption>" if notes else ""


def _name(row: dict[str, str], along: str, by: str | None) -> str:
    called = row.get(f"{along} name", "")
    if along == "check":
        called = ""  # what a check means is too long for a label
    if "to_device" in row:
        return f"{row['from_device']} → {row['to_device']}"  # bars of one name would be drawn as one
    name = f"{row[along]} {called}".strip() if along != "local_weekday" else called
    return f"{row[by]} · {name}" if by and by != along else name


def _table(columns: Sequence[str], cells: Cells) -> str:
    def cell(tag: str, column: str, text: str) -> str:
        kind = ' class="number"' if is_number(column) else ""
        scope = ' scope="col"' if tag == "th" else ""
        return f"<{tag}{scope}{kind}>{escape(text)}</{tag}>"

    head = "".join(cell("th", column, heading(column)) for column in columns)
    body = "\n".join(f"<tr>{''.join(cell('td', column, text) for column, text in row.items())}</tr>" for row in cells)
    table = f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"
    return f'<div class="wide" tabindex="0">{table}</div>'


def _more(answer: Answer) -> str:
    rest = answer.rows.num_rows - SHOWN
    return f"<p>And {rest:,} rows more: ask for CSV or JSON to have them all.</p>" if rest > 0 else ""


def _left_out(question: Question, answer: Answer) -> str:
    if not answer.excluded:
        return "<h2>Left out</h2>\n<p>Nothing.</p>"
    rows = [
        {"why": question.exclusions.get(left.reason, left.reason).replace("_", " "), "rows": f"{left.rows:,}"}
        for left in answer.excluded
    ]
    return f"<h2>Left out</h2>\n{_table(('why', 'rows'), rows)}"


def _footer(question: Question, frame: Frame, *, pseudonyms: bool) -> str:
    now = (frame.now or datetime.now(UTC)).astimezone(ZoneInfo(frame.zone))
    note = " Plates and persons stand under pseudonyms." if pseudonyms else ""
    return f"<footer>citywatch {__version__}, report {question.name}, made {now:%Y-%m-%d %H:%M %Z}.{note}</footer>"
