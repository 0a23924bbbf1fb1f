"""What is wrong with the data."""

from __future__ import annotations

from collections.abc import Mapping

from citywatch.analytics.archive import Archive
from citywatch.analytics.facts import table
from citywatch.analytics.question import Answer, Asked, Question
from citywatch.analytics.questions.tickets import TICKETS
from citywatch.analytics.tally import where_sql

_NOT_PLATES = ("BLANK", "BLANKPLATE", "NONE", "NOPLATE", "NOPLATES", "NOTAG", "UNKNOWN", "TEMP", "TEMPTAG", "NA")
_CODES = ", ".join(row["code"] for row in table("codes"))
_NO_PLATE = (
    f"plate IS NOT NULL AND (length(plate) NOT BETWEEN 2 AND 8 OR replace(plate, plate[1], '') = '' "
    f"OR plate IN {_NOT_PLATES})"
)

# check -> (SQL over a row of events, what it means)
CHECKS: Mapping[str, tuple[str, str]] = {
    "no_address": ("address IS NULL AND street IS NULL", "neither address nor street"),
    "no_position": ("lat IS NULL OR lon IS NULL", "no latitude and longitude"),
    "no_precinct": ("coalesce(precinct, 0) = 0", "no precinct, or 0"),
    "no_borough": ("borough IS NULL", "no borough"),
    "no_time_of_day": ("time_precision = 'day'", "the time of day is missing or impossible"),
    "no_violation_code": ("violation_code IS NULL", "no code of an offence"),
    "unknown_violation_code": (f"violation_code NOT IN ({_CODES})", "a code that the table of fines does not have"),
    "no_plate": ("plate IS NULL", "no plate"),
    "not_a_plate": (
        _NO_PLATE,
        "a plate of one letter, of more than eight, of one letter repeated, or a word such as NOPLATE",
    ),
    "no_plate_state": ("plate_state IS NULL", "no state of the plate"),
    "late": ("late", "received later than the lateness after it happened"),
    "stale": ("stale", "received more than a day after it happened: history only"),
    "backfill": ("backfill", "read behind the engine's clock: history only"),
}
REJECTED = "rejected: "


def data_quality(archive: Archive, asked: Asked) -> Answer:
    """Every check, and every reason for which records were rejected."""
    counts = ", ".join(f"count(*) FILTER ({sql})" for sql, _ in CHECKS.values())
    total, *found = archive.one(f"SELECT count(*), {counts} FROM events WHERE {where_sql(asked)}")
    rows = [{"check": check, "rows": n, "share": n / max(total, 1)} for check, n in zip(CHECKS, found, strict=True)]
    return Answer.of([*rows, *_rejected(archive, asked)], ("check", "rows", "share"), {})


def _rejected(archive: Archive, asked: Asked) -> list[dict[str, object]]:
    archive.need("rejected")
    counts = archive.con.execute(f"""
        SELECT split_part(reason, ':', 1) AS why, count(*) AS n FROM rejected
        WHERE {asked.period.sql("received_at")} GROUP BY why ORDER BY n DESC, why""").fetchall()
    read = archive.one(f"SELECT count(*) FROM events WHERE {asked.period.sql('received_at')}")[0] + sum(
        n for _, n in counts
    )
    return [{"check": REJECTED + why, "rows": n, "share": n / read} for why, n in counts]


QUESTIONS = (
    Question(
        name="data-quality",
        title="What is wrong with the data",
        definition=(
            "How many of the counted events fail each check: "
            + "; ".join(f"*{check}*: {meaning}" for check, (_, meaning) in CHECKS.items())
            + ". *rejected: ..*: records that could not be read, of all types, by reason; their share is of all "
            "records, events and rejected ones, that were received in the period."
        ),
        columns={"check": "what is wrong", "rows": "how many", "share": "rows / events counted, 0..1"},
        ask=data_quality,
        types=TICKETS,
        takes_top=False,
        chart=("check", "rows"),
    ),
)
