"""The engines that people start: `citywatch run --once`, and `citywatch rules backtest` over the history it left."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from citywatch.cli import cli
from tests.conformance.cases import After, Case, Heard, Item, Said, ndjson, settings_file, when
from tests.conformance.engines import Engine
from tests.conformance.loading import write_rules
from tests.oracle import instant

MOVES_THE_CLOCK = "test.clock"
"""Type of events that no rule of a case takes: in a file only events move the clock."""


class CommandLine(Engine):
    """Every part of the case up to a restart is a file, and a run of its own over the same data directory."""

    name = "run"
    QUICK: ClassVar[bool] = False
    EXAMPLES: ClassVar[bool] = False
    ALONE: ClassVar[bool] = False

    def reading(self, case: Case) -> Case:
        """Real time is told by events, and each run sorts what it reads."""
        moves = case.clock is not None or any("tick" in item for item in case.items)
        items = [told(number, item) for number, item in enumerate(case.items)]
        if case.clock is not None:
            items.append(told(len(items), {"tick": case.clock}))
        stops = [at for at, after in case.cuts.items() if after in (After.RESTART, After.REOPEN) and at < len(items)]
        ends = [*sorted(stops), len(items)]
        parts = [sorted(items[a:b], key=_receipt) for a, b in zip([0, *ends], ends, strict=False)]
        rules = tuple(typed(rule, case) if moves else rule for rule in case.rules)
        cuts = dict.fromkeys(stops, After.RESTART)
        return replace(
            case, rules=rules, items=tuple(i for part in parts for i in part), clock=None, cuts=cuts, shards=1
        )

    def run(self, case: Case, directory: Path) -> Heard:
        write_rules(case, directory / "rules")
        data = directory / "data"
        data.mkdir()
        (data / "citywatch.toml").write_text(settings_file(case.settings), "utf-8")
        counts: Counter[str] = Counter()
        for number, (items, _) in enumerate(case.batches()):
            file = directory / f"{number}.ndjson"
            file.write_text(ndjson(items), "utf-8")
            (*_, last) = said("run", file, "--once", "--rules", directory / "rules", "--data", data)
            counts.update(json.loads(last))
        alerts = said("alerts", "list", "--data", data, "--format", "ndjson")
        return Heard([Said.of_json(json.loads(line)) for line in alerts], _of_events(counts))


class BackTest(CommandLine):
    """A back-test of all of history says what the run said that left it."""

    name = "backtest"
    EXAMPLES: ClassVar[bool] = True

    def reading(self, case: Case) -> Case:
        """One run: what a later run would take as backfill takes part in a back-test."""
        return super().reading(replace(case, cuts={}))

    def run(self, case: Case, directory: Path) -> Heard:
        live = super().run(case, directory)
        data = directory / "data"
        lines = said("rules", "backtest", directory / "rules", "--data", data, "--format", "ndjson")
        tested = [Said.of_json(json.loads(line)) for line in lines]
        assert set(tested) == set(live.alerts)
        return Heard(tested, live.counts)


def said(*arguments: object) -> list[str]:
    """Standard output of the command, by lines; it runs in this process."""
    out = io.TextIOWrapper(io.BytesIO(), "utf-8", newline="")
    with redirect_stdout(out), redirect_stderr(io.StringIO()):
        cli.main(args=[str(argument) for argument in arguments], standalone_mode=False)
    out.seek(0)
    return out.read().splitlines()


def told(number: int, item: Item) -> Item:
    """The item; a tick as an event that no rule takes."""
    if "tick" not in item:
        return item
    now = when(item["tick"])
    told = {"specversion": "1.0", "id": f"clock {number}", "source": "clock", "type": MOVES_THE_CLOCK}
    return {**told, "time": now, "receivedat": now, "data": {}}


def _receipt(item: Item) -> tuple[int, int, str, str]:
    """(received_at, time, source, id): the order of a bounded run."""
    received = instant(item["receivedat"])
    return (received, instant(item["time"]) if "time" in item else received, item["source"], item["id"])


def typed(rule: dict[str, Any], case: Case) -> dict[str, Any]:
    """A rule for all types is one for those of the case: what tells the time is not meant."""
    if "logsource" in rule or "rules" in rule.get("correlation", {}):
        return rule
    return {**rule, "logsource": {"category": sorted({item["type"] for item in case.items if "type" in item})}}


def _of_events(counts: Counter[str]) -> dict[str, int]:
    names: Sequence[str] = ("read", "events", "duplicates", "rejected", "late")
    return {name: counts[name] for name in names}
