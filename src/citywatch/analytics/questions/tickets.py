"""Tickets counted by one thing: code, place, time, vehicle."""

from __future__ import annotations

from collections.abc import Mapping

from citywatch.analytics.archive import Archive
from citywatch.analytics.dimensions import NO_TIME, NO_TIME_OF_DAY, dimensions
from citywatch.analytics.question import Answer, Asked, Question
from citywatch.analytics.tally import COUNT, NO_CODE, UNKNOWN_CORRECTED, tally

TICKETS = ("ticket.issued",)

# name of the report behind `tickets-by-` -> (dimension, title)
_BY: Mapping[str, tuple[str, str]] = {
    "code": ("violation_code", "Tickets by code of the offence"),
    "year": ("year", "Tickets by year"),
    "month": ("month", "Tickets by month"),
    "season": ("season", "Tickets by season"),
    "day": ("local_date", "Tickets by day"),
    "weekday": ("local_weekday", "Tickets by weekday"),
    "hour": ("local_hour", "Tickets by hour"),
    "bin": ("time_bin", "Tickets by time of day, in bins of four hours"),
    "timeframe": ("timeframe", "Tickets by timeframe"),
    "minute": ("minute_of_day", "Tickets by minute of the day"),
    "precinct": ("precinct", "Tickets by precinct"),
    "borough": ("borough", "Tickets by borough"),
    "street": ("street", "Tickets by street"),
    "state": ("plate_state", "Tickets by state of the plate"),
    "plate": ("plate", "Tickets by plate"),
    "plate-type": ("plate_type", "Tickets by kind of plate"),
    "make": ("vehicle_make", "Tickets by make"),
    "body": ("vehicle_body", "Tickets by body of the vehicle"),
    "color": ("vehicle_color", "Tickets by colour of the vehicle"),
    "vehicle-year": ("vehicle_year", "Tickets by model year of the vehicle"),
    "agency": ("issuer_agency", "Tickets by agency"),
    "device": ("device_id", "Tickets by device"),
}

LEFT_OUT = {
    NO_TIME_OF_DAY: "the time is known to the day only, and the hour is asked for",
    NO_CODE: "no code of an offence, where the code decides",
    UNKNOWN_CORRECTED: "a correction, sent in the period, of an event that history does not have",
}
"""Reasons that several reports share."""


def by_fields(but: str) -> tuple[str, ...]:
    """All that `--by` may name beside the thing itself."""
    return tuple(name for name in dimensions() if name != but)


def _question(suffix: str, dimension: str, title: str) -> Question:
    dim = dimensions()[dimension]

    def ask(archive: Archive, asked: Asked) -> Answer:
        names = (dimension,) if asked.by is None else (asked.by, dimension)
        return tally(archive, asked, names).answer(asked.top)

    reasons = [NO_TIME_OF_DAY] * dim.hour + [UNKNOWN_CORRECTED] * (dimension == "violation_code")
    missing = {} if dim.missing == NO_TIME else {dim.missing: f"{dimension} is not known"}
    return Question(
        name=f"tickets-by-{suffix}",
        title=title,
        definition=f"Events of the type `ticket.issued`, counted by `{dimension}` ({dim.meaning}).",
        columns={dimension: dim.meaning, **COUNT},
        ask=ask,
        exclusions={reason: LEFT_OUT[reason] for reason in reasons} | missing,
        types=TICKETS,
        by=by_fields(dimension),
        chart=(dimension, "count"),
    )


QUESTIONS = tuple(_question(suffix, *rest) for suffix, rest in _BY.items())
