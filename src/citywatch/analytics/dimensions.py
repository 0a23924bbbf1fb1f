"""By what events can be counted: fields as they are, spelled one way, and parts of the city's local time.

A dimension is asked in two steps, so that costly expressions see each value once: `raw` expressions are evaluated for
every event and grouped; `value` is evaluated for each group. Local time is raw by the quarter of an hour in UTC: every
zone's offset has been whole quarters since 1972. Only the minute of the day needs the minute.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from citywatch.analytics.facts import spellings, sql_map, table
from citywatch.event import BY_NAME, COLUMNS
from citywatch.event import derived_sql as local_sql

# Counted from the year 0: `//` rounds towards zero, and some tickets are dated before 1970.
_YEAR_0 = 62_167_219_200_000_000
_QUARTER_US, _MINUTE_US = 900_000_000, 60_000_000
QUARTER = {"quarter": f"CAST((epoch_us(time) + {_YEAR_0}) // {_QUARTER_US} AS INTEGER)"}
MINUTE = {"minute": f"CAST((epoch_us(time) + {_YEAR_0}) // {_MINUTE_US} AS INTEGER)"}
DAY_ONLY = {"day_only": "coalesce(time_precision = 'day', false)"}
NO_TIME = "no_time"
NO_TIME_OF_DAY = "no_time_of_day"
SEASONS = ("winter", "spring", "summer", "autumn")
TIMEFRAMES = ("night", "morning", "afternoon", "evening")
CODE = {"code": "violation_code"}
NO_CODE = {"no_code": "violation_code IS NULL"}
"""The code after corrections, and whether there is none: `tally` puts the corrected one in its place."""


@dataclass(frozen=True)
class Dimension:
    """One thing to count by.

    Parameters
    ----------
    raw
        Alias -> SQL over a row of ``events``.
    value
        SQL over the aliases; NULL leaves the row out with the reason `missing`. `{local}` stands for the local
        TIMESTAMP, `{time}` for the TIMESTAMPTZ of the minute.
    ordered
        Shown in the order of the values, not of the counts.
    """

    name: str
    raw: Mapping[str, str]
    value: str
    missing: str
    meaning: str
    ordered: bool = False
    hour: bool = False
    """Needs a time of day: rows whose time is known to the day are left out."""
    order: tuple[str, ...] = ()
    """The values in their natural order, where that is neither alphabet nor number."""

    def sql(self, zone: str) -> str:
        """`value` in a city's zone."""
        part, size = ("minute", _MINUTE_US) if "minute" in self.raw else ("quarter", _QUARTER_US)
        utc = f"make_timestamptz(CAST({part} AS BIGINT) * {size} - {_YEAR_0})"
        local = local_sql(zone, utc)
        return self.value.format(local=f"timezone('{zone}', {utc})", **local)

    @property
    def rank(self) -> str:
        """What to sort the values by."""
        return f"list_position({list(self.order)}, {self.name})" if self.order else f'"{self.name}"'

    @property
    def plain(self) -> bool:
        """The value is the one raw expression itself."""
        return not self.hour and tuple(self.raw) == (self.value,)


@dataclass(frozen=True)
class _Table:
    rows: dict[str, Dimension] = field(default_factory=dict)

    def time(
        self,
        name: str,
        value: str,
        meaning: str,
        *,
        raw: Mapping[str, str] = QUARTER,
        hour: bool = False,
        order: tuple[str, ...] = (),
    ) -> None:
        raw = {**raw, **DAY_ONLY} if hour else raw
        self.rows[name] = Dimension(name, raw, value, NO_TIME, meaning, ordered=True, hour=hour, order=order)

    def spelled(self, name: str, raw: str, value: str, meaning: str, *, ordered: bool = False) -> None:
        self.rows[name] = Dimension(name, {f"raw_{name}": raw}, value, f"no_{name}", meaning, ordered)

    def plain(self, name: str, meaning: str, *, ordered: bool = False) -> None:
        self.rows[name] = Dimension(name, {f"raw_{name}": name}, f"raw_{name}", f"no_{name}", meaning, ordered)


def street_sql(raw: str) -> str:
    """SQL that spells a street one way: ``3rd Avenue``, ``THIRD AVE`` and ``NB 3 AV @ E 14TH ST`` are ``3 AVE``."""
    first, later = (
        sql_map({row["written"]: row["word"] for row in table("street_words") if row["position"] == position})
        for position in ("first", "later")
    )
    text = f"split_part(upper({raw}), '@', 1)"  # behind it stands the crossing street of a camera
    for pattern, replacement in (
        (r"^\s*([NSEW]B|[A-Z](/[A-Z])+)\s+", ""),  # the direction, or the side of the street, before
        (r"\s*\(?\b[NSEW]/B\b.*$", ""),  # the direction behind, and what follows it
        (r"[.,]", " "),
        (r"\b(\d+)(ST|ND|RD|TH)\b", r"\1"),
    ):
        text = f"regexp_replace({text}, '{pattern}', '{replacement}', 'g')"
    words = f"list_filter(string_split_regex({text}, '\\s+'), lambda w: w <> '')"
    named = f"list_transform({words}, lambda w, i: coalesce(CASE WHEN i = 1 THEN {first}[w] ELSE {later}[w] END, w))"
    return f"nullif(array_to_string({named}, ' '), '')"


def color_sql(raw: str) -> str:
    """SQL that names a colour one way; what the table does not know stays as it is written, in upper case."""
    text = f"trim(upper({raw}), ' ./*')"
    return f"nullif(coalesce({sql_map(spellings('colors'))}[{text}], {text}), '')"


def _parts_of_time(dims: _Table) -> None:
    dims.time("year", "CAST(year({local}) AS INTEGER)", "year")
    dims.time("month", "strftime({local}, '%Y-%m')", "month as YYYY-MM")
    season = f"({list(SEASONS)})[1 + CAST(month({{local}}) % 12 // 3 AS INTEGER)]"
    dims.time("season", season, "winter 12-2, spring 3-5, summer 6-8, autumn 9-11", order=SEASONS)
    dims.time("local_date", "CAST({local_date} AS VARCHAR)", "day as YYYY-MM-DD")
    dims.time("local_weekday", "{local_weekday}", "weekday, 1 = Monday .. 7")
    dims.time("local_hour", "{local_hour}", "hour, 0-23", hour=True)
    bins = "['00-03', '04-07', '08-11', '12-15', '16-19', '20-23']"
    dims.time(
        "time_bin", f"({bins})[1 + CAST(hour({{local}}) // 4 AS INTEGER)]", "one of six bins of 4 hours", hour=True
    )
    dims.time("timeframe", "{timeframe}", BY_NAME["timeframe"].meaning, hour=True, order=TIMEFRAMES)
    dims.time(
        "minute_of_day",
        "CAST(hour({local}) * 60 + minute({local}) AS INTEGER)",
        "minute, 0-1439",
        raw=MINUTE,
        hour=True,
    )


def zip_sql() -> str:
    """SQL of the ZIP code: a zone that is called by five digits, else five digits at the end of the address."""
    zone = "list_filter(zones, lambda name: regexp_full_match(name, '\\d{5}'))[1]"
    end = r"(\d{5})(?:-\d{4})?\s*$"
    # To see that there is none is quicker than to take it out, and most addresses have none.
    perhaps = "(right(address, 4) BETWEEN '0000' AND '9999' OR suffix(address, ' '))"
    written = f"CASE WHEN {perhaps} AND regexp_matches(address, '{end}') THEN regexp_extract(address, '{end}', 1) END"
    return f"coalesce(CASE WHEN zones IS NOT NULL THEN {zone} END, {written})"


def _spelled_one_way(dims: _Table) -> None:
    dims.spelled("zip", zip_sql(), "raw_zip", "ZIP code: a zone of five digits, else the end of the address")
    dims.spelled("precinct", "precinct", "nullif(raw_precinct, 0)", "police precinct; 0 is none")
    dims.spelled("street", "street", street_sql("raw_street"), "street, spelled one way")
    dims.spelled("vehicle_color", "vehicle_color", color_sql("raw_vehicle_color"), "colour, named one way")
    for name in ("vehicle_make", "vehicle_body"):
        dims.spelled(name, name, f"nullif(trim(upper(raw_{name})), '')", f"{BY_NAME[name].meaning}, in upper case")
    dims.spelled("vehicle_year", "vehicle_year", "nullif(raw_vehicle_year, 0)", "model year; 0 is none", ordered=True)
    for kind, told in (("drone", "type LIKE 'drone.%'"), ("camera", "type LIKE 'camera.%' OR type = 'anpr.read'")):
        raw = f"CASE WHEN device_kind = '{kind}' OR (device_kind IS NULL AND ({told})) THEN device_id END"
        dims.spelled(kind, raw, f"raw_{kind}", f"id of the {kind}, which its kind or the type of the event tells")


@cache
def dimensions() -> Mapping[str, Dimension]:
    """All dimensions by name: those above, and every known field that is a text, a whole number or yes/no."""
    dims = _Table()
    meaning = BY_NAME["violation_code"].meaning + ", after corrections"
    dims.rows["has_code"] = Dimension(
        "has_code", NO_CODE, "NOT no_code", "no_has_code", "whether there is a code, after corrections"
    )
    dims.rows["violation_code"] = Dimension("violation_code", CODE, "code", "no_violation_code", meaning)
    _parts_of_time(dims)
    _spelled_one_way(dims)
    for column in COLUMNS:
        countable = column.sql in ("VARCHAR", "SMALLINT", "INTEGER", "BOOLEAN") and not column.derived
        if countable and column.name not in dims.rows and column.name not in ("id", "subject", "corrects_id"):
            dims.plain(column.name, column.meaning)
    return dims.rows
