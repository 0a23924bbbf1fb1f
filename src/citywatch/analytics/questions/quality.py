"""What is wrong with the data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from string import ascii_uppercase, digits

from citywatch.analytics.archive import Archive
from citywatch.analytics.question import Answer, Asked, Question
from citywatch.analytics.questions.tickets import TICKETS
from citywatch.analytics.scans import COUNT, count
from citywatch.analytics.tally import where_sql
from citywatch.offences import offences

_WORDS = ("BLANK", "NONE", "NOPLATE", "NOPLATES", "NOTAG", "UNKNOWN", "TEMP", "TEMPTAG", "NA")
_REPEATED = tuple(letter * length for letter in ascii_uppercase + digits for length in range(2, 9))


def _outside(numbers: Iterable[int]) -> str:
    """SQL: the code is none of the numbers. A few spans are compared quicker than a hundred numbers."""
    spans: list[list[int]] = []
    for number in sorted(numbers):
        if spans and spans[-1][1] == number - 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return f"NOT ({' OR '.join(f'violation_code BETWEEN {first} AND {last}' for first, last in spans)})"


ODD_LENGTH = "strlen(plate) NOT BETWEEN 2 AND 8"
NAMED = f"plate IN {_WORDS + _REPEATED}"
NO_PLATE = {"no_plate": "plate IS NULL", "not_a_plate": f"{ODD_LENGTH} OR {NAMED}"}
"""Asked of each plate once, not of each event."""
NO_ADDRESS = {"no_address": "street IS NULL AND address IS NULL"}
"""Asked alone, so that addresses, the widest column, are read only where there is no street."""

# check -> (SQL over an event, what it means).
CHECKS: Mapping[str, tuple[str, str]] = {
    "no_address": (NO_ADDRESS["no_address"], "neither address nor street"),
    "no_position": ("lat IS NULL OR lon IS NULL", "no latitude and longitude"),
    "no_precinct": ("precinct IS NULL OR precinct = 0", "no precinct, or 0"),
    "no_borough": ("borough IS NULL", "no borough"),
    "no_time_of_day": ("time_precision = 'day'", "the time of day is missing or impossible"),
    "no_violation_code": ("violation_code IS NULL", "no code of an offence"),
    "unknown_violation_code": (_outside(offences()), "a code that the table of fines does not have"),
    "no_plate": (NO_PLATE["no_plate"], "no plate"),
    "not_a_plate": (
        NO_PLATE["not_a_plate"],
        "a plate of one letter, of more than eight, of one letter repeated, or a word such as NOPLATE",
    ),
    "no_plate_state": ("plate_state IS NULL", "no state of the plate"),
    "late": ("late", "received later than the lateness after it happened"),
    "stale": ("stale", "received more than a day after it happened: history only"),
    "backfill": ("backfill", "read behind the engine's clock: history only"),
}
# check -> (SQL over a rejected record, what it means)
REFUSALS: Mapping[str, tuple[str, str]] = {
    "impossible_date": (
        r"regexp_matches(reason, '(^|_)date\b|is no date|time_in_future')",
        "records that were rejected for their date: missing, impossible, in the future",
    ),
    "rejected": ("true", "all records that were rejected; `citywatch rejected list` says why"),
}
MEANINGS = {check: meaning for check, (_, meaning) in {**CHECKS, **REFUSALS}.items()}


def data_quality(archive: Archive, asked: Asked) -> Answer:
    """Every check of the events that are there, then those of the records that were rejected."""
    total, found = _checked(archive, where_sql(asked))
    rows = [{"check": check, "rows": found[check], "share": found[check] / max(total, 1)} for check in CHECKS]
    return Answer.of([*rows, *_rejected(archive, asked)], ("check", "rows", "share"), {})


def _checked(archive: Archive, where: str) -> tuple[int, dict[str, int]]:
    """Events, and check -> how many fail it."""
    apart = NO_PLATE | NO_ADDRESS
    others = {"total": "true"} | {check: sql for check, (sql, _) in CHECKS.items() if check not in apart}
    scans, address = archive.scans, f"{where} AND ({NO_ADDRESS['no_address']})"
    found = _counts(archive, scans.grouped("", {check: count(sql) for check, sql in others.items()}, where), others)
    found |= _counts(archive, scans.grouped("", dict.fromkeys(NO_ADDRESS, COUNT), address), NO_ADDRESS)
    plates = ", ".join(f'coalesce(sum(n) FILTER ({sql}), 0) AS "{check}"' for check, sql in NO_PLATE.items())
    found |= _counts(archive, f"(SELECT {plates} FROM {scans.grouped('plate', {'n': COUNT}, where)})", NO_PLATE)
    return found["total"], found


def _counts(archive: Archive, relation: str, checks: Iterable[str]) -> dict[str, int]:
    """The one row of a relation: check -> how many fail it."""
    return dict(zip(checks, map(int, archive.one(f"SELECT * FROM {relation}")), strict=True))


def _rejected(archive: Archive, asked: Asked) -> Iterator[dict[str, object]]:
    archive.need("rejected")
    received = asked.period.sql("received_at")
    counts = ", ".join(f"count(*) FILTER ({sql})" for sql, _ in REFUSALS.values())
    total, *found = archive.one(f"SELECT count(*), {counts} FROM rejected WHERE {received}")
    read = total + archive.one(f"SELECT n FROM {archive.scans.grouped('', {'n': COUNT}, received)}")[0]
    for check, rows in zip(REFUSALS, found, strict=True):
        yield {"check": check, "rows": rows, "share": rows / max(read, 1)}


QUESTIONS = (
    Question(
        name="data-quality",
        title="What is wrong with the data",
        definition=(
            "How many of the counted events fail each check, and how many records could not be read, of whatever type: "
            "the share of those is of all records, events and rejected ones, received in the period."
        ),
        columns={
            "check": "what is wrong: " + "; ".join(f"`{check}` {meaning}" for check, meaning in MEANINGS.items()),
            "rows": "how many",
            "share": "rows / events counted, 0..1",
        },
        ask=data_quality,
        types=TICKETS,
        takes_top=False,
        chart=("check", "rows"),
    ),
)
