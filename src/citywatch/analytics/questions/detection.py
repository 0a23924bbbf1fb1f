"""How well the rules find what was planted in a simulated city."""

from __future__ import annotations

from citywatch.analytics.archive import Archive
from citywatch.analytics.question import Answer, Asked, Question, left_out_of
from citywatch.analytics.scans import Sum

_PATH = "'$.\"' || k || '\"'"
_SHARED = f"list_filter(json_keys(planted.key), lambda k: json_exists(called.key, {_PATH}))"
_SAME = f"json_extract_string(called.key, {_PATH}) IS NOT DISTINCT FROM json_extract_string(planted.key, {_PATH})"
_AGREE = f"""(json_keys(called.key) = json_keys(planted.key) OR len({_SHARED}) > 0)
             AND coalesce(list_bool_and(list_transform({_SHARED}, lambda k: {_SAME})), true)"""

_NO_TRUTH = """
    CREATE OR REPLACE TEMP TABLE truth (nth BIGINT, rule VARCHAR, key VARCHAR, source VARCHAR, id VARCHAR,
                                        begin TIMESTAMPTZ, finish TIMESTAMPTZ, due TIMESTAMPTZ)"""


def detection(archive: Archive, asked: Asked) -> Answer:
    """Every rule that something was planted for, or that called without it."""
    archive.need_alerts("id", "rule", "status", "first_seen", "last_seen", "group")
    if asked.truth:
        archive.need("truth")
    else:
        archive.con.execute(_NO_TRUTH)
    _compare(archive, asked)
    rows = archive.query(f"""
        WITH caught AS (SELECT nth, min(first_seen) AS first FROM met GROUP BY nth),
        incidents AS (
            SELECT rule, count(*) AS planted, count(first) AS caught,
                   median(greatest(0, epoch_us(first) - epoch_us(begin))) FILTER (first IS NOT NULL) / 1e6 AS delay
            FROM planted LEFT JOIN caught USING (nth) WHERE counted GROUP BY rule),
        calls AS (
            SELECT rule, count(*) FILTER (id IN (SELECT id FROM met)) AS right_,
                   count(*) FILTER (id NOT IN (SELECT id FROM met)) AS wrong
            FROM called GROUP BY rule)
        SELECT rule, coalesce(planted, 0) AS planted, coalesce(caught, 0) AS caught, coalesce(wrong, 0) AS false_alerts,
               right_ / nullif(right_ + wrong, 0) AS precision, caught / nullif(planted, 0) AS recall,
               delay AS median_delay_s
        FROM incidents FULL JOIN calls USING (rule) ORDER BY rule {asked.limit}""")
    if not asked.truth:
        unjudged = archive.one("SELECT count(*) FROM called")[0]
        return Answer(rows.slice(0, 0), left_out_of({"no_truth": unjudged}))
    return Answer(rows, left_out_of(_left_out(archive)))


def _compare(archive: Archive, asked: Asked) -> None:
    """The tables `planted`, with whether an incident counts, `called`, and `met`: which alert is of which incident."""
    newest = archive.scans.grouped("", {"received_at": Sum("max(received_at)", "max({0})")}, "true")
    asked_of = "(SELECT source, id FROM events) SEMI JOIN truth USING (source, id)"
    known = archive.scans.rows("source, id", "true", asked_of, ["truth"])
    archive.con.execute(f"""
        CREATE OR REPLACE TEMP TABLE called AS
        SELECT id, rule, status, first_seen, last_seen, "group" AS key FROM alerts
        WHERE status = 'stable' AND {asked.period.sql("first_seen")};
        CREATE OR REPLACE TEMP TABLE expected AS
        SELECT truth.*, (source, id) IN (SELECT (source, id) FROM {known}) AS known,
               due <= (SELECT received_at FROM {newest}) AS over
        FROM truth WHERE {asked.period.sql("begin")};
        CREATE OR REPLACE TEMP TABLE met AS
        SELECT nth, called.id, first_seen FROM expected AS planted JOIN called
            ON called.rule = planted.rule AND first_seen <= finish AND last_seen >= begin AND {_AGREE};
        CREATE OR REPLACE TEMP TABLE planted AS
        SELECT *, known AND (over OR nth IN (SELECT nth FROM met)) AS counted FROM expected""")


def _left_out(archive: Archive) -> dict[str, int]:
    unknown, undecided = archive.one(
        "SELECT count(*) FILTER (NOT known), count(*) FILTER (known AND NOT counted) FROM planted"
    )
    tried = archive.one("SELECT count(*) FROM alerts WHERE status <> 'stable'")[0]
    return {"not_in_history": unknown, "not_over": undecided, "rule_in_test": tried}


QUESTIONS = (
    Question(
        name="detection",
        title="How well the rules find what was planted",
        definition=(
            "For a simulated city and its truth file: `--truth FILE`, or truth.ndjson in the data directory. An alert "
            "is of an incident when rule and key are those that were planted and its time overlaps the incident's. "
            "Alerts of no incident are false; `--from` and `--to` leave out what else the data directory has."
        ),
        columns={
            "rule": "the rule that has to find it",
            "planted": "how many incidents there were for it",
            "caught": "how many of them raised its alert",
            "false_alerts": "how many of its alerts are of no incident",
            "precision": "share of its alerts that are of an incident, 0..1; NULL without alerts",
            "recall": "share of its incidents that were caught, 0..1; NULL without incidents",
            "median_delay_s": "median of the seconds from an incident's beginning to first_seen of its first alert",
        },
        ask=detection,
        exclusions={
            "not_in_history": "incidents whose first event is not in history: the file is of another simulation",
            "not_over": "incidents that were not caught, and may still be: history ends too early",
            "no_truth": "alerts that nobody can judge, because it is not known what was planted: give --truth FILE",
            "rule_in_test": "alerts of rules that are not stable",
        },
        fixed_types=True,
        takes_truth=True,
        chart=("rule", "recall"),
    ),
)
