"""Counts of messages and alerts."""

from __future__ import annotations

from citywatch.analytics.archive import Archive
from citywatch.analytics.dimensions import NO_TIME_OF_DAY, Dimension, dimensions
from citywatch.analytics.question import Answer, Asked, Question, left_out_of
from citywatch.analytics.questions.tickets import LEFT_OUT
from citywatch.analytics.tally import COUNT, NO_CODE, tally, tally_of
from citywatch.event import IDENTITY, identity_columns

_OF_ALERTS = {
    name: Dimension(name, {f"raw_{name}": name}, f"raw_{name}", f"no_{name}", meaning)
    for name, meaning in {
        "rule": "name of the rule",
        "level": "level",
        "status": "status of the rule",
        "state": "open, acknowledged, shelved or closed",
        "outcome": "why it was closed",
        "assignee": "who has it",
        "address": "address of the first match",
    }.items()
}
_ALERTED = "(SELECT * FROM events SEMI JOIN alerted USING (ident_hi, ident_lo))"
_TIMES = {name: dim for name, dim in dimensions().items() if set(dim.raw) <= {"minute", "quarter", "day_only"}}


def messages(archive: Archive, asked: Asked) -> Answer:
    """Messages by type, or by what is asked, and how many of them stand in the evidence of an alert."""
    name = asked.by or "type"
    archive.need_evidence()
    identities = f"SELECT {identity_columns('ident')} FROM (SELECT {IDENTITY} AS ident FROM evidence)"
    archive.con.execute(f"CREATE OR REPLACE TEMP TABLE alerted AS {identities}")
    tally(archive, asked, (name,), relation=_ALERTED, beside=("alerted",))
    archive.con.execute("CREATE OR REPLACE TEMP TABLE in_alerts AS SELECT * FROM tally")
    counted = tally(archive, asked, (name,))
    rows = archive.query(f"""
        SELECT "{name}", tally.n AS count, tally.n / {max(counted.total, 1)} AS share,
               coalesce(in_alerts.n, 0) AS alerts, coalesce(in_alerts.n, 0) / tally.n AS alert_share
        FROM tally LEFT JOIN in_alerts USING ("{name}")
        ORDER BY {counted.shown(asked.top)} {asked.limit}""")
    return Answer(rows, left_out_of(counted.left_out))


def alerts(archive: Archive, asked: Asked) -> Answer:
    """Alerts by rule, or by what is asked; their time is that of the first match."""
    by = asked.by or "rule"
    archive.need_alerts("first_seen", *({by} & _OF_ALERTS.keys()))
    dims = ((_OF_ALERTS | _TIMES)[by],)
    relation = "(SELECT *, first_seen AS time, NULL AS time_precision FROM alerts)"
    return tally_of(archive, asked, dims, relation=relation, beside=None).answer(asked.top)


QUESTIONS = (
    Question(
        name="messages",
        title="Messages",
        definition="Events by type, or by the field that `--by` names, and how many of them an alert rests on.",
        columns={
            "type": "type of the event, or the field that `--by` names",
            **COUNT,
            "alerts": "messages that stand in the evidence of at least one alert",
            "alert_share": "alerts / count, 0..1",
        },
        ask=messages,
        exclusions={
            "no_FIELD": "the field that `--by` names is not known",
            NO_TIME_OF_DAY: LEFT_OUT[NO_TIME_OF_DAY],
            NO_CODE: LEFT_OUT[NO_CODE],
        },
        by=tuple(dimensions()),
        chart=("type", "count"),
    ),
    Question(
        name="alerts",
        title="Alerts",
        definition="Alerts by rule, or by what `--by` names; the time of an alert is that of its first match.",
        columns={"rule": "name of the rule, or what `--by` names", **COUNT},
        ask=alerts,
        exclusions={"no_FIELD": "the alert has no such thing"},
        fixed_types=True,
        by=(*_OF_ALERTS, *_TIMES),
        chart=("rule", "count"),
    ),
)
