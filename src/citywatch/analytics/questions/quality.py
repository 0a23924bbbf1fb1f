"""What is wrong with the data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from string import ascii_uppercase, digits

from citywatch.analytics.archive import Archive
from citywatch.analytics.question import Answer, Asked, Question
from citywatch.analytics.questions.tickets import TICKETS
from citywatch.analytics.tally import where_sql
from citywatch.offences import offences

_WORDS = ("BLANK", "NONE", "NOPLATE", "NOPLATES", "NOTAG", "UNKNOWN", "TEMP", "TEMPTAG", "NA")
_REPEATED = tuple(letter * length for letter in ascii_uppercase + digits for length in range(2, 9))
_CODES = ", ".join(map(str, offences()))

# What is looked at, as few distinct values as can be -> SQL over a row of events. Rows are grouped by all of it.
_SEEN = {
    "code": "violation_code",
    "position": "lat IS NULL OR lon IS NULL",
    "precinct": "coalesce(precinct, 0) = 0",
    "borough": "borough IS NULL",
    "day_only": "time_precision = 'day'",
    "state": "plate_state IS NULL",
    "no_plate": "plate IS NULL",
    "odd_length": "strlen(plate) NOT BETWEEN 2 AND 8",
    "late": "late",
    "stale": "stale",
    "backfill": "backfill",
}

# check -> (SQL over the aliases above, what it means)
CHECKS: Mapping[str, tuple[str, str]] = {
    "no_address": ("", "neither address nor street"),
    "no_position": ("position", "no latitude and longitude"),
    "no_precinct": ("precinct", "no precinct, or 0"),
    "no_borough": ("borough", "no borough"),
    "no_time_of_day": ("day_only", "the time of day is missing or impossible"),
    "no_violation_code": ("code IS NULL", "no code of an offence"),
    "unknown_violation_code": (f"code NOT IN ({_CODES})", "a code that the table of fines does not have"),
    "no_plate": ("no_plate", "no plate"),
    "not_a_plate": (
        "odd_length",
        "a plate of one letter, of more than eight, of one letter repeated, or a word such as NOPLATE",
    ),
    "no_plate_state": ("state", "no state of the plate"),
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


def data_quality(archive: Archive, asked: Asked) -> Answer:
    """Every check of the events that are there, then those of the records that were rejected."""
    total, found = _checked(archive, where_sql(asked))
    rows = [{"check": check, "rows": found[check], "share": found[check] / max(total, 1)} for check in CHECKS]
    return Answer.of([*rows, *_rejected(archive, asked)], ("check", "rows", "share"), {})


def _checked(archive: Archive, where: str) -> tuple[int, dict[str, int]]:
    """Events, and check -> how many fail it."""
    seen = ", ".join(f"{sql} AS {alias}" for alias, sql in _SEEN.items())
    grouped = {check: sql for check, (sql, _) in CHECKS.items() if sql}
    counts = ", ".join(f"CAST(coalesce(sum(n) FILTER ({sql}), 0) AS BIGINT)" for sql in grouped.values())
    total, *found = archive.one(f"""
        WITH seen AS (SELECT {seen}, count(*) AS n FROM events WHERE {where} GROUP BY ALL)
        SELECT CAST(coalesce(sum(n), 0) AS BIGINT), {counts} FROM seen""")
    return total, _add_filtered(archive, where, dict(zip(grouped, found, strict=True)))


def _add_filtered(archive: Archive, where: str, found: dict[str, int]) -> dict[str, int]:
    """What a filter finds far quicker than an expression: it reads addresses only where there is no street, and
    compares the distinct plates of a page.
    """
    nowhere = "street IS NULL AND address IS NULL"
    found["no_address"] = archive.one(f"SELECT count(*) FROM events WHERE {where} AND {nowhere}")[0]
    named = f"plate IN {_WORDS + _REPEATED}"
    found["not_a_plate"] += archive.one(f"SELECT count(*) FROM events WHERE {where} AND {named}")[0]
    return found


def _rejected(archive: Archive, asked: Asked) -> Iterator[dict[str, object]]:
    archive.need("rejected")
    received = asked.period.sql("received_at")
    counts = ", ".join(f"count(*) FILTER ({sql})" for sql, _ in REFUSALS.values())
    total, *found = archive.one(f"SELECT count(*), {counts} FROM rejected WHERE {received}")
    read = total + archive.one(f"SELECT count(*) FROM events WHERE {received}")[0]
    for check, rows in zip(REFUSALS, found, strict=True):
        yield {"check": check, "rows": rows, "share": rows / max(read, 1)}


QUESTIONS = (
    Question(
        name="data-quality",
        title="What is wrong with the data",
        definition=(
            "How many of the counted events fail each check, and how many records could not be read, of whatever type: "
            "the share of those is of all records, events and rejected ones, received in the period. "
            + "; ".join(f"*{check}*: {meaning}" for check, (_, meaning) in {**CHECKS, **REFUSALS}.items())
            + "."
        ),
        columns={"check": "what is wrong", "rows": "how many", "share": "rows / events counted, 0..1"},
        ask=data_quality,
        types=TICKETS,
        takes_top=False,
        chart=("check", "rows"),
    ),
)
