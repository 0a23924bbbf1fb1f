"""SQL that mappings may call beside DuckDB's own functions: times of a city, numbers of a text."""

from __future__ import annotations

import duckdb

MACROS: dict[str, tuple[str, str]] = {
    "whole(x)": (
        "CASE WHEN regexp_full_match(x, '[+-]?[0-9]+') THEN TRY_CAST(x AS BIGINT) END",
        "the integer that a text is, else NULL",
    ),
    "city_time(t)": (
        "timezone('{zone}', CAST(t AS TIMESTAMP))",
        "a TIMESTAMP on the clocks of the city as a time",
    ),
    "epoch_seconds(x)": (
        "CASE WHEN regexp_full_match(x, '-?[0-9]{1,11}([.][0-9]*)?') THEN make_timestamptz(CAST(1000000 *"
        " CAST(regexp_extract(x, '-?[0-9]+([.][0-9]{1,6})?') AS DECIMAL(24, 6)) AS BIGINT)) END",
        "seconds since 1970 as a time, cut to microseconds",
    ),
    "epoch_millis(x)": (
        "CASE WHEN regexp_full_match(x, '-?[0-9]{1,14}') THEN make_timestamptz(TRY_CAST(x AS BIGINT) * 1000) END",
        "milliseconds since 1970 as a time",
    ),
    "time_in(x, zone)": (
        "CASE WHEN regexp_full_match(x, '-?[0-9]{1,11}([.][0-9]*)?') THEN epoch_seconds(x)"
        " WHEN regexp_full_match(x, '[0-9]{12,14}') THEN epoch_millis(x)"
        " WHEN regexp_full_match(x, '[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?')"
        " THEN timezone(zone, TRY_CAST(upper(x) AS TIMESTAMP))"
        " WHEN regexp_full_match(x, '[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?"
        " ?([Zz]|[+-][0-9]{2}:?[0-9]{2})') THEN TRY_CAST(upper(x) AS TIMESTAMPTZ) END",
        "seconds or milliseconds since 1970 or ISO 8601 as a time, else NULL; without an offset it is on the clocks of"
        " `zone`",
    ),
    "any_time(x)": ("time_in(x, '{zone}')", "the same on the clocks of the city"),
    "flag(x)": (
        "CASE WHEN lower(x) IN ('true', '1') THEN true WHEN lower(x) IN ('false', '0') THEN false END",
        "true or false, else NULL",
    ),
    "beyond(x, low, high)": (
        "coalesce(TRY_CAST(x AS DOUBLE) NOT BETWEEN low AND high, false)",
        "whether a number lies outside of low..high",
    ),
    "hundredth(x)": (
        "coalesce(CAST(TRY_CAST(x AS DOUBLE) / 100 AS VARCHAR), x)",
        "a percentage as 0..1; what is no number stays, and is refused",
    ),
    "half_a_place(lat, lon)": (
        "CASE WHEN lat IS NULL THEN lon IS NOT NULL ELSE lon IS NULL END",
        "whether one of two coordinates is missing",
    ),
    "image_hash(x)": (
        "CASE WHEN regexp_full_match(x, '[0-9a-f]{64}') THEN x"
        " ELSE TRY(sha256(from_base64(nullif(regexp_replace(x, '^data:[^,]*,|\\s', '', 'g'), '')))) END",
        "SHA-256 of an image that is written in base64, or stood there before it was put aside; NULL when it is none",
    ),
    "american_date(x)": (
        "CASE WHEN x[-3] = '/' THEN TRY_CAST(try_strptime(x, '%m/%d/%y') AS DATE)"
        " WHEN x[-5] = '/' THEN TRY_CAST(try_strptime(x, '%m/%d/%Y') AS DATE)"
        " WHEN regexp_full_match(x, '[0-9]{4}-[0-9]{2}-[0-9]{2}(T00:00:00([.]0+)?)?')"
        " THEN TRY_CAST(try_strptime(left(x, 10), '%Y-%m-%d') AS DATE) END",
        "the date that m/d/yyyy, mm/dd/yyyy, m/d/yy or ISO says, else NULL",
    ),
    "american_minutes(x)": (
        "CASE WHEN regexp_full_match(x, '(0[0-9]|1[0-2]):?[0-5][0-9] ?[AaPp][Mm]?')"
        " THEN 60 * (CAST(left(x, 2) AS INTEGER) % 12) + CAST(left(replace(x[3:], ':', ''), 2) AS INTEGER)"
        " + CASE WHEN regexp_matches(x, '[Pp]') THEN 720 ELSE 0 END END",
        "minutes since midnight of 0143A or 01:43P, else NULL; 12 A and 00 A are hour 0, 12 P is hour 12",
    ),
    "last_time_of_day(minutes, arrived)": (
        "timezone('{zone}', CAST(timezone('{zone}', arrived) AS DATE)"
        " + to_minutes(CAST(minutes AS BIGINT))"
        " - CASE WHEN CAST(timezone('{zone}', arrived) AS DATE) + to_minutes(CAST(minutes AS BIGINT))"
        " > timezone('{zone}', arrived) THEN INTERVAL 1 DAY ELSE INTERVAL 0 DAY END)",
        "the nearest past occurrence, before `arrived`, of so many minutes since midnight in the city",
    ),
    "city_text(t, form)": (
        "strftime(timezone('{zone}', t), form)",
        "a time on the clocks of the city, in a form of strftime",
    ),
    "city_hour(t)": ("hour(timezone('{zone}', t))", "hour of a time on the clocks of the city"),
    "city_minute(t)": ("minute(timezone('{zone}', t))", "minute of a time on the clocks of the city"),
    "rfc3339(t)": ("strftime(timezone('UTC', t), '%Y-%m-%dT%H:%M:%SZ')", "a time as text, in UTC"),
    "whole_if(x)": (
        "CASE WHEN x = trunc(x) THEN to_json(CAST(x AS BIGINT)) ELSE to_json(x) END",
        "a number as JSON, without decimals where it has none",
    ),
    "csv_value(x)": (
        "CASE WHEN regexp_matches(x, '[,;|\"\t\r\n]|^ | $') THEN '\"' || replace(x, '\"', '\"\"') || '\"'"
        " ELSE coalesce(x, '') END",
        "a text as a value of CSV, in quotes where it needs them; NULL as nothing",
    ),
    "squeezed(x)": (
        "nullif(trim(CASE WHEN contains(x, '  ') OR x <> translate(x, chr(9) || chr(10) || chr(13), '')"
        " THEN regexp_replace(x, '\\s+', ' ', 'g') ELSE x END), '')",
        "a text with single blanks and none at its ends; NULL when nothing is left",
    ),
}
"""Signature -> (body, meaning). `{zone}` is the city's."""


def create_macros(con: duckdb.DuckDBPyConnection, zone: str) -> None:
    """Make the macros known to a connection."""
    for signature, (body, _) in MACROS.items():
        con.execute(f"CREATE OR REPLACE MACRO {signature} AS {body.replace('{zone}', zone)}")
