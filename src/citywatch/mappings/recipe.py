"""How to make a parser elsewhere: in another process, on another machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from citywatch.mappings.gazetteer import Gazetteer
from citywatch.mappings.model import Mapping
from citywatch.mappings.parse import Parser
from citywatch.records.chunk import Chunk, Parsed
from citywatch.settings import Settings


@dataclass(frozen=True)
class ParserRecipe:
    """All that a parser is made of; it can be pickled."""

    settings: Settings
    mappings: tuple[Mapping, ...]
    gazetteer: Gazetteer

    def __call__(self) -> Callable[[Chunk], Parsed]:
        """What parses chunks, for one thread."""
        return Parser(self.settings, self.mappings, gazetteer=self.gazetteer).parse
