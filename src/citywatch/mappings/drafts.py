"""From drafts to events: casts, times and identity, as SQL over a relation of texts.

A draft is what a mapping makes of a record, all texts: `row` (number of the record in its chunk), `n` (which of the
record's events), the attributes, `f_<field>` for the known fields that occur, `data` and `extensions` as JSON text,
`refused` (why the mapping does not want it). `t` and `r`, TIMESTAMPTZ, are time and receipt where these are known:
`time` and `receivedat` are NULL then.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
import pyarrow as pa

from citywatch.event import BY_NAME, FIELDS, IDENTITY, Column, identity_columns
from citywatch.mappings.casts import PRECISIONS, RANGES, cast_sql, plate_sql, time_sql, wanted
from citywatch.records.columns import Mask, one_array

REQUIRED = ("id", "source", "type")
NOT_SENT = frozenset(c.name for c in FIELDS if c.derived) | {"zones"}
"""Known fields that are computed here, whatever a sender says."""

SENT = tuple(c.name for c in FIELDS if c.name not in NOT_SENT)
"""Known fields that a record may carry in its data, in their order."""

TEXTS = ("id", "source", "type", "subject")
_SHOWN = 120
_NOW = "make_timestamptz(CAST($1 AS BIGINT))"
_NEVER = 2**63 - 1
_LATER, _EXPIRED = "received_at_in_future", "expired"


@dataclass(frozen=True, slots=True)
class Intake:
    """What casts need to know of the moment and the origin; times in µs UTC, durations in µs.

    `now` and `arrived` are the values $1 and $2 of the statements: a plan is made once.
    """

    now: int
    arrived: int
    replay: bool
    lateness: int
    stale: int
    future: int
    dated: bool = False
    """`arrived` is a day that a person named: what has no time of its own is of that day."""
    kept: str | None = None
    """SQL of the µs for which an event of `type` is kept, NULL for ever."""


class Data(Enum):
    """What a draft's `data` is, and so how the event's is made of it.

    The known fields of a mapped message are written over the keys of its record, so that an event printed and read
    again is the same.
    """

    GIVEN = "as it is; the fields have their types, and `odd` is true where they want an exact look"
    OBJECT = "a JSON object"
    MEMBERS = "members of a JSON object, none of them a known field"


def events_sql(draft: str, fields: Sequence[str], intake: Intake, data: Data = Data.GIVEN) -> str:
    """Events of the relation `draft` (SQL in brackets), with `suspect` where a rejection has to be looked into.

    What `out_of_time` finds has to be looked into, too.

    Columns: row, n, suspect, kept_until where retention says (µs, NULL for ever), then those of `event.STORED` that are
    not constant: the attributes, `fields`, stale, data, extensions, ident_hi, ident_lo, fingerprint.
    """
    cast = _typed_sql if data is Data.GIVEN else cast_sql
    casts = "".join(f", {cast(BY_NAME[f], f'f_{f}')} AS {f}, f_{f}" for f in fields)
    casts += ", odd, printed" if data is Data.GIVEN else ""
    values = "".join(f", {f}" for f in fields)
    return f"""
WITH draft AS {draft},
casted AS (SELECT row, n, id, source, type, subject, data, extensions, refused, time, receivedat, time_precision AS p,
  coalesce(t, {time_sql("time")}) AS given, coalesce(r, {time_sql("receivedat")}) AS claimed{casts} FROM draft),
received AS (SELECT * REPLACE ({_data_sql(fields, data)} AS data), {_received_sql(intake)} AS received_at FROM casted),
timed AS (SELECT *, coalesce(given, received_at) AS happened,
  {IDENTITY} AS ident FROM received)
SELECT row, n, {_suspect_sql(fields, intake, data)} AS suspect,
  {f"epoch_us(happened) + ({intake.kept}) AS kept_until," if intake.kept else ""}
  id, source, type, subject, happened AS time, received_at,
  epoch_us(received_at) - epoch_us(happened) > {intake.lateness} AS late,
  {_precision_sql(intake)} AS time_precision{values},
  epoch_us(received_at) - epoch_us(happened) > {intake.stale} AS stale, data, extensions,
  {identity_columns("ident")},
  {_fingerprint_sql(intake, data)} AS fingerprint
FROM timed"""


def _fingerprint_sql(intake: Intake, data: Data) -> str:
    """32 bits of a hash of time and payload as they came; a file that `citywatch events` wrote says which they were."""
    text = "concat(epoch_us(given), ';', strlen(type), type, strlen(subject), subject, ';', data)"
    own = f"CAST(md5_number({text}) & 4294967295 AS UINTEGER)"
    return f"coalesce(printed, {own})" if data is Data.GIVEN and intake.replay else own


def _data_sql(fields: Sequence[str], data: Data) -> str:
    if data is Data.GIVEN:
        return "data"
    if data is Data.MEMBERS:
        members = "".join(f", {member_sql(name, name)}" for name in fields)
        return f"concat('{{', concat_ws(',', nullif(data, ''){members}), '}}')"
    pairs = ", ".join(f"'{name}', {name}" for name in fields)
    return f"CAST(json_merge_patch('{{}}', data, json_object({pairs})) AS VARCHAR)"


def member_sql(name: str, value: str, *, plain: bool = False) -> str:
    """A member of a JSON object as text, NULL when `value` is; `plain` texts have nothing to escape."""
    if plain:
        return f"""'"{name}":"' || {value} || '"'"""
    return f"""CASE WHEN {value} IS NOT NULL THEN '"{name}":' || CAST(to_json({value}) AS VARCHAR) END"""


def _received_sql(intake: Intake) -> str:
    if not intake.replay:
        return _NOW
    happened = f"CASE WHEN given IS NOT NULL THEN least(given, {_NOW}) END"  # least passes over NULL
    return f"coalesce(claimed, {happened}, make_timestamptz(CAST($2 AS BIGINT)))"


def _precision_sql(intake: Intake) -> str:
    unsaid = "CASE WHEN given IS NULL AND claimed IS NULL THEN 'day' ELSE 'second' END" if intake.dated else "'second'"
    return f"coalesce(p, {unsaid})"


def _out_of_time(intake: Intake) -> dict[str, str]:
    """Reason -> SQL of the rejections that look at the clock."""
    in_future = f"epoch_us(received_at) > CAST($1 AS BIGINT) + {intake.future}"
    return {
        **({_EXPIRED: f"epoch_us(happened) < CAST($1 AS BIGINT) - ({intake.kept})"} if intake.kept else {}),
        **({_LATER: in_future} if intake.replay else {}),
        "time_in_future": f"epoch_us(happened) - epoch_us(received_at) > {intake.future}",
    }


def out_of_time(events: pa.Table, intake: Intake) -> Mask:
    """Which events say that they are received later than now, or are kept no longer.

    DuckDB would plan a statement that compares columns with its values anew for each now.
    """
    found: Mask = np.zeros(len(events), np.bool_)
    if intake.replay:
        found |= events["received_at"].cast(pa.int64()).to_numpy() > intake.now + intake.future
    if intake.kept:
        found |= one_array(events["kept_until"]).fill_null(_NEVER).to_numpy() < intake.now
    return found


def _typed_sql(column: Column, value: str) -> str:
    """The value as it came from JSON with its type."""
    return plate_sql(value) if column.name == "plate" else value


def _suspect_sql(fields: Sequence[str], intake: Intake, data: Data) -> str:
    """True for every draft that may have to be refused, texts aside; cheap, and wrong on the side of doubt."""
    doubts = [
        "refused IS NOT NULL",
        *(f"coalesce({name} = '', true)" for name in REQUIRED),
        "(time IS NOT NULL AND given IS NULL)",
        *(["(receivedat IS NOT NULL AND claimed IS NULL)"] if intake.replay else []),
        f"p NOT IN {PRECISIONS}",
        *(sql for reason, sql in _out_of_time(intake).items() if reason not in (_LATER, _EXPIRED)),
        *(_typed_doubts(fields) if data is Data.GIVEN else _text_doubts(fields)),
    ]
    return "coalesce(" + " OR ".join(doubts) + ", false)"


def _typed_doubts(fields: Sequence[str]) -> list[str]:
    return ["odd", *(f"abs({name}) > {limit}" for name, limit in RANGES.items() if name in fields)]


def _text_doubts(fields: Sequence[str]) -> list[str]:
    others = [name for name in fields if BY_NAME[name].sql != "VARCHAR"]
    return [f"(f_{name} IS NOT NULL AND {name} IS NULL)" for name in others]


def reasons_sql(draft: str, fields: Sequence[str], intake: Intake, *, typed: bool) -> str:
    """Why each draft is refused, or NULL: columns row, n, reason. Exact, and asked about suspects only.

    `typed`: the draft's texts come straight from JSON (`raw`, `data`), so objects, arrays and booleans have to be told
    from texts that look like them.
    """
    casts = "".join(f", {cast_sql(BY_NAME[f], f'f_{f}')} AS {f}, f_{f}" for f in fields)
    reasons = [
        "refused",
        *(f"CASE WHEN coalesce({name} = '', true) THEN '{name} is missing or empty' END" for name in REQUIRED),
        _uncast_sql("time", "given IS NULL"),
        *([_uncast_sql("receivedat", "claimed IS NULL", "received_at")] if intake.replay else []),
        _uncast_sql("p", f"p NOT IN {PRECISIONS}", "time_precision"),
        *(_uncast_sql(f"f_{f}", _not_cast(f, typed), f) for f in fields),
        *([_uncast_sql(name, _no_text("raw", name)) for name in TEXTS] if typed else []),
    ]
    late = "".join(f" WHEN {sql} THEN '{reason}'" for reason, sql in _out_of_time(intake).items())
    raw = "raw, " if typed else ""
    return f"""
WITH draft AS {draft},
casted AS (SELECT row, n, {raw}id, source, type, subject, data, refused, time, receivedat, time_precision AS p,
  coalesce(t, {time_sql("time")}) AS given, coalesce(r, {time_sql("receivedat")}) AS claimed{casts} FROM draft),
received AS (SELECT *, {_received_sql(intake)} AS received_at FROM casted),
timed AS (SELECT *, coalesce(given, received_at) AS happened FROM received)
SELECT row, n, coalesce(nullif(concat_ws('; ', {", ".join(reasons)}), ''), CASE{late} END) AS reason FROM timed"""


def _not_cast(field: str, typed: bool) -> str:
    sql = BY_NAME[field].sql
    if sql == "VARCHAR":
        if typed:
            return _no_text("data", field)
        return "false"
    if sql == "VARCHAR[]" and typed:
        array = f"json_type(data, '$.{field}') <> 'ARRAY'"
        others = f"len(list_filter(json_type(data, '$.{field}[*]'), lambda k: k <> 'VARCHAR')) > 0"
        return f"({field} IS NULL OR {array} OR {others})"
    return f"({field} IS NULL AND {_present(field)})"


def _present(field: str) -> str:
    """A plate without a letter or digit is a NULL, not a fault; a list for a plate is a fault."""
    return "false" if field == "plate" else "true"


def _no_text(json: str, name: str) -> str:
    return f"json_type({json}, '$.{name}') IN ('OBJECT', 'ARRAY', 'BOOLEAN')"


def _uncast_sql(text: str, condition: str, name: str | None = None) -> str:
    column = BY_NAME[name or text]
    shown = f"CASE WHEN strlen({text}) > {_SHOWN} THEN concat(left({text}, {_SHOWN}), '…') ELSE {text} END"
    words = f"concat('{column.name}: ', {shown}, ' is no {wanted(column)}')"
    return f"CASE WHEN {text} IS NOT NULL AND {condition} THEN {words} END"


def known(keys: Iterable[str]) -> list[str]:
    """Those of `keys` that are known fields which a sender may set, in the order of the columns."""
    present = set(keys)
    return [name for name in SENT if name in present]
