"""Count events by dimensions in one scan, and say what was left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict, Unpack

from citywatch.analytics.dimensions import NO_CODE as NO_CODE_RAW
from citywatch.analytics.dimensions import NO_TIME, NO_TIME_OF_DAY, Dimension, dimensions
from citywatch.analytics.question import VIOLATIONS, Answer, Asked, left_out_of
from citywatch.analytics.scans import COUNT as COUNTED
from citywatch.analytics.scans import Scans

if TYPE_CHECKING:
    from citywatch.analytics.archive import Archive

NO_CODE = dimensions()["violation_code"].missing
UNKNOWN_CORRECTED = "correction_of_unknown_event"
PLAIN_TYPES = {VIOLATIONS: ("ticket.issued", "drone.violation")}

COUNT = {"count": "how many", "share": "count / all rows counted, 0..1"}


@dataclass(frozen=True)
class Tally:
    """The temporary table ``tally``: a column for each dimension, `n` events; rows left out are not in it."""

    archive: Archive
    dims: tuple[Dimension, ...]
    total: int
    left_out: Mapping[str, int]

    def answer(self, top: int | None = None) -> Answer:
        """Dimensions, count, share. The last dimension is what is counted, the ones before it group the answer."""
        *groups, key = (f'"{dim.name}"' for dim in self.dims)
        best = _best(groups, self._ranked, top)
        rows = self.archive.query(f"""
            WITH counted AS (SELECT {", ".join([*groups, key])}, n AS count FROM tally)
            SELECT *, count / {max(self.total, 1)} AS share FROM counted {best}
            ORDER BY {self.shown(top)} {"" if top is None or groups else f"LIMIT {top}"}""")
        return Answer(rows, left_out_of(self.left_out))

    def shown(self, top: int | None = None) -> str:
        """What to order rows with the dimensions and `count` by."""
        *groups, dim = self.dims
        last = dim.rank if dim.ordered and top is None else self._ranked
        return ", ".join([*(group.rank for group in groups), last])

    @property
    def _ranked(self) -> str:
        return f"count DESC, {self.dims[-1].rank}"


def _best(groups: Sequence[str], ranked: str, top: int | None) -> str:
    if top is None or not groups:
        return ""
    return f"QUALIFY row_number() OVER (PARTITION BY {', '.join(groups)} ORDER BY {ranked}) <= {top}"


def types_sql(types: Sequence[str]) -> str:
    """Predicate on the type of an event; none given means all."""
    wanted = [name for given in types for name in PLAIN_TYPES.get(given, (given,))]
    quoted = ", ".join("'" + name.replace("'", "''") + "'" for name in wanted)
    return f"type IN ({quoted})" if wanted else "true"


def where_sql(asked: Asked) -> str:
    """Predicate of the type and the period on a row of ``events``."""
    return f"{types_sql(asked.types)} AND {asked.period.sql('time')}"


def tally(archive: Archive, asked: Asked, names: Sequence[str], **further: Unpack[Further]) -> Tally:
    """Count the asked events by the named dimensions, grouped by all of them; see `Further`."""
    return tally_of(archive, asked, tuple(dimensions()[name] for name in names), **further)


class Further(TypedDict, total=False):
    """What a tally may be told beside.

    `relation` stands for ``events`` and has the columns of it that are read; `beside` are small tables that it joins
    them with, None where it has nothing of them.
    `exclusions`: further reasons to leave a row out -> SQL over the raw aliases of the dimensions; judged last.
    """

    relation: str
    beside: tuple[str, ...] | None
    exclusions: Mapping[str, str]


def tally_of(archive: Archive, asked: Asked, dims: tuple[Dimension, ...], **further: Unpack[Further]) -> Tally:
    """The same for dimensions of one's own."""
    raw: dict[str, str] = {alias: sql for dim in dims for alias, sql in dim.raw.items()}
    if asked.violations:
        raw |= NO_CODE_RAW  # not the code itself: the groups stay few
    scanned, raw, joined = _corrected(archive, raw, further.get("relation"))
    reasons = _reasons(asked, dims) | dict(further.get("exclusions", {}))
    beside = further.get("beside", ())
    scans = Scans(archive.con) if beside is None else archive.scans
    keys = ", ".join(f"{sql} AS {alias}" for alias, sql in raw.items())
    found = scans.grouped(keys, {"n": COUNTED}, where_sql(asked), scanned, [*(beside or ()), *joined])
    archive.con.execute(_statement(archive, dims, reasons, found))
    left_out = _count_left_out(archive, asked, raw)
    total = left_out.pop("", 0)
    archive.con.execute(_kept(dims, plain=len(raw) == len(dims) and all(dim.plain for dim in dims)))
    return Tally(archive, dims, total, left_out)


def _corrected(archive: Archive, raw: dict[str, str], relation: str | None) -> tuple[str, dict[str, str], list[str]]:
    """The relation to scan, the raw expressions with the code of the last correction, and what it joins for that."""
    scanned = relation or "events"
    if not _code_decides(raw) or not archive.has_corrections:
        return scanned, raw, []
    code = "CASE WHEN target_seq IS NULL THEN violation_code ELSE new_code END"
    replaced = {"code": code, "no_code": f"({code}) IS NULL"}
    raw = raw | {a: replaced[a] for a in replaced if a in raw}
    return f"{scanned} LEFT JOIN corrected ON target_seq = seq", raw, ["corrected"]


def _code_decides(raw: Mapping[str, str]) -> bool:
    return "code" in raw or "no_code" in raw


def _reasons(asked: Asked, dims: Sequence[Dimension]) -> dict[str, str]:
    """Reason -> predicate over the raw aliases and the values, in the order in which they are judged."""
    reasons = {NO_CODE: "no_code"} if asked.violations else {}
    if any(dim.hour for dim in dims):
        reasons[NO_TIME_OF_DAY] = "day_only"
    for dim in dims:
        if dim.missing != NO_TIME:  # every event has a time
            reasons.setdefault(dim.missing, f'"{dim.name}" IS NULL')
    return reasons


def _statement(archive: Archive, dims: Sequence[Dimension], reasons: Mapping[str, str], scan: str) -> str:
    """Judge and name each group of the raw expressions."""
    judged = " ".join(f"WHEN {sql} THEN '{reason}'" for reason, sql in reasons.items())
    values = ", ".join(f'{dim.sql(archive.zone)} AS "{dim.name}"' for dim in dims)
    kept = ", ".join(f'"{dim.name}"' for dim in dims)
    return f"""
        CREATE OR REPLACE TEMP TABLE judged AS
        WITH named AS MATERIALIZED (SELECT *, {values} FROM {scan})
        SELECT {f"CASE {judged} ELSE '' END" if judged else "''"} AS reason, {kept}, n FROM named"""


def _count_left_out(archive: Archive, asked: Asked, raw: Mapping[str, str]) -> dict[str, int]:
    """Reason -> rows; the empty reason is for the rows that count."""
    counts = archive.con.execute("SELECT reason, CAST(sum(n) AS BIGINT) FROM judged GROUP BY reason").fetchall()
    unknown = archive.corrections_of_unknown_events(asked.period) if _code_decides(raw) else 0
    return {**dict(counts), UNKNOWN_CORRECTED: unknown}


def _kept(dims: Sequence[Dimension], *, plain: bool) -> str:
    """Rows that count, grouped by their values; plain values are already distinct."""
    names = ", ".join(f'"{dim.name}"' for dim in dims)
    if plain:
        return f"CREATE OR REPLACE TEMP TABLE tally AS SELECT {names}, n FROM judged WHERE reason = ''"
    return f"""
        CREATE OR REPLACE TEMP TABLE tally AS
        SELECT {names}, CAST(sum(n) AS BIGINT) AS n FROM judged WHERE reason = '' GROUP BY ALL"""
