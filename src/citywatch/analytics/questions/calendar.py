"""Week against week-end, July and August: the older drone system's questions about the calendar."""

from __future__ import annotations

from typing import TYPE_CHECKING

from citywatch.analytics.archive import Archive
from citywatch.analytics.question import Answer, Asked, Question, left_out_of
from citywatch.analytics.questions.tickets import TICKETS
from citywatch.analytics.tally import tally

if TYPE_CHECKING:
    import pyarrow as pa

DAYS = ("local_date",)
"""The dimension from which all of this is told."""


def week_and_weekend(archive: Archive, asked: Asked) -> Answer:
    """One row for Monday to Friday, one for Saturday and Sunday."""
    counted = tally(archive, asked, DAYS)
    return Answer(parts_of_the_week(archive), left_out_of(counted.left_out))


def parts_of_the_week(archive: Archive) -> pa.Table:
    """part, days, count, per_day of a tally by `DAYS`."""
    return archive.query("""
        WITH days AS (
            SELECT n, CASE WHEN isodow(CAST(local_date AS DATE)) > 5 THEN 'weekend' ELSE 'week' END AS part FROM tally)
        SELECT part, count(*) AS days, CAST(sum(n) AS BIGINT) AS count, sum(n) / count(*) AS per_day
        FROM days GROUP BY part ORDER BY part""")


def summer(archive: Archive, asked: Asked) -> Answer:
    """July, August, and both together, of all years in the period."""
    counted = tally(archive, asked, DAYS)
    periods = july_and_august(archive)
    outside = {"outside_july_and_august": counted.total - periods["july_and_august"]}
    rows = [{"period": period, "count": count} for period, count in periods.items()]
    return Answer.of(rows, ("period", "count"), {**counted.left_out, **outside})


def july_and_august(archive: Archive) -> dict[str, int]:
    """Period -> count of a tally by `DAYS`."""
    july, august = archive.one("""
        SELECT CAST(coalesce(sum(n) FILTER (local_date[6:7] = '07'), 0) AS BIGINT),
               CAST(coalesce(sum(n) FILTER (local_date[6:7] = '08'), 0) AS BIGINT) FROM tally""")
    return {"july": july, "august": august, "july_and_august": july + august}


QUESTIONS = (
    Question(
        name="week-and-weekend",
        title="The week against the week-end",
        definition=(
            "Events on Monday to Friday and on Saturday and Sunday, in total and for each day. A day counts when it "
            "has at least one counted event."
        ),
        columns={
            "part": "week or weekend",
            "days": "days with at least one counted event",
            "count": "how many",
            "per_day": "count / days",
        },
        ask=week_and_weekend,
        types=TICKETS,
        takes_top=False,
        chart=("part", "per_day"),
    ),
    Question(
        name="summer",
        title="July and August",
        definition="Events in July, in August, and in both, of all years in the period.",
        columns={"period": "july, august or july_and_august", "count": "how many"},
        ask=summer,
        exclusions={"outside_july_and_august": "another month"},
        types=TICKETS,
        takes_top=False,
        chart=("period", "count"),
    ),
)
