"""How many messages carry the code of an offence."""

from __future__ import annotations

from citywatch.analytics.archive import Archive
from citywatch.analytics.question import Answer, Asked, Question, left_out_of
from citywatch.analytics.tally import COUNT, NO_CODE, tally

MESSAGES = ("drone.position", "drone.violation", "ticket.issued")
"""What the older drone system received."""


def with_and_without_code(archive: Archive, asked: Asked) -> Answer:
    """Two rows: messages with a code, and without."""
    counted = tally(archive, asked, ("violation_code",))
    left_out = dict(counted.left_out)
    parts = {"with_code": counted.total, "without_code": left_out.pop(NO_CODE, 0)}
    total = max(sum(parts.values()), 1)
    rows = [{"part": part, "count": count, "share": count / total} for part, count in parts.items()]
    return Answer(Answer.of(rows, ("part", "count", "share"), {}).rows, left_out_of(left_out))


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
