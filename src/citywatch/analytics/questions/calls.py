"""How long callers wait: from a call being added to dispatch, to arrival, to its close."""

from __future__ import annotations

from collections.abc import Mapping

from citywatch.analytics.archive import Archive
from citywatch.analytics.dimensions import DAY_ONLY, NO_TIME_OF_DAY, Dimension, dimensions
from citywatch.analytics.question import Answer, Asked, Question, left_out_of
from citywatch.analytics.questions.tickets import LEFT_OUT
from citywatch.analytics.tally import where_sql

CALLS = ("call.received",)

_TIMES = ("added", "dispatched", "arrived", "closed")
# step -> (moment at which it begins, moment at which it ends)
STEPS: Mapping[str, tuple[str, str]] = {
    "add_to_dispatch": ("added", "dispatched"),
    "dispatch_to_arrive": ("dispatched", "arrived"),
    "arrive_to_close": ("arrived", "closed"),
}
_PRIORITY = Dimension("priority", {}, "priority", "no_priority", "priority as the caller's desk gave it")
_BY = {name: dimensions()[name] for name in ("precinct", "local_hour", "borough")} | {"priority": _PRIORITY}
_CALLED = {"hour": "local_hour"}
_MISSING = {f"no_{moment}_time": f"the call does not say when it was {moment}" for moment in _TIMES[1:]}
_BACKWARDS = {
    f"{end}_before_{begin}": f"it was {end} before it was {begin}: a clock or an entry is wrong"
    for begin, end in STEPS.values()
}


def response_times(archive: Archive, asked: Asked) -> Answer:
    """Number of calls, median and 90th percentile of each step."""
    dim = _BY[_CALLED.get(asked.by, asked.by)] if asked.by else None
    _read(archive, asked, dim)
    kept = _left_out_by_group(dim)
    group = f'"{dim.name}", ' if dim else ""
    steps = " UNION ALL ".join(
        f"SELECT {group}{number} AS place, '{step}' AS step, epoch_us({end}) - epoch_us({begin}) AS took FROM calls "
        f"WHERE NOT ({kept}) AND {end} >= {begin}"
        for number, (step, (begin, end)) in enumerate(STEPS.items())
    )
    order = f"{dim.rank}, place" if dim else "place"
    rows = archive.query(f"""
        SELECT {group}step, count(*) AS n, quantile_cont(took, 0.5) / 1e6 AS median_s,
               quantile_cont(took, 0.9) / 1e6 AS p90_s
        FROM ({steps}) GROUP BY {group}place, step ORDER BY {order}""")
    return Answer(rows, left_out_of(_left_out(archive, dim, kept)))


def _read(archive: Archive, asked: Asked, dim: Dimension | None) -> None:
    """The temporary table ``calls``: the moments of each, and what they are grouped by."""
    moments = ", ".join(
        f"TRY_CAST(json_extract_string(data, '$.{moment}_at') AS TIMESTAMPTZ) AS {moment}" for moment in _TIMES[1:]
    )
    raw = ", ".join(f"{sql} AS {alias}" for alias, sql in {**DAY_ONLY, **(dim.raw if dim else {})}.items())
    priority = "nullif(trim(json_extract_string(data, '$.priority')), '') AS priority"
    scan = archive.scans.rows(f"time AS added, {moments}, {raw}, {priority}", where_sql(asked))
    value = f', {dim.sql(archive.zone)} AS "{dim.name}"' if dim else ""
    archive.con.execute(f"""
        CREATE OR REPLACE TEMP TABLE calls AS
        SELECT * {"EXCLUDE (priority)" if dim is _PRIORITY else ""}{value} FROM {scan}""")


def _left_out_by_group(dim: Dimension | None) -> str:
    """Calls that belong to no group."""
    if dim is None:
        return "false"
    return f'"{dim.name}" IS NULL' + (" OR day_only" if dim.hour else "")


def _left_out(archive: Archive, dim: Dimension | None, kept: str) -> dict[str, int]:
    """Reason -> calls; a call can lack several moments, and counts for each."""
    reasons = {f"no_{moment}_time": f"{moment} IS NULL" for moment in _TIMES[1:]}
    reasons |= {f"{end}_before_{begin}": f"{end} < {begin}" for begin, end in STEPS.values()}
    reasons = {reason: f"NOT ({kept}) AND {sql}" for reason, sql in reasons.items()}
    if dim is not None:
        reasons[dim.missing] = f'"{dim.name}" IS NULL'
        if dim.hour:
            reasons[NO_TIME_OF_DAY] = f'day_only AND "{dim.name}" IS NOT NULL'
    counts = ", ".join(f"count(*) FILTER ({sql})" for sql in reasons.values())
    return dict(zip(reasons, archive.one(f"SELECT {counts} FROM calls"), strict=True))


QUESTIONS = (
    Question(
        name="response-times",
        title="How long a call takes",
        definition=(
            "Calls to the police from being added to dispatch, from dispatch to arrival, from arrival to close: how "
            "many calls have both moments, the median and the 90th percentile in seconds (between two values in "
            "proportion). The moments are `dispatched_at`, `arrived_at` and `closed_at` in the event's data; a call is "
            "added at the event's time."
        ),
        columns={
            "step": ", ".join(STEPS),
            "n": "calls that have both moments",
            "median_s": "seconds that half of them took at most",
            "p90_s": "seconds that nine of ten took at most",
        },
        ask=response_times,
        exclusions=_MISSING
        | _BACKWARDS
        | {"no_FIELD": "the field that `--by` names is not known", NO_TIME_OF_DAY: LEFT_OUT[NO_TIME_OF_DAY]},
        types=CALLS,
        by=(*_BY, *_CALLED),
        takes_top=False,
        chart=("step", "median_s"),
    ),
)
