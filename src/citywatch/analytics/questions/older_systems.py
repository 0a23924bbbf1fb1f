"""The seventeen numbers that the two systems before this one showed, each system's on one page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from operator import itemgetter

from citywatch.analytics.archive import Archive
from citywatch.analytics.dimensions import NO_TIME_OF_DAY
from citywatch.analytics.question import VIOLATIONS, Answer, Asked, Question
from citywatch.analytics.questions.calendar import summer, week_and_weekend
from citywatch.analytics.questions.codes import MESSAGES, with_and_without_code
from citywatch.analytics.questions.messages import alerts
from citywatch.analytics.questions.persons import REPORTS, mean_age, reports_by_timeframe
from citywatch.analytics.questions.tickets import LEFT_OUT
from citywatch.analytics.tally import UNKNOWN_CORRECTED, tally

_Row = dict[str, object]
_COLUMNS = {
    "number": "of the question, as the older system showed them",
    "question": "what was asked",
    "part": "the weekday, month, person .. that the value is of",
    "value": "the answer",
}
TEN = 10


def prestacop(archive: Archive, asked: Asked) -> Answer:
    """The thirteen of the drone system."""
    violations = replace(asked, types=(VIOLATIONS,))
    coded = with_and_without_code(archive, replace(asked, types=MESSAGES))
    rows = [*_codes(coded), *_violations(archive, violations), *_summer(archive, violations)]
    rows.sort(key=itemgetter("number"))
    return Answer.of(rows, _COLUMNS, {e.reason: e.rows for e in coded.excluded})


def _codes(coded: Answer) -> Iterator[_Row]:
    for number, row in zip((1, 3), coded.rows.to_pylist(), strict=True):
        part = row["part"].replace("_", " ")
        yield _row(number, f"messages {part}", "all", row["count"])
        yield _row(number + 1, f"share of messages {part}", "all", row["share"])


def _violations(archive: Archive, asked: Asked) -> Iterator[_Row]:
    for row in tally(archive, asked, ("local_weekday",)).answer().rows.to_pylist():
        yield _row(5, "violations by weekday", str(row["local_weekday"]), row["count"])
    parts = {row["part"]: row for row in week_and_weekend(archive, asked).rows.to_pylist()}
    for number, part, title in ((6, "weekend", "on week-ends"), (7, "week", "in the week")):
        row = parts.get(part, {"count": 0, "per_day": 0.0})
        yield _row(number, f"violations {title}", "all", row["count"])
        yield _row(number + 2, f"violations {title}, per day", "all", row["per_day"])
    for row in tally(archive, asked, ("month",)).answer().rows.to_pylist():
        yield _row(10, "violations by month", row["month"], row["count"])


def _summer(archive: Archive, asked: Asked) -> Iterator[_Row]:
    for number, row in enumerate(summer(archive, asked).rows.to_pylist(), 11):
        yield _row(number, f"violations in {row['period'].replace('_', ' ')}", "all", row["count"])


def safety_watcher(archive: Archive, asked: Asked) -> Answer:
    """The four of the safety watcher."""
    reports = replace(asked, types=REPORTS)
    raised = sum(row["count"] for row in alerts(archive, asked).rows.to_pylist())
    rows = [_row(1, "alerts", "all", raised)]
    ages = mean_age(archive, reports)
    rows += [_row(2, "mean age", row["population"], row["mean_age"]) for row in ages.rows.to_pylist()]
    persons = tally(archive, reports, ("person_id",)).answer(TEN)
    rows += [_row(3, "persons with most reports", r["person_id"], r["count"]) for r in persons.rows.to_pylist()]
    frames = reports_by_timeframe(archive, reports)
    rows += [_row(4, "reports by timeframe", r["timeframe"], r["count"]) for r in frames.rows.to_pylist()]
    left_out = {e.reason: e.rows for answer in (ages, persons, frames) for e in answer.excluded}
    return Answer.of(rows, _COLUMNS, left_out)


def _row(number: int, question: str, part: str, value: float | None) -> _Row:
    return {"number": number, "question": question, "part": part, "value": None if value is None else float(value)}


QUESTIONS = (
    Question(
        name="prestacop",
        title="The thirteen numbers of the older drone system",
        definition=(
            "1 to 4: messages with and without a code, and their shares (`with-and-without-code`). The rest counts "
            "violations: tickets and drone violations that have a code. 5: by weekday. 6 to 9: on week-ends and in the "
            "week, in total and for each day. 10: by month. 11 to 13: in July, in August, in both."
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
        columns=_COLUMNS,
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
