"""What the commands that host an engine share: its rules, its parsers, and rules that are edited while it runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from collections.abc import Mapping as Lookup
from pathlib import Path
from typing import TYPE_CHECKING

from citywatch.cli.log import say, use
from citywatch.errors import CitywatchError, UsageError
from citywatch.settings import Settings
from citywatch.stores.directory import DataDirectory
from citywatch.stores.media import Media

if TYPE_CHECKING:
    from citywatch.engine.embedded import Engine
    from citywatch.engine.embedded.bounded import Parse
    from citywatch.mappings.gazetteer import Gazetteer
    from citywatch.mappings.model import Mapping
    from citywatch.records.chunk import Chunk, Parsed
    from citywatch.rules.model import Ruleset
    from citywatch.sources.model import Source

_LOOK_EVERY_S = 2.0
_OF_A_LOG = 2


def load(data: Path) -> list[Mapping]:
    """The mappings that are shipped, and those in `mappings` of the data directory. Raises MappingError."""
    from citywatch.mappings.load import load_mappings, shipped

    own = [data / "mappings"] if (data / "mappings").is_dir() else []
    return load_mappings([shipped(), *own])


def places(directory: DataDirectory, ruleset: Ruleset, zone: str) -> Gazetteer:
    """The zones of the rules, and the devices and precincts of the data directory. Raises GazetteerError."""
    from citywatch.mappings.devices import load_devices
    from citywatch.mappings.gazetteer import Gazetteer
    from citywatch.mappings.precincts import load_precincts

    return Gazetteer(ruleset.zones, load_devices(directory.devices, zone), load_precincts(directory.precincts))


class Host:
    """The rules, mappings and settings of one data directory, as the command line was told.

    Parameters
    ----------
    data
        Data directory.
    rules
        Directories of rules; none = those that are shipped, and `rules` in the data directory.
    overrides
        Settings as texts.
    mapping
        Name of the mapping to use for all records; None = each record is recognised by its fields.
    """

    def __init__(
        self,
        data: Path,
        rules: Sequence[Path] = (),
        overrides: Lookup[str, str] | None = None,
        mapping: str | None = None,
    ) -> None:
        self.directory = DataDirectory(data)
        self.settings: Settings = self.directory.settings(overrides)
        use(self.settings.log)
        self._given = tuple(rules)
        self.mappings = load(data)
        self.mapping = mapping
        self._require(mapping)
        self.ruleset: Ruleset = self._load()
        self.gazetteer: Gazetteer = self._places()

    def check(self, sources: Sequence[Source]) -> None:
        """Raise UsageError when one of the sources names a mapping that there is not."""
        from citywatch.sources.model import Feed

        for source in sources:
            if isinstance(source, Feed):
                for mapping in source.mappings:
                    self._require(mapping)

    def _require(self, mapping: str | None) -> None:
        known = {"cloudevents", *(found.name for found in self.mappings)}
        if mapping is not None and mapping not in known:
            raise UsageError(f"there is no mapping {mapping!r}", hint=f"known: {', '.join(sorted(known))}")

    def rules(self) -> list[Path]:
        """The directories that rules are loaded from."""
        from citywatch.rules.load import shipped

        own = [self.directory.rules] if self.directory.rules.is_dir() else []
        return list(self._given) or [shipped(), *own]

    def parser(self) -> Parse:
        """A parser for one thread; it follows edited zones and devices, and puts images aside."""
        from citywatch.engine.embedded.images import with_images
        from citywatch.mappings.parse import Parser

        made_for = self.gazetteer
        parser = Parser(self.settings, self.mappings, gazetteer=made_for)

        def parse(chunk: Chunk) -> Parsed:
            nonlocal made_for, parser
            if made_for is not self.gazetteer:
                made_for = self.gazetteer
                parser = Parser(self.settings, self.mappings, gazetteer=made_for)
            return parser.parse(chunk, chunk.mapping or self.mapping)

        return with_images(parse, self.media(), self.directory.require_space)

    def parsers(self) -> list[Parse]:
        """A parser for each core."""
        from citywatch.engine.concurrency import cores

        return [self.parser() for _ in range(cores())]

    def parsers_for(self, source: object) -> Parse | list[Parse]:
        """What a live source is parsed with: what waits in a log is worth two parsers; the rules run beside them."""
        from citywatch.engine.embedded import LogFeed

        return self.parsers()[:_OF_A_LOG] if isinstance(source, LogFeed) else self.parser()

    def media(self) -> Media:
        """The images of the data directory, for one thread."""
        return Media(self.directory.media, limit=self.settings.image_bytes)

    def engine(self, told: Callable[[], None] = lambda: None) -> Engine:
        """The engine, not yet entered; `told` is called when the desk has news."""
        from citywatch.engine.embedded import Engine

        return Engine(self.directory.path, self.ruleset, self.settings, told=told)

    def follow_edits(self, engine: Engine) -> Callable[[], None]:
        """Load rules, lists, zones and devices anew when their files change; returns what stops it.

        An edit that does not load is said on stderr, and the rules before it stay.
        """
        stop = threading.Event()
        seen = self._edited()

        def look() -> None:
            nonlocal seen
            while not stop.wait(_LOOK_EVERY_S):
                if (now := self._edited()) != seen:
                    seen = now
                    self._reload(engine)

        thread = threading.Thread(target=look, name="rules", daemon=True)
        thread.start()
        return stop.set

    def _reload(self, engine: Engine) -> None:
        try:
            before, self.ruleset = self.ruleset, self._load()
        except CitywatchError as error:
            say(f"the edited rules do not load, those before stay: {error}")
            return
        try:
            self.gazetteer = self._places()
        except CitywatchError as error:
            self.ruleset = before
            say(f"what was edited does not load, what was there before stays: {error}")
            return
        engine.replace_rules(self.ruleset)
        say("rules loaded again")

    def _load(self) -> Ruleset:
        from citywatch.rules.load import load_rules

        return load_rules(self.rules(), self.settings)

    def _places(self) -> Gazetteer:
        return places(self.directory, self.ruleset, self.settings.zone)

    def _edited(self) -> dict[Path, tuple[int, int]]:
        places = (self.directory.devices, self.directory.precincts)
        rules = (path for directory in self.rules() for path in directory.rglob("*"))
        files = (path for path in (*places, *rules) if path.is_file())
        found = {}
        for file in files:
            try:
                status = file.stat()
            except FileNotFoundError:
                continue  # an editor has just replaced it
            found[file] = (status.st_mtime_ns, status.st_size)
        return found
