"""Where things happen."""

from __future__ import annotations

from citywatch.analytics.archive import Archive
from citywatch.analytics.question import Answer, Asked, Question
from citywatch.analytics.questions.tickets import TICKETS
from citywatch.analytics.tally import COUNT, tally


def top_places(archive: Archive, asked: Asked) -> Answer:
    """Addresses, or what `by` names, with most events first."""
    return tally(archive, asked, (asked.by or "address",)).answer(asked.top)


QUESTIONS = (
    Question(
        name="top-places",
        title="Places with most tickets",
        definition="Tickets by address as it is written, or with `--by street` by street, spelled one way; most first.",
        columns={"address": "address; `street`, `borough` or `precinct` with `--by`", **COUNT},
        ask=top_places,
        exclusions={"no_address": "no address (`no_street` .. with `--by`)"},
        types=TICKETS,
        by=("address", "street", "borough", "precinct"),
        chart=("address", "count"),
    ),
)
