"""Persons in reports: the older safety watcher's questions."""

from __future__ import annotations

from citywatch.analytics.archive import Archive
from citywatch.analytics.dimensions import NO_TIME_OF_DAY, TIMEFRAMES, dimensions
from citywatch.analytics.question import Answer, Asked, Question, left_out_of
from citywatch.analytics.questions.tickets import LEFT_OUT
from citywatch.analytics.scans import COUNT as COUNTED
from citywatch.analytics.tally import COUNT, tally, where_sql

REPORTS = ("person.report",)
_PERSON = "coalesce(person_id, source || ' ' || id)"


def mean_age(archive: Archive, asked: Asked) -> Answer:
    """Of all persons reported, and of those in alerts."""
    archive.need_evidence()
    reports = archive.scans.rows("person_id, age, time, source, id", where_sql(asked))
    archive.con.execute(f"""
        CREATE OR REPLACE TEMP TABLE ages AS
        WITH reports AS MATERIALIZED (FROM {reports}),
        alerted AS (SELECT DISTINCT source, id, true AS alerted FROM evidence SEMI JOIN reports USING (source, id))
        SELECT {_PERSON} AS person, age, time, source, id, coalesce(alerted, false) AS alerted
        FROM reports LEFT JOIN alerted USING (source, id)""")
    rows = archive.query("""
        WITH populations AS (SELECT 'reported' AS population, * FROM ages
                             UNION ALL SELECT 'in_alerts', * FROM ages WHERE alerted),
        persons AS (SELECT population, person, arg_max(age, (time, source, id)) AS age
                    FROM populations WHERE age IS NOT NULL GROUP BY ALL)
        SELECT named.population, count(person) AS persons, avg(age) AS mean_age
        FROM (VALUES (1, 'reported'), (2, 'in_alerts')) AS named(place, population) LEFT JOIN persons USING (population)
        GROUP BY named.place, named.population ORDER BY named.place""")
    no_age = archive.one("SELECT count(*) FROM ages WHERE age IS NULL")[0]
    return Answer(rows, left_out_of({"no_age": no_age}))


def repeat_persons(archive: Archive, asked: Asked) -> Answer:
    """Persons with several reports, most first."""
    counted = tally(archive, asked, ("person_id",))
    rows = archive.query(
        f"SELECT person_id, n AS count FROM tally WHERE n > 1 ORDER BY count DESC, person_id {asked.limit}"
    )
    once = archive.one("SELECT count(*) FROM tally WHERE n = 1")[0]
    return Answer(rows, left_out_of({**counted.left_out, "reported_once": once}))


def reports_by_timeframe(archive: Archive, asked: Asked) -> Answer:
    """Reports by part of the day."""
    names = ("timeframe",) if asked.by is None else (asked.by, "timeframe")
    return tally(archive, asked, names).answer(asked.top)


def reports_by_behavior(archive: Archive, asked: Asked) -> Answer:
    """Reports that name a behaviour; one report names several."""
    named = archive.scans.grouped("behaviors", {"n": COUNTED}, where_sql(asked))
    archive.con.execute(f"CREATE OR REPLACE TEMP TABLE named AS SELECT * FROM {named}")
    counted, none = archive.one("""
        SELECT CAST(coalesce(sum(n) FILTER (len(behaviors) > 0), 0) AS BIGINT),
               CAST(coalesce(sum(n) FILTER (behaviors IS NULL OR len(behaviors) = 0), 0) AS BIGINT) FROM named""")
    rows = archive.query(f"""
        WITH each AS (SELECT unnest(list_distinct(behaviors)) AS behavior, n FROM named)
        SELECT behavior, CAST(sum(n) AS BIGINT) AS count, sum(n) / {max(counted, 1)} AS share
        FROM each GROUP BY behavior ORDER BY count DESC, behavior {asked.limit}""")
    return Answer(rows, left_out_of({"no_behaviors": none}))


QUESTIONS = (
    Question(
        name="mean-age",
        title="Mean age of the persons reported",
        definition=(
            "Each person once, with the age of the last report that gives one; a report without a person's id is a "
            "person of its own. *in_alerts*: persons with a report that is evidence of an alert."
        ),
        columns={"population": "reported or in_alerts", "persons": "how many", "mean_age": "years, NULL for none"},
        ask=mean_age,
        exclusions={"no_age": "reports without an age"},
        types=REPORTS,
        takes_top=False,
        chart=("population", "mean_age"),
    ),
    Question(
        name="repeat-persons",
        title="Persons with most reports",
        definition="Persons with at least two reports, most reports first.",
        columns={"person_id": "who", "count": "reports"},
        ask=repeat_persons,
        exclusions={"no_person_id": "reports that name no person", "reported_once": "persons with one report"},
        types=REPORTS,
        chart=("person_id", "count"),
    ),
    Question(
        name="reports-by-timeframe",
        title="Reports by timeframe",
        definition=f"Reports of persons by the city's time: {', '.join(TIMEFRAMES)}.",
        columns={"timeframe": dimensions()["timeframe"].meaning, **COUNT},
        ask=reports_by_timeframe,
        exclusions={NO_TIME_OF_DAY: LEFT_OUT[NO_TIME_OF_DAY]},
        types=REPORTS,
        by=tuple(name for name in dimensions() if name != "timeframe"),
        chart=("timeframe", "count"),
    ),
    Question(
        name="reports-by-behavior",
        title="Reports by behaviour",
        definition=(
            "Reports of persons that name the behaviour; one report names several, so the shares add up to more than 1."
        ),
        columns={
            "behavior": "what was seen",
            "count": "reports that name it",
            "share": "count / reports with any, 0..1",
        },
        ask=reports_by_behavior,
        exclusions={"no_behaviors": "reports that name no behaviour"},
        types=REPORTS,
        chart=("behavior", "count"),
    ),
)
