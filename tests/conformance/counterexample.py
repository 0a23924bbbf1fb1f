"""What went wrong, in words, and as files that one can run."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.conformance.cases import Case, Heard, differences, ndjson, rule_file, settings_file, when

if TYPE_CHECKING:
    from tests.conformance.engines import Engine

DIRECTORY = Path(tempfile.gettempdir()) / "citywatch-counterexample"


def verdict(engine: type[Engine], case: Case, heard: Heard) -> str:
    """Empty when the engine says what the contract says; else what differs, and the files to see it."""
    found = differences(case, heard)
    return "\n".join(["", *found, "", *describe(engine.name, case)]) if found else ""


def describe(name: str, case: Case) -> list[str]:
    """Write the counter-example to files and say how to run it, with the files' text."""
    from tests.conformance.loading import write_rules

    directory = _fresh(DIRECTORY / name)
    write_rules(case, directory / "rules")
    (directory / "events.ndjson").write_text(ndjson(case.items), "utf-8")
    toml = settings_file(case.settings)
    (directory / "data").mkdir()
    (directory / "data" / "citywatch.toml").write_text(toml, "utf-8")
    return [
        f"engine {name}, {case.shards} shard(s), batches end: "
        + (", ".join(f"after {at} ({what})" for at, what in sorted(case.cuts.items())) or "at the end"),
        f"clock in the end: {when(case.clock) if case.clock is not None else 'that of the events'}",
        *(
            f"real time before item {at + 1}: {when(item['tick'])}"
            for at, item in enumerate(case.items)
            if "tick" in item
        ),
        f"cd {directory} && citywatch run events.ndjson --once --rules rules --data data",
        "--- data/citywatch.toml",
        toml,
        "--- rules/rules.yaml",
        rule_file(case.rules),
        "--- events.ndjson",
        ndjson(case.items),
    ]


def _fresh(directory: Path) -> Path:
    """An empty directory for this process: the last counter-example, the smallest, replaces those before it."""
    own = directory.with_name(f"{directory.name}-{os.getpid()}")
    shutil.rmtree(own, ignore_errors=True)
    own.mkdir(parents=True)
    return own
