"""Send a file: read, batch, deliver until acknowledged, keep what is refused, remember how far it went."""

from __future__ import annotations

import math
import random
import time
import urllib.parse
from pathlib import Path
from typing import Callable, Iterator, List, NamedTuple, Tuple, TypeVar

from .batches import Batch, batches, content
from .door import Answer, Door, NotOursError, Receiver, TooLargeError, UnreachableError
from .encoding import Decoder
from .kept import KeptFile
from .lines import Source
from .problems import SendError, WrongUsageError
from .records import CSV, Record, header_of, kind_of, object_of, records_of
from .repeats import Repeats
from .state import Progress, StateFile, verdict

_NONSENSE = 5
_LONGEST_PAUSE = 60.0

_T = TypeVar("_T")
Good = List[Tuple[Record, int]]


class Options(NamedTuple):
    """What is asked of the sender.

    `rate` is in records a second, 0 for as fast as it goes; `give_up` in seconds without an acknowledgement, 0 for
    never; `first_pause` in seconds is where the back-off begins.
    """

    file: Path
    to: str
    mapping: str = ""
    key: str = ""
    rate: float = 0.0
    batch: int = 500
    encoding: str = ""
    keep: Path | None = None
    again: bool = False
    give_up: float = 0.0
    timeout: float = 60.0
    first_pause: float = 0.5
    version: str = "0"


class Watcher:
    """Is told what happens; this one does not care."""

    def notice(self, words: str) -> None:
        """Something that a person should know."""

    def prepares(self, source: Source) -> None:
        """The file is read for its identical lines, before the first is sent."""

    def at(self, progress: Progress, source: Source) -> None:
        """A batch was acknowledged."""

    def waits(self, why: str, seconds: float) -> None:
        """The link is down, or the server asks for patience."""


class Sending:
    """One file on its way to one door: that of a citywatch, unless another is given."""

    def __init__(
        self,
        options: Options,
        watcher: Watcher,
        sleep: Callable[[float], None] = time.sleep,
        door: Receiver | None = None,
    ) -> None:
        if not (1 <= options.batch <= 10_000 and 0 <= options.rate < math.inf):
            raise WrongUsageError("--batch is 1 to 10,000 lines, --rate a number that is not negative")
        self._options = options
        self._watcher = watcher
        self._sleep = sleep
        self.door: Receiver = door or Door(options.to, options.key, options.timeout, options.version)
        self.source = Source(options.file)
        self.kind = kind_of(self.source)
        if self.kind == CSV and not options.mapping:
            raise WrongUsageError("which columns mean what has to be said for a CSV", "--mapping NAME")
        directory = options.keep or options.file.parent
        self._state = StateFile(options.file, directory)
        self._was_done = False
        self.progress = self._known() or self._new()
        self._kept = KeptFile(options.file, directory, self.progress, whole=self._was_done)
        self._decoder = Decoder(self.source, options.encoding or self.progress.encoding)
        self._header = header_of(self.source, self._decoder) if self.kind == CSV else None
        self._begun = time.monotonic()
        self.sent_now = 0

    def run(self) -> None:
        """Send what was not acknowledged yet. Raises SendError when that cannot go on."""
        if self.progress.done:
            return
        if self._options.key and self.door.tells_the_key:
            self._watcher.notice("the API key travels unencrypted: https would hide it")
        repeats = self._repeats()
        try:
            for batch in batches(self._records(), self._lines_at_once(), repeats):
                self._send(batch)
        finally:
            self.door.close()
            if repeats:
                repeats.close()
        self._end()

    # what is known from before

    def _known(self) -> Progress | None:
        """How far this file went to this door; None when it has to be sent from its beginning."""
        progress = None if self._options.again else self._state.load()
        if progress is None:
            return None
        if (progress.to, progress.mapping) != (self._options.to, self._options.mapping):
            self._watcher.notice(f"sent before to {progress.to}: now from the beginning")
            return None
        found = verdict(progress, self.source)
        if found == "changed" and not progress.line:
            return None
        if found == "changed":
            words = f"{self.source.path.name} has changed since line {progress.line:,} was sent"
            self._watcher.notice(words + ": it is sent from the beginning; what is known is not doubled")
            return None
        self._was_done = progress.done
        progress.done = progress.done and found == "same"
        progress.begin(self.source)
        return progress

    def _new(self) -> Progress:
        progress = Progress()
        progress.to, progress.mapping = self._options.to, self._options.mapping
        progress.begin(self.source)
        return progress

    def _repeats(self) -> Repeats | None:
        """Ordinals of identical records, when ids are made of them."""
        mapping = self._options.mapping
        if not mapping:
            return None
        if not self._patiently(lambda: self.door.counts(mapping)):
            return None
        self._watcher.prepares(self.source)
        return Repeats(records_of(self.source, self.kind, self._decoder))

    # records

    def _records(self) -> Iterator[Record]:
        progress, first = self.progress, True
        for record in records_of(self.source, self.kind, self._decoder, progress.offset, progress.line):
            if not record.raw.endswith(b"\n") and not self.source.fault and self.source.has_changed():
                return  # it is being written just now
            if first and not record.reason and not self._options.mapping:
                self._look_at(record)
                first = False
            yield record

    def _look_at(self, record: Record) -> None:
        lacks = [name for name in ("id", "source", "type") if not object_of(record.body).get(name)]
        if lacks:
            what = "line {:,} is no CloudEvent: it has no {}".format(record.number, ", ".join(lacks))
            raise WrongUsageError(what, "--mapping NAME says what such lines mean")

    def _lines_at_once(self) -> int:
        rate = self._options.rate
        return max(1, min(self._options.batch, int(rate))) if rate else self._options.batch

    # delivery

    def _send(self, batch: Batch) -> None:
        """Deliver a batch, keep what is not accepted, and remember both: in this order."""
        progress, last = self.progress, batch.last
        duplicates, refused = self._deliver(batch.good) if batch.good else (0, [])
        rows = refused + [(record, record.reason) for record in batch.broken]
        self._kept.keep(sorted(rows, key=lambda row: row[0].number), self._decoder.encoding)
        progress.sent += len(batch.good) - len(refused)
        progress.kept += len(rows)
        progress.duplicates += duplicates
        progress.encoding = self._decoder.encoding
        self.sent_now += len(batch.good) - len(refused)
        if last is not None:
            progress.ends_with(b"" if last.last.fault else last.raw, last.last.end, last.last.number)
        self._state.save(progress)
        self._watcher.at(progress, self.source)
        self._slow_down()

    def _deliver(self, good: Good) -> tuple[int, list[tuple[Record, str]]]:
        """Duplicates, and the records that the server refused."""
        body, headers = content(self.kind, self._header, good)
        try:
            answer = self._patiently(lambda: self._post(body, headers, len(good)))
        except TooLargeError:
            if len(good) == 1:
                return 0, [(good[0][0], "too large for the server")]
            half = len(good) // 2
            first, second = self._deliver(good[:half]), self._deliver(good[half:])
            return first[0] + second[0], first[1] + second[1]
        reasons: dict[int, str] = {}
        for index, reason in answer.rejected:
            reasons.setdefault(index, reason)
        return answer.duplicates, [(good[index][0], reasons[index]) for index in sorted(reasons)]

    def _post(self, body: bytes, headers: dict[str, str], records: int) -> Answer:
        mapping = urllib.parse.quote(self._options.mapping, safe="")
        path = "/api/v1/ingest/" + mapping if mapping else "/api/v1/events"
        return self.door.post(path, body, headers, records)

    def _patiently(self, ask: Callable[[], _T]) -> _T:
        """What `ask` says, once the link is up and the server ready; waits longer and longer, and never in step."""
        begun, pause, nonsense = time.monotonic(), self._options.first_pause, 0
        while True:
            try:
                return ask()
            except UnreachableError as trouble:  # noqa: PERF203 - the loop is there for this
                nonsense = nonsense + 1 if isinstance(trouble, NotOursError) else 0
                if nonsense >= _NONSENSE:
                    raise SendError(f"{self._options.to}: {trouble}", "look at --to") from trouble
                seconds = (trouble.wait or 0.0) + pause * (0.5 + random.random() / 2)  # noqa: S311 - spreads senders
                waited = time.monotonic() - begun
                if self._options.give_up and waited + seconds > self._options.give_up:
                    what = f"{self._options.to}: {trouble}; gave up after {waited:.0f} s"
                    raise SendError(what, "the same command goes on where it stopped") from trouble
                self._watcher.waits(str(trouble), seconds)
                self._sleep(seconds)
                pause = pause if trouble.wait else min(2 * pause, _LONGEST_PAUSE)

    def _slow_down(self) -> None:
        if self._options.rate:
            ahead = self.sent_now / self._options.rate - (time.monotonic() - self._begun)
            if ahead > 0:
                self._sleep(ahead)

    def _end(self) -> None:
        """All that was there is sent: say so, unless it was not all."""
        if self.source.fault:
            raise SendError(f"{self.source.path}: {self.source.fault}", "what stands before it was sent")
        if self.source.has_grown():
            self._watcher.notice(f"{self.source.path.name} has grown: the next call sends the rest")
        elif self.source.has_changed():
            hint = "send it again: what is known is not doubled"
            raise SendError(f"{self.source.path} has changed while it was sent", hint)
        self.progress.done = True
        self._state.save(self.progress)
