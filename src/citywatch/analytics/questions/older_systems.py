"""The seventeen numbers that the two systems before this one showed, each system's on one page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from citywatch.analytics.archive import Archive
from citywatch.analytics.dimensions import NO_TIME_OF_DAY
from citywatch.analytics.question import VIOLATIONS, Answer, Asked, Question
from citywatch.analytics.questions.calendar import july_and_august, parts_of_the_week
from citywatch.analytics.questions.codes import MESSAGES, coded
from citywatch.analytics.questions.messages import alerts
from citywatch.analytics.questions.persons import REPORTS, mean_age, reports_by_timeframe
from citywatch.analytics.questions.tickets import LEFT_OUT
from citywatch.analytics.tally import UNKNOWN_CORRECTED, tally, types_sql

_Row = dict[str, object]
_COLUMNS = {
    "number": "of the question, as the older system showed them",
    "question": "what was asked",
    "part": "the weekday, month, population .. that the value is of",
    "value": "the answer",
}
_WITH_PERSON = {**_COLUMNS, "person_id": "the person that the value is of"}
TEN = 10


def prestacop(archive: Archive, asked: Asked) -> Answer:
    """The thirteen of the drone system."""
    counted = tally(archive, replace(asked, types=MESSAGES), ("type", "has_code", "local_date"))
    codes = list(_codes(coded(archive, counted.total)))
    archive.con.execute(f"""
        CREATE OR REPLACE TEMP TABLE tally AS
        SELECT local_date, CAST(sum(n) AS BIGINT) AS n FROM tally
        WHERE has_code AND {types_sql((VIOLATIONS,))} GROUP BY local_date""")
    weekdays, months = (_counts(archive, part) for part in ("isodow(CAST(local_date AS DATE))", "local_date[1:7]"))
    rows = [
        *codes,
        *(_row(5, "violations by weekday", str(weekday), n) for weekday, n in weekdays),
        *_week(archive),
        *(_row(10, "violations by month", month, n) for month, n in months),
        *_summer(archive),
    ]
    return Answer.of(rows, _COLUMNS, counted.left_out)


def _counts(archive: Archive, part: str) -> list[tuple[str, int]]:
    """(part, violations) of the tally by days, in order."""
    return archive.con.execute(
        f"SELECT {part} AS part, CAST(sum(n) AS BIGINT) FROM tally GROUP BY part ORDER BY part"
    ).fetchall()


def _codes(parts: Mapping[str, Mapping[str, float]]) -> Iterator[_Row]:
    for number, (part, found) in zip((1, 3), parts.items(), strict=True):
        title = f"messages {part.replace('_', ' ')}"
        yield _row(number, title, "all", found["count"])
        yield _row(number + 1, f"share of {title}", "all", found["share"])


def _week(archive: Archive) -> Iterator[_Row]:
    parts = {row["part"]: row for row in parts_of_the_week(archive).to_pylist()}
    named = [(parts.get(part), title) for part, title in (("weekend", "on week-ends"), ("week", "in the week"))]
    for number, (row, title) in enumerate(named, 6):
        yield _row(number, f"violations {title}", "all", row["count"] if row else 0)
    for number, (row, title) in enumerate(named, 8):
        yield _row(number, f"violations {title}, per day", "all", row["per_day"] if row else 0)


def _summer(archive: Archive) -> Iterator[_Row]:
    for number, (period, count) in enumerate(july_and_august(archive).items(), 11):
        yield _row(number, f"violations in {period.replace('_', ' ')}", "all", count)


def safety_watcher(archive: Archive, asked: Asked) -> Answer:
    """The four of the safety watcher."""
    reports = replace(asked, types=REPORTS)
    raised = sum(row["count"] for row in alerts(archive, asked).rows.to_pylist())
    rows = [_row(1, "alerts", "all", raised)]
    ages = mean_age(archive, reports)
    rows += [_row(2, "mean age", row["population"], row["mean_age"]) for row in ages.rows.to_pylist()]
    persons = tally(archive, reports, ("person_id",)).answer(TEN)
    rows += [
        {**_row(3, "persons with most reports", None, r["count"]), "person_id": r["person_id"]}
        for r in persons.rows.to_pylist()
    ]
    frames = reports_by_timeframe(archive, reports)
    rows += [_row(4, "reports by timeframe", r["timeframe"], r["count"]) for r in frames.rows.to_pylist()]
    left_out = {e.reason: e.rows for answer in (ages, persons, frames) for e in answer.excluded}
    return Answer.of(rows, _WITH_PERSON, left_out)


def _row(number: int, question: str, part: str | None, value: float | None) -> _Row:
    return {"number": number, "question": question, "part": part, "value": None if value is None else float(value)}


QUESTIONS = (
    Question(
        name="prestacop",
        title="The thirteen numbers of the older drone system",
        definition=(
            "1 to 4: messages with and without a code, and their shares (`with-and-without-code`). The rest counts "
            "violations: tickets and drone violations that have a code. 5: by weekday (1 = Monday). 6 to 9: on "
            "week-ends and in the week, in total and for each day. 10: by month. 11 to 13: in July, in August, in both."
        ),
        columns=_COLUMNS,
        ask=prestacop,
        exclusions={UNKNOWN_CORRECTED: LEFT_OUT[UNKNOWN_CORRECTED]},
        fixed_types=True,
        takes_top=False,
    ),
    Question(
        name="safety-watcher",
        title="The four numbers of the older safety watcher",
        definition=(
            "1: alerts. 2: mean age of the persons reported, and of those in alerts. 3: the ten persons with most "
            "reports. 4: reports by timeframe."
        ),
        columns=_WITH_PERSON,
        ask=safety_watcher,
        exclusions={
            "no_age": "reports without an age, in 2",
            "no_person_id": "reports that name no person, in 3",
            NO_TIME_OF_DAY: "reports whose time is known to the day only, in 4",
        },
        fixed_types=True,
        takes_top=False,
    ),
)
