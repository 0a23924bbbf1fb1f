"""What a batch of events means to the rules: predicates, group keys and values, by one statement for each event type.

DuckDB evaluates every predicate and key of a type in one scan. The result is columns: for each plain rule the events it
holds for, for each stream (the base events of correlations, by group key) its new rows.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from citywatch.engine.planned import Feed, in_parts
from citywatch.engine.runs import Floats, Ints, Keys, Mask
from citywatch.event import BY_NAME, batch_schema, derived_sql
from citywatch.rules.model import Rule, Ruleset, Selection
from citywatch.rules.predicate import TRIED

_FEW = 32
"""So many predicates may be asked twice, so that events for which none holds are left out; of more, all are kept."""


@dataclass(frozen=True, slots=True)
class Atom:
    """One way into a stream: the events a selection holds for, keyed by the values of fields."""

    selection: Selection
    group_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """The base events of one or more correlations.

    `field`: its values are told apart. `placed`: positions are kept. `whole`: all events of the logsource come in and
    `flag` says for which the predicate holds (dwell). `retention`: how far back it is asked, microseconds.
    """

    atoms: tuple[Atom, ...]
    field: str | None = None
    placed: bool = False
    whole: bool = False
    retention: int = 0

    @property
    def fingerprint(self) -> str:
        """Names the state that belongs to this stream. Keys are hashed by DuckDB, so its version is part of it."""
        text = json.dumps([asdict(self), duckdb.__version__], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(slots=True)
class BaseRows:
    """New rows of one stream, unsorted. `v` hashes the value of the field, 0 where it is NULL; `key` is JSON text."""

    k: Keys
    t: Ints
    ref: Ints
    v: Keys
    flag: Mask
    lat: Floats
    lon: Floats
    key: pa.Array[Any]

    def __len__(self) -> int:
        return len(self.k)


@dataclass(slots=True)
class Derived:
    """`plain[i]`: (key hash, key text, ref, t, late) of the events that plain rule i holds for."""

    plain: dict[int, pa.Table] = field(default_factory=dict)
    streams: list[list[pa.Table]] = field(default_factory=list)


def key_text(fields: Sequence[str]) -> str:
    """SQL of a group key: a JSON array without blanks; times as RFC 3339."""

    def value(name: str) -> str:
        sql = BY_NAME[name].sql
        if sql == "TIMESTAMPTZ":
            return f"strftime(timezone('UTC', {name}), '%Y-%m-%dT%H:%M:%S.%fZ')"
        return f"CAST({name} AS VARCHAR)" if sql == "DATE" else _number(name)

    return f"CAST(json_array({', '.join(map(value, fields))}) AS VARCHAR)"


class Derivation:
    """The statements for one rule set, made once."""

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        ruleset: Ruleset,
        plain: Sequence[Rule],
        streams: Sequence[StreamSpec],
        *,
        zone: str,
        shard: tuple[int, int] = (0, 1),
    ) -> None:
        # A connection of its own: a predicate that fails on a row must not end the host's transaction.
        self._reader = con.cursor()
        self._reader.execute("SET TimeZone = 'UTC'")
        self._plain = plain
        self._streams = streams
        self.errors: Counter[str] = Counter()
        """Rows on which a predicate failed, by predicate."""
        self._local = ", ".join(f"{sql} AS {name}" for name, sql in derived_sql(zone).items())
        for name, table in ruleset.lists.items():
            self._reader.register(f"list_{name}", table)
        selections = [r.selection for r in plain if r.selection] + [a.selection for s in streams for a in s.atoms]
        types = sorted({t for s in selections for t in s.types})
        self._open = any(not s.types for s in selections)
        self._statements = {
            t: _Statement(f"derive_{n}", t, plain, streams, shard=shard) for n, t in enumerate([*types, None])
        }
        for statement in self._statements.values():
            statement.prepare(self._reader, self._local)

    def statements_for(self, types: Sequence[str]) -> list[tuple[_Statement, list[int]]]:
        """The statements that a batch with these types of event needs, and which of the types each is for.

        One a type that a rule names, and one for all the others when a rule names no type.
        """
        wanted = [(self._statements[t], [i]) for i, t in enumerate(types) if t in self._statements]
        others = [i for i, t in enumerate(types) if t not in self._statements]
        return [*wanted, (self._statements[None], others)] if self._open and others else wanted

    def __call__(self, batch: pa.Table) -> Derived:
        """Evaluate a batch (`event.batch_schema()`, already without what is for history only)."""
        out = Derived(streams=[[] for _ in self._streams])
        code = batch["type"].combine_chunks().dictionary_encode()
        types, type_at = [str(t) for t in code.dictionary.to_pylist()], code.indices.to_numpy()
        for statement, which in self.statements_for(types):
            part = batch.select(statement.columns)
            if len(which) < len(types):
                part = part.take(np.flatnonzero(np.isin(type_at, which)))
            statement.feed.table = in_parts(part)
            statement.sort_into(out, self._run(statement))
        return out

    def _run(self, statement: _Statement) -> pa.Table:
        try:
            result: pa.Table = self._reader.sql(f"EXECUTE {statement.name}").to_arrow_table()
        except duckdb.Error:
            # A predicate failed on some row: evaluate so that it is not true there, and elsewhere as ever.
            result = self._guarded(statement)
            for i, predicate in enumerate(statement.predicates):
                if failed := pc.sum(result[f"e{i}"]).as_py():
                    self.errors[predicate] += failed
        return result

    def _guarded(self, statement: _Statement) -> pa.Table:
        # DuckDB takes what several expressions share out of their TRY, and there it fails after all.
        self._reader.execute("SET disabled_optimizers = 'common_subexpressions'")
        try:
            result: pa.Table = self._reader.sql(statement.sql(self._local, guarded=True)).to_arrow_table()
        finally:
            self._reader.execute("RESET disabled_optimizers")
        return result


class _Statement:
    """What the events of one type (None: of all types that no rule names) are asked; `feed` holds them."""

    def __init__(
        self,
        name: str,
        type_: str | None,
        plain: Sequence[Rule],
        streams: Sequence[StreamSpec],
        *,
        shard: tuple[int, int],
    ) -> None:
        def meant(selection: Selection | None) -> bool:
            return selection is not None and (not selection.types or type_ in selection.types)

        self.name = name
        self.columns: list[str] = []
        """Columns of the batch that it reads."""
        self.feed = Feed(batch_schema().empty_table())
        self.predicates: list[str] = []
        self._memberships: dict[str, str] = {}
        """Columns that say whether a value is in a list, and how they are computed."""
        self._keys: list[tuple[str, ...]] = []
        self._fields: list[str] = []
        self._rules = plain
        self._shard = shard
        self._plain = [(i, self._predicate(r.selection)) for i, r in enumerate(plain) if meant(r.selection)]
        self._atoms = [
            (s, stream, atom, self._predicate(atom.selection))
            for s, stream in enumerate(streams)
            for atom in stream.atoms
            if meant(atom.selection)
        ]

    def _predicate(self, selection: Selection | None) -> int:
        text = (selection.predicate if selection else None) or "true"
        self._memberships |= dict(selection.memberships if selection else ())
        if text not in self.predicates:
            self.predicates.append(text)
        return self.predicates.index(text)

    def sql(self, local: str, *, guarded: bool) -> str:
        """The statement; `guarded`: predicates that fail on a row are false there, and `eN` counts where.

        Lists, then predicates, keys and values, then what each rule takes of them are worked out in sub-selects one
        above the other, so that what several rules ask is computed once.
        """
        outer = ["seq AS ref", "epoch_us(time) AS t", "late"]
        outer += [self._plain_test(i, p) for i, p in self._plain]
        for i, p in self._plain:
            if self._rules[i].suppression:
                outer.append(f"CASE WHEN p{p} THEN text{self._key(self._rules[i].group_names)} END AS g{i}")
        for a, (_, stream, atom, p) in enumerate(self._atoms):
            outer += self._atom_columns(a, stream, atom, p)
        if guarded:
            outer += [f"e{i}" for i in range(len(self.predicates))]
        test = _guarded if guarded else _plain
        inner = ["*", *(test(p, i) for i, p in enumerate(self.predicates))]
        inner += [f"{key_text(fields)} AS text{n}, hash(text{n}) AS hash{n}" for n, fields in enumerate(self._keys)]
        inner += [_value_hash(field, n) for n, field in enumerate(self._fields)]
        lists = "".join(f", {sql} AS {name}" for name, sql in self._memberships.items())
        # The text of events is long: it is not even moved when no predicate asks for it.
        asked = any(re.search(r"\bdata\b", text) for text in [*self.predicates, lists])
        data = "REPLACE (CAST(data AS JSON) AS data)" if asked else ""
        events = f"SELECT * {data}, {local} FROM feed_{self.name}"
        all_rows = guarded or len(self.predicates) > _FEW or any(stream.whole for _, stream, _, _ in self._atoms)
        wanted = "true" if all_rows else self._wanted()
        return (
            f"SELECT {', '.join(outer)} FROM (SELECT {', '.join(inner)} FROM (SELECT *{lists} FROM ({events})))"
            f" WHERE {wanted}"
        )

    def _wanted(self) -> str:
        """The condition that some rule holds for an event: keys are made of no others."""
        return " OR ".join(f"p{p}" for p in range(len(self.predicates))) or "false"

    def prepare(self, con: duckdb.DuckDBPyConnection, local: str) -> None:
        """Have it parsed and planned once. It reads the columns whose names stand in it."""
        text = self.sql(local, guarded=False)
        words = set(re.findall(r"\w+", text))
        self.columns = [name for name in batch_schema().names if name in words]
        self.feed.table = batch_schema().empty_table().select(self.columns)
        con.register(f"feed_{self.name}", self.feed)
        con.execute(f"PREPARE {self.name} AS {text}")

    def sort_into(self, out: Derived, result: pa.Table) -> None:
        """Hand each plain rule and each stream its rows of the result."""
        for i, _ in self._plain:
            rows = np.flatnonzero(result[f"m{i}"].to_numpy())
            if len(rows):
                names = ["ref", "t", "late"]
                grouped = bool(self._rules[i].suppression)
                part = result.select([*names, f"g{i}"] if grouped else names).take(rows)
                part = part.rename_columns([*names, "key"] if grouped else names)
                out.plain[i] = pa.concat_tables([out.plain[i], part]) if i in out.plain else part
        for a, (s, _, _, _) in enumerate(self._atoms):
            names = ["ref", "t", *(f"{n}{a}" for n in ("key", "k", "v", "flag", "lat", "lon"))]
            chosen = result.select(names).rename_columns(["ref", "t", "key", "k", "v", "flag", "lat", "lon"])
            chosen = chosen.filter(pc.is_valid(chosen["key"]))
            if len(chosen):
                out.streams[s].append(chosen)

    def _key(self, fields: Sequence[str]) -> int:
        if tuple(fields) not in self._keys:
            self._keys.append(tuple(fields))
        return self._keys.index(tuple(fields))

    def _value(self, field: str | None) -> str:
        if field is None:
            return "CAST(0 AS UBIGINT)"
        if field not in self._fields:
            self._fields.append(field)
        return f"value{self._fields.index(field)}"

    def _mine(self, key: int) -> list[str]:
        """The condition that a key belongs to this shard."""
        number, shards = self._shard
        return [f"hash{key} % {shards} = {number}"] if shards > 1 else []

    def _plain_test(self, i: int, p: int) -> str:
        return " AND ".join([f"p{p}", *self._mine(self._key(self._rules[i].group_names))]) + f" AS m{i}"

    def _atom_columns(self, a: int, stream: StreamSpec, atom: Atom, p: int) -> list[str]:
        """Key, key hash, value hash, flag and position of an atom's rows; NULL key = no row, as for late events."""
        key = self._key(atom.group_by)
        conditions = [] if stream.whole else [f"p{p}"]
        conditions += ["NOT late", *(f"{f} IS NOT NULL" for f in atom.group_by), *self._mine(key)]
        return [
            f"CASE WHEN {' AND '.join(conditions)} THEN text{key} END AS key{a}",
            f"hash{key} AS k{a}",
            f"{self._value(stream.field)} AS v{a}",
            f"{f'p{p}' if stream.whole else 'true'} AS flag{a}",
            f"{'lat' if stream.placed else 'CAST(NULL AS DOUBLE)'} AS lat{a}",
            f"{'lon' if stream.placed else 'CAST(NULL AS DOUBLE)'} AS lon{a}",
        ]


def _value_hash(field: str, n: int) -> str:
    return f"CASE WHEN {field} IS NULL THEN 0 ELSE hash(CAST({_number(field)} AS VARCHAR)) END AS value{n}"


def _number(field: str) -> str:
    """A field whose equal values have one text: -0.0 is 0.0."""
    return f"({field} + 0.0)" if BY_NAME[field].sql == "DOUBLE" else field


def _plain(predicate: str, i: int) -> str:
    return f"coalesce(({predicate}), false) AS p{i}"


def _guarded(predicate: str, i: int) -> str:
    """A predicate that is false where it fails, and a column that counts where it did."""
    tried = TRIED.format(predicate)
    return f"coalesce({tried}, 0) = 1 AS p{i}, CAST({tried} IS NULL AS INTEGER) AS e{i}"


def base_rows(tables: list[pa.Table], *, several: bool) -> BaseRows:
    """One stream's new rows as arrays; with several atoms an event comes once for each key."""
    table = pa.concat_tables(tables)
    if several and len(table):
        k, ref = table["k"].to_numpy(), table["ref"].to_numpy()
        order = np.lexsort((ref, k))
        again = (k[order][1:] == k[order][:-1]) & (ref[order][1:] == ref[order][:-1])
        table = table.take(np.sort(order[np.concatenate(([True], ~again))]))
    return BaseRows(
        k=table["k"].to_numpy(),
        t=table["t"].to_numpy(),
        ref=table["ref"].to_numpy(),
        v=table["v"].to_numpy(),
        flag=table["flag"].to_numpy(),
        lat=floats(table["lat"]),
        lon=floats(table["lon"]),
        key=table["key"].combine_chunks(),
    )


def floats(column: pa.ChunkedArray[Any]) -> Floats:
    """A column of numbers as an array; NaN where it is NULL."""
    return column.to_numpy().astype(np.float64)
