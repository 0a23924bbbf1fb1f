"""The engine step: (state, batch, clock) -> (state', alerts).

DuckDB says what each event means to each rule (`derive`), sorted runs answer the window questions (`correlations`), the
book turns matches into alerts (`alerts`). The state that counts is in tables of the connection that the host gives,
which also holds the host's transaction: a step reads and writes nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from copy import deepcopy
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from citywatch.engine.alerts import AlertBook, Changes, joined
from citywatch.engine.concurrency import side_by_side
from citywatch.engine.derive import BaseRows, Derivation, Derived, base_rows
from citywatch.engine.evaluator import Matches
from citywatch.engine.families import Batch, Found, families
from citywatch.engine.incoming import Events
from citywatch.engine.own import blind_facts, overflow_facts
from citywatch.engine.plain import Single
from citywatch.engine.registry import evaluator_for, stream_specs
from citywatch.engine.runs import BEGINNING, Ints, Keys
from citywatch.engine.state import KEPT, State
from citywatch.engine.streams import Stream
from citywatch.rules.model import Rule, Ruleset, Status
from citywatch.settings import MINUTE, Settings

LARGE = 4_096
"""Rows of a batch whose work is worth more than the passing of it between threads."""


@dataclass(frozen=True, slots=True)
class Past:
    """What a step reads once more, in silence, for rules that were not in force.

    Attributes
    ----------
    rules
        Their names.
    streams
        Fingerprints of the streams that nobody has added to: what is read stays theirs. Other streams are there
        already, and what is read of them is only for finding what is past.
    whole
        From this time on (µs) all events are read.
    """

    rules: Collection[str]
    streams: Collection[str]
    whole: int


class Step:
    """One engine or shard over the tables of `con`.

    Parameters
    ----------
    con
        A DuckDB connection. The host begins and commits; after an exception it rolls back and makes a new Step.
    ruleset, settings
        What is evaluated, and how.
    shard
        (number, of how many): only keys of this shard are kept and only their alerts raised.
    past
        For `catch_up`: what is read. Alerts are marked as never to be notified.
    """

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        ruleset: Ruleset,
        settings: Settings,
        *,
        shard: tuple[int, int] = (0, 1),
        past: Past | None = None,
    ) -> None:
        self._con = con
        self._ruleset, self._settings, self._shard = ruleset, settings, shard
        self._past = past
        self._silent = past is not None
        con.execute("SET TimeZone = 'UTC'")
        self._state = State(con)
        rules = [r for r in ruleset.rules if r.alerts and r.status is not Status.DEPRECATED]
        rules = [r for r in rules if past is None or r.name in past.rules]
        self._plain = [r for r in rules if r.selection is not None]
        self._correlations = [r for r in rules if r.correlation is not None]
        kept = self._state.clock()
        self.clock, self._watermark = kept if past is None else (BEGINNING, BEGINNING)
        self.unseen: list[str] = []
        """Rules that were not in force up to now: what they would have found has to be read from history."""
        self.unknown: frozenset[str] = frozenset()
        """Fingerprints of the streams of which nothing is known."""
        self._streams = self._make_streams()
        self._names = _Names()
        self._evaluators = [evaluator_for(r, self._streams_of(r), self._names) for r in self._correlations]
        self._families = families(self._evaluators)
        self._derivation = Derivation(
            con, ruleset, self._plain, [s.spec for s in self._streams], zone=settings.zone, shard=shard
        )
        self._single = Single(con, self._plain, silent=self._silent)
        self._book = AlertBook(self._state, rules, grace=settings.stale - settings.lateness, silent=self._silent)
        self._retention = max((s.spec.retention for s in self._streams), default=0)
        self._load()

    @property
    def errors(self) -> Counter[str]:
        """Rows on which a predicate failed (and so was not true), by predicate, since this step was made."""
        return self._derivation.errors

    @property
    def state(self) -> State:
        """The tables that count; for hosts that keep them elsewhere too."""
        return self._state

    @property
    def changes(self) -> Changes:
        """Which alerts of the state the last batch has changed."""
        return self._book.changes

    def catch_up(self, history: Iterable[tuple[pa.Table, int]], since: int) -> pa.Table:
        """Let the rules that are unseen read the past in silence; make another step then, that goes on with all.

        Parameters
        ----------
        history
            (batch, clock), in received_at order.
        since
            It is what was received from then on, µs; see `reach`.

        Returns
        -------
        The facts, all of them silent.
        """
        unseen = [rule for rule in self._correlations if rule.name in self.unseen]
        self._state.forget_alerts((rule.name, rule.version) for rule in unseen)
        past = Past(self.unseen, self.unknown, since + _ahead(self._settings))
        step = Step(self._con, self._ruleset, self._settings, shard=self._shard, past=past)
        return joined([step.advance(batch, clock) for batch, clock in history])

    def fork(self) -> Step:
        """A step that goes on from here by itself over the same tables, for what the host will roll back."""
        given = (self._con, self._ruleset, self._settings, *self._plain, *self._correlations)
        shared = (*given, self._derivation, self._single)
        return deepcopy(self, {id(part): part for part in shared})

    def _make_streams(self) -> list[Stream]:
        specs = {spec.fingerprint: spec for rule in self._correlations for spec in stream_specs(rule)}
        numbers = self._numbers(specs) if self._past is None else self._numbers_of_past(specs, self._past)
        return [Stream(numbers[fingerprint], spec) for fingerprint, spec in specs.items()]

    def _numbers(self, fingerprints: Collection[str]) -> dict[str, int]:
        """Numbers of the streams; what belongs to rules that are no longer in force is forgotten."""
        self._state.forget_expired(self._watermark)
        known = self._state.streams()
        self._state.keep_streams(fingerprints)
        self.unknown = frozenset(fingerprints) - known.keys()
        self.unseen = [rule.name for rule in self._correlations if not self._was_in_force(rule, known)]
        self._state.set_in_force((rule.name, rule.version) for rule in self._correlations)
        return {f: known[f] if f in known else self._state.add_stream(f) for f in fingerprints}

    def _was_in_force(self, rule: Rule, known: Collection[str]) -> bool:
        in_force = self._state.in_force()
        if in_force or not known:
            return (rule.name, rule.version) in in_force
        # An older release wrote this state: it did not keep which rules were in force.
        return all(spec.fingerprint in known for spec in stream_specs(rule))

    def _numbers_of_past(self, fingerprints: Collection[str], past: Past) -> dict[str, int]:
        """A stream that others go on with keeps what it has; what is read goes under a number that nobody reads."""
        known = self._state.streams()
        return {f: known[f] if f in past.streams else self._state.free_number() for f in fingerprints}

    def _streams_of(self, rule: Rule) -> list[Stream]:
        by_fingerprint = {s.spec.fingerprint: s for s in self._streams}
        return [by_fingerprint[spec.fingerprint] for spec in stream_specs(rule)]

    def _load(self) -> None:
        """Build the runs from the tables, and mark what has been raised before."""
        for stream in self._streams:
            rows = self._state.load(stream.number, self._watermark - stream.spec.retention)
            if len(rows):
                stream.add(rows, self._state.names)
        for evaluator in self._evaluators:
            evaluator.annotate()
        heads = []
        for stream in self._streams:
            stream.settle(stream.split(self._watermark), self._watermark)
            stream.guard(stream.runs[-1].keys, self._settings.key_limit)
            heads.append(stream.head.ref)
        refs = np.unique(np.concatenate(heads)) if heads else np.zeros(0, np.int64)
        if len(refs):
            self._names.add(refs, self._state.names(refs))
        for evaluator in self._evaluators:
            if not evaluator.waits:
                evaluator.known(np.unique(np.concatenate([s.head.keys for s in evaluator.streams])))

    def advance(self, batch: pa.Table, clock: int) -> pa.Table:
        """Take a batch in and move the clock.

        Parameters
        ----------
        batch
            Events, `event.batch_schema()`, without duplicates; empty = only the clock moves.
        clock
            Time in µs up to which all is received; never goes back.

        Returns
        -------
        Facts, `alert.facts_schema()`: the alerts that are new or have grown.
        """
        try:
            return self._advance(_judged(batch), clock)
        finally:
            self._state.written()  # whatever happens: what comes next on the connection is the host's

    def _advance(self, batch: pa.Table, clock: int) -> pa.Table:
        before = self._watermark
        self.clock = max(self.clock, clock)
        watermark = max(before, self.clock - self._settings.lateness - self._settings.disorder)
        facts = []
        new: dict[int, BaseRows] = {}
        if len(batch):
            derived, events = self._derivation(batch), Events(batch)
            facts += self._plain_facts(derived, events)
            new = self._take_in(derived, events, before)
        self._watermark = watermark
        facts += self._correlate(new, before)
        facts.append(blind_facts(self._book))
        facts.append(self._book.finish(watermark))
        if self._past is None:
            self._state.drop(before - self._retention)
            self._state.set_clock(self.clock, watermark)
        self._names.keep(
            np.concatenate([s.head.ref for s in self._streams]) if self._streams else np.zeros(0, np.int64)
        )
        return joined(facts)

    def _plain_facts(self, derived: Derived, events: Events) -> list[pa.Table]:
        single = {i: rows["ref"] for i, rows in derived.plain.items() if not self._plain[i].suppression}
        folded = [(self._plain[i], rows) for i, rows in derived.plain.items() if self._plain[i].suppression]
        self._book.fold_plain(folded, events)
        return [self._single.facts(single, events)] if single else []

    def _take_in(self, derived: Derived, events: Events, before: int) -> dict[int, BaseRows]:
        """Begin to write the batch's base events into tables; returns them by stream number."""
        new = {
            stream.number: base_rows(tables, several=len(stream.spec.atoms) > 1)
            for stream, tables in zip(self._streams, derived.streams, strict=True)
            if tables
        }
        if new:
            refs = np.unique(np.concatenate([rows.ref for rows in new.values()]))
            self._state.append(new, events(refs, KEPT), before, self._retention, beside=len(events) >= LARGE)
            self._names.add(refs, events.names(refs))
        return new

    def _correlate(self, new: dict[int, BaseRows], before: int) -> list[pa.Table]:
        """Fold into the book what the batch means to correlations; returns what the engine says of crowded keys."""
        batch = Batch(new, self._names, before, self._watermark, self._settings.key_limit)
        large = sum(map(len, new.values())) >= LARGE
        answers = list((side_by_side if large else map)(lambda family: family.work_out(batch), self._families))
        out = [self._overflow(stream, keys) for _, crowded in answers for stream, keys in crowded]
        for found in (found for all_found, _ in answers for found in all_found):
            self._fold(found, before)
        self._book.describe(self._evaluators)
        return out

    def _fold(self, found: Found, before: int) -> None:
        rule = found.evaluator.rule
        for matches in (found.known, found.settled):
            if matches is not None:
                self._book.fold(rule, self._certain(rule, matches), self._names)
        if not found.evaluator.waits:
            self._book.look_again(rule, found.touched, before)

    def _certain(self, rule: Rule, matches: Matches) -> Matches:
        """Matches of buckets of which everything is read: what others are about may begin before."""
        if self._past is None:
            return matches
        begins = matches.at // rule.suppression * rule.suppression
        return matches.take(begins >= self._past.whole + _window(rule))

    def _overflow(self, stream: Stream, keys: Keys) -> pa.Table:
        rules = [r for r in self._correlations if stream in self._streams_of(r)]
        return overflow_facts(self._state, stream, keys, rules, silent=self._silent)


def _judged(batch: pa.Table) -> pa.Table:
    """The events that take part: not what is for history only. Copies nothing where all do."""
    aside = pc.or_(batch["stale"], batch["backfill"])
    return batch.filter(pc.invert(aside)) if pc.any(aside).as_py() else batch


class _Names:
    """Source and id of events that may still have to be put in order, by ref."""

    def __init__(self) -> None:
        self._refs: Ints = np.zeros(0, np.int64)
        self._table = pa.table({"source": pa.array([], pa.string()), "id": pa.array([], pa.string())})

    def __call__(self, refs: Ints) -> pa.Table:
        return self._table.take(np.searchsorted(self._refs, refs))

    def add(self, refs: Ints, names: pa.Table) -> None:
        """Remember names of refs in ascending order: of later ones, but where the past is read again."""
        in_order = not len(refs) or not len(self._refs) or refs[0] > self._refs[-1]
        self._refs = np.concatenate((self._refs, refs))
        self._table = pa.concat_tables([self._table, names.select(["source", "id"])])
        if not in_order:
            self._refs, rows = np.unique(self._refs, return_index=True)
            self._table = self._table.take(rows)

    def keep(self, refs: Ints) -> None:
        """Forget all but these."""
        if len(self._refs) > 2 * len(refs) + 1000:
            rows = np.flatnonzero(np.isin(self._refs, refs))
            self._refs, self._table = self._refs[rows], self._table.take(rows).combine_chunks()


def reach(ruleset: Ruleset, names: Collection[str], settings: Settings) -> int:
    """How far back (µs) rules that begin now have to know what happened.

    They say what they would have said of the last timespan, all of it: also of buckets that had begun by then.
    """
    rules = [rule for rule in ruleset.rules if rule.name in names and rule.correlation]
    longest = max((r.correlated.timespan + r.suppression + _window(r) for r in rules), default=0)
    return longest + settings.lateness + settings.disorder + _ahead(settings)


def _window(rule: Rule) -> int:
    """How far a match looks back, µs."""
    return max(spec.retention for spec in stream_specs(rule))


def _ahead(settings: Settings) -> int:
    """How much later than its receipt an event may be, µs."""
    return max(settings.future, 5 * MINUTE)
