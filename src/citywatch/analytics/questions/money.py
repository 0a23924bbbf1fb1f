"""What the tickets cost: the fine depends on the code and on the place."""

from __future__ import annotations

from collections.abc import Mapping

from citywatch.analytics.archive import Archive
from citywatch.analytics.dimensions import dimensions
from citywatch.analytics.question import Answer, Asked, Question, left_out_of
from citywatch.analytics.questions.tickets import LEFT_OUT, TICKETS
from citywatch.analytics.tally import COUNT, NO_CODE, UNKNOWN_CORRECTED, tally
from citywatch.offences import codes_sql, offences
from citywatch.offences.places import BELOW_96TH, BOTH_SIDES, ELSEWHERE

_CODES = ", ".join(map(str, offences()))
_NO_FINE = {"code_without_fine": f"code NOT IN ({_CODES})"}
_NO_PLACE = {
    "precinct_on_both_sides_of_96th_street": f"raw_precinct IN {BOTH_SIDES}",
    "unknown_precinct": f"raw_precinct NOT IN {BELOW_96TH + ELSEWHERE}",
}
_FINES = {"fine_manhattan": "US dollars, Manhattan at or below 96th Street", "fine_elsewhere": "US dollars, elsewhere"}
_AVERAGE = {"revenue_average_fine": "US dollars: count x the average of the two fines, wherever it was"}
_NOT_PRICED = {
    NO_CODE: LEFT_OUT[NO_CODE],
    "code_without_fine": "a code that the table of fines does not have",
    UNKNOWN_CORRECTED: LEFT_OUT[UNKNOWN_CORRECTED],
}
_NOT_PLACED = {
    "no_precinct": "the precinct is not known",
    "unknown_precinct": "a number that no precinct has",
    "precinct_on_both_sides_of_96th_street": "precinct 22 or 24",
}


def revenue_by_code(archive: Archive, asked: Asked) -> Answer:
    """Fines by code, the place deciding which fine holds."""
    names = (*_grouped(asked), "violation_code", "precinct")
    counted = tally(archive, asked, names, exclusions=_NO_FINE | _NO_PLACE)
    revenue = f"sum(n * CASE WHEN precinct IN {BELOW_96TH} THEN fine_manhattan ELSE fine_elsewhere END)"
    return _priced(archive, asked, f"CAST({revenue} AS BIGINT) AS revenue, ", counted.total, counted.left_out)


def revenue_at_average_fine(archive: Archive, asked: Asked) -> Answer:
    """Fines by code at the average of the two, for which no place is needed."""
    counted = tally(archive, asked, (*_grouped(asked), "violation_code"), exclusions=_NO_FINE)
    return _priced(archive, asked, "", counted.total, counted.left_out)


def revenue_by_zip(archive: Archive, asked: Asked) -> Answer:
    """Fines by ZIP code, and for each of its inhabitants."""
    archive.need("population")
    counted = tally(archive, asked, ("zip", "violation_code", "precinct"), exclusions=_NO_FINE | _NO_PLACE)
    fine = f"CASE WHEN precinct IN {BELOW_96TH} THEN fine_manhattan ELSE fine_elsewhere END"
    rows = archive.query(f"""
        WITH priced AS (
            SELECT zip, CAST(sum(n) AS BIGINT) AS count, sum(n) / {max(counted.total, 1)} AS share,
                   CAST(sum(n * {fine}) AS BIGINT) AS revenue
            FROM tally JOIN ({codes_sql()}) ON code = violation_code GROUP BY zip)
        SELECT priced.*, population AS inhabitants, revenue / population AS revenue_per_head
        FROM priced LEFT JOIN population USING (zip) ORDER BY revenue DESC, zip {asked.limit}""")
    return Answer(rows, left_out_of(counted.left_out))


def _grouped(asked: Asked) -> tuple[str, ...]:
    return () if asked.by is None else (asked.by,)


def _priced(archive: Archive, asked: Asked, revenue: str, total: int, left_out: Mapping[str, int]) -> Answer:
    """Join the tally with the fines; most money first, `top` of each group."""
    groups = "".join(f'"{name}", ' for name in _grouped(asked))
    money = "revenue" if revenue else "revenue_average_fine"
    partition = f"PARTITION BY {groups.rstrip(', ')}" if groups else ""
    best = f"{money} DESC, count DESC, violation_code"
    top = "" if asked.top is None else f"QUALIFY row_number() OVER ({partition} ORDER BY {best}) <= {asked.top}"
    rows = archive.query(f"""
        WITH priced AS (
            SELECT {groups} violation_code, CAST(sum(n) AS BIGINT) AS count, sum(n) / {max(total, 1)} AS share,
                   fine_manhattan, fine_elsewhere, {revenue}
                   CAST(sum(n) AS BIGINT) * (fine_manhattan + fine_elsewhere) / 2 AS revenue_average_fine
            FROM tally JOIN ({codes_sql()}) ON code = violation_code
            GROUP BY {groups} violation_code, fine_manhattan, fine_elsewhere)
        SELECT * FROM priced {top} ORDER BY {groups} {best}""")
    return Answer(rows, left_out_of(left_out))


_BY = tuple(name for name in dimensions() if name not in ("violation_code", "precinct"))
QUESTIONS = (
    Question(
        name="revenue-by-code",
        title="Fines by code of the offence",
        definition=(
            "Tickets and the fines that they carry, by code after corrections. The precinct decides which fine holds: "
            f"{', '.join(map(str, BELOW_96TH))} lie in Manhattan at or below 96th Street, every other known precinct "
            f"elsewhere. {BOTH_SIDES[0]} and {BOTH_SIDES[1]} lie on both sides and are left out, as are unknown ones: "
            "`revenue-at-average-fine` counts those too."
        ),
        columns={
            "violation_code": "code after corrections",
            **COUNT,
            **_FINES,
            "revenue": "US dollars: the fine of the place, for each ticket",
            **_AVERAGE,
        },
        ask=revenue_by_code,
        exclusions=_NOT_PRICED | _NOT_PLACED,
        types=TICKETS,
        by=_BY,
        chart=("violation_code", "revenue"),
    ),
    Question(
        name="revenue-at-average-fine",
        title="Fines by code, at the average of the two fines",
        definition="The same without the place: each ticket at the average of the two fines of its code.",
        columns={"violation_code": "code after corrections", **COUNT, **_FINES, **_AVERAGE},
        ask=revenue_at_average_fine,
        exclusions=_NOT_PRICED,
        types=TICKETS,
        by=(*_BY, "precinct"),
        chart=("violation_code", "revenue_average_fine"),
    ),
    Question(
        name="revenue-by-zip",
        title="Fines by ZIP code, and for each inhabitant",
        definition=(
            "The fines of `revenue-by-code` by ZIP code: that of the zone of five digits that holds the position, else "
            "the five digits at the end of the address. Inhabitants are those of `population.csv` in the data "
            "directory (columns `zip`, `population`)."
        ),
        columns={
            "zip": "ZIP code",
            **COUNT,
            "revenue": "US dollars: the fine of the place, for each ticket",
            "inhabitants": "NULL where `population.csv` does not know them",
            "revenue_per_head": "US dollars: revenue / inhabitants",
        },
        ask=revenue_by_zip,
        exclusions=_NOT_PRICED | _NOT_PLACED | {"no_zip": "neither a zone nor the address tells the ZIP code"},
        types=TICKETS,
        chart=("zip", "revenue"),
    ),
)
