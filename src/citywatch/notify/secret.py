"""Secrets: named in the file of routes, kept elsewhere, read when they are needed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from citywatch.errors import TargetRefusedError


@dataclass(frozen=True, slots=True)
class Secret:
    """Where a secret is: in the environment, or the first line of a file. Never shown, never kept."""

    env: str | None = None
    file: Path | None = None

    def read(self) -> str:
        """The secret as it is now; raises TargetRefusedError where there is none."""
        found = os.environ.get(self.env, "") if self.env is not None else self._first_line()
        if not found:
            raise TargetRefusedError(f"{self} holds no secret", hint="set it where citywatch runs; it is read anew")
        return found

    def _first_line(self) -> str:
        try:
            return (self.file or Path()).read_text("utf-8").split("\n", 1)[0].strip()
        except (OSError, UnicodeDecodeError) as error:
            raise TargetRefusedError(f"{self} cannot be read: {error}", hint="may citywatch read the file?") from error

    def __str__(self) -> str:
        return f"the environment's {self.env}" if self.env is not None else f"the file {self.file}"


@dataclass(frozen=True, slots=True)
class Plain:
    """What may stand in the file of routes itself."""

    text: str

    def read(self) -> str:
        """The text."""
        return self.text


Given = Plain | Secret
