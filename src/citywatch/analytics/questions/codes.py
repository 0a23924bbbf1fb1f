"""How many messages carry the code of an offence."""

from __future__ import annotations

from citywatch.analytics.archive import Archive
from citywatch.analytics.question import Answer, Asked, Question
from citywatch.analytics.tally import COUNT, tally

MESSAGES = ("drone.position", "drone.violation", "ticket.issued")
"""What the older drone system received."""


def with_and_without_code(archive: Archive, asked: Asked) -> Answer:
    """Two rows: messages with a code, and without."""
    counted = tally(archive, asked, ("has_code",))
    rows = [{"part": part, **row} for part, row in coded(archive, counted.total).items()]
    return Answer.of(rows, ("part", "count", "share"), counted.left_out)


def coded(archive: Archive, total: int) -> dict[str, dict[str, float]]:
    """with_code, without_code -> count and share, of a tally by has_code and perhaps more."""
    found = archive.con.execute("SELECT has_code, CAST(sum(n) AS BIGINT) FROM tally GROUP BY has_code").fetchall()
    counts = dict(found)
    return {
        part: {"count": counts.get(has, 0), "share": counts.get(has, 0) / max(total, 1)}
        for part, has in (("with_code", True), ("without_code", False))
    }


QUESTIONS = (
    Question(
        name="with-and-without-code",
        title="Messages with and without a code of an offence",
        definition="Messages of drones, and tickets, by whether they have a code, after corrections.",
        columns={"part": "with_code or without_code", **COUNT},
        ask=with_and_without_code,
        types=MESSAGES,
        takes_top=False,
        chart=("part", "count"),
    ),
)
