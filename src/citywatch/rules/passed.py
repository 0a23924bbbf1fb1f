"""Remembers which rules have passed their tests, so that a start need not repeat them.

An optimisation only: it may be deleted at any time, and where it cannot be read or written the tests run. What has
passed is named by a hash of the rule, its tests, the lists and zones it uses, and the code that runs them. None of it
is shipped: the first start on a machine shows that the rules do there what they say, which takes some seconds once.
"""

from __future__ import annotations

import hashlib
import os
from functools import cache
from pathlib import Path

import citywatch
from citywatch.rules.model import Rule, Ruleset

_KEPT = 20_000


class Passed:
    """Names of what has passed, in a file of one line each."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._known: set[str] = set()
        try:
            self._file = file or _directory() / "tested-rules"
            self._known = set(self._file.read_text("ascii").split())
        except (OSError, RuntimeError, ValueError):
            pass  # nothing is remembered yet, or this machine has no place to remember

    def __contains__(self, name: str) -> bool:
        return name in self._known

    def add(self, name: str) -> None:
        """Remember one."""
        self._known.add(name)
        try:
            if self._file is not None:
                self._file.parent.mkdir(parents=True, exist_ok=True)
                with self._file.open("w" if len(self._known) > _KEPT else "a", encoding="ascii") as out:
                    out.write(f"{name}\n")
        except OSError:
            self._file = None  # a read-only home: remember in this process alone


def name_of(rule: Rule, ruleset: Ruleset) -> str:
    """Hash of all that decides whether the tests of a rule pass."""
    what = repr((rule.selection, rule.correlation, rule.suppression, rule.group_names))
    found = hashlib.sha256(f"{_code()}{what}{rule.tests!r}".encode())
    for name, table in sorted(ruleset.lists.items()):
        if f'"list_{name}"' in what:
            found.update(repr(table.to_pydict()).encode())
    if "zones" in what:
        for name, geometry in sorted(ruleset.zones.items()):
            found.update(name.encode() + geometry.wkb)
    return found.hexdigest()


@cache
def _code() -> str:
    """Changes with every change of the engine and of what reads rules."""
    import duckdb  # noqa: PLC0415 - only its version; the module is loaded by then

    root = Path(citywatch.__file__).parent
    files = sorted([*root.glob("engine/**/*.py"), *root.glob("rules/*.py"), *root.glob("*.py")])
    stamps = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return repr((citywatch.__version__, duckdb.__version__, stamps))


def _directory() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "citywatch"
