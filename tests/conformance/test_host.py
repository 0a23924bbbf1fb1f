"""What a host brings to the step: several live sources, lists that are edited, a key that grows too large."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pytest

from citywatch.engine.embedded import Engine
from citywatch.engine.step import Step
from citywatch.mappings.parse import Parser
from citywatch.rules.load import load_rules
from citywatch.settings import Settings
from citywatch.stores.desk import Desk
from citywatch.triage import Choice
from tests.conformance import test_large
from tests.conformance.arrow import batch_of
from tests.conformance.cases import Case, Heard, Item, Said, differences, ndjson, when
from tests.conformance.examples import BASE, document
from tests.conformance.loading import load, settings_of, write_rules
from tests.conformance.strategies import SECOND
from tests.unit.embedded.city import chunk

END = {"specversion": "1.0", "source": "end", "type": "test.clock", "data": {}}


def _case(items: Iterable[Item], *rules: dict[str, Any]) -> Case:
    return Case(rules or test_large.rules(), tuple(items))


def _read(second: int, number: int, **data: Any) -> Item:
    head = {"specversion": "1.0", "id": str(number), "source": "s", "type": "anpr.read", "data": data}
    return head | {"time": when(BASE + second * SECOND), "receivedat": when(BASE + second * SECOND)}


def _alerts(data: Path) -> list[Said]:
    with Desk(data / "desk.sqlite") as desk:
        return [Said.of_json(json.loads(line)) for line in desk.lines(Choice())]


@pytest.mark.parametrize("seed", range(3))
def test_sources_that_are_far_ahead_of_each_other_raise_what_one_in_order_raises(seed: int, tmp_path: Path) -> None:
    """The clock is the minimum over them, so nothing of the slow ones is backfill and no silence is told too early."""
    chance = Random(seed)  # noqa: S311 - the same in every run, no secret
    items = [_read(2 * n, n, plate=f"K{chance.randrange(6)}", label=chance.choice("abc")) for n in range(240)]
    case = _case([*items, *({**END, "id": name, "time": when(BASE + 3600 * SECOND)} for name in "abc")])
    case = _case([{**item, "receivedat": item["time"]} for item in case.items])
    parser, settings = Parser(Settings()), settings_of(case)
    with Engine(tmp_path / "data", load(case, tmp_path / "rules"), settings) as host:
        sources = {name: host.live(name, quiet=3600) for name in "abc"}
        waiting = {name: list(case.items[number:240:3]) for number, name in enumerate("abc")}
        while left := [name for name in waiting if waiting[name]]:
            name = chance.choice(left)
            taken, waiting[name] = waiting[name][:30], waiting[name][30:]
            sources[name].submit(parser.parse(chunk(ndjson(taken).splitlines())))
        for name, last in zip("abc", case.items[240:], strict=True):
            sources[name].submit(parser.parse(chunk(ndjson([last]).splitlines())))
        host.drain()
    assert differences(case, Heard(_alerts(tmp_path / "data"))) == []


def test_an_edit_of_a_list_counts_for_events_received_after_it(tmp_path: Path) -> None:
    """Also in the middle of a window: what was no base event when it came does not become one."""
    twice = {"type": "event_count", "group-by": ["plate"], "timespan": "10m", "condition": {"gte": 2}}
    case = _case((), document({"name": "twice", "where": "plate IN LIST('wanted')", "correlation": twice}))
    write_rules(case, tmp_path / "rules")
    wanted = tmp_path / "rules" / "lists" / "wanted.csv"
    wanted.parent.mkdir()
    parser, settings = Parser(Settings()), settings_of(case)

    def edited(values: str) -> Any:
        wanted.write_text(f"value\n{values}", "utf-8")
        return load_rules([tmp_path / "rules"], settings, run_tests=False)

    def send(host: Engine, *seconds: int) -> None:
        texts = [ndjson([_read(second, second, plate="K1")]) for second in seconds]
        host.submit(parser.parse(chunk(texts)), "s")

    with Engine(tmp_path / "data", edited("K2\n"), settings) as host:
        send(host, 0)
        host.replace_rules(edited("K1\n"))
        send(host, 1)
    with Engine(tmp_path / "data", edited("K1\n"), settings) as host:
        send(host, 2)
        host.replace_rules(edited(""))
        send(host, 3)
        host.drain()
    (alert,) = _alerts(tmp_path / "data")
    assert (alert.first_seen, alert.count, alert.evidence) == (BASE + 2 * SECOND, 1, (("s", "1"), ("s", "2")))


@pytest.mark.parametrize("size", [1, 4, 8])
@pytest.mark.parametrize("restart", [False, True])
def test_a_key_that_grows_too_large_rests_until_it_shrinks(size: int, restart: bool, tmp_path: Path) -> None:
    """With a limit of five: the sixth event is one too many, and an hour (and a batch) later the key is small again."""
    many = {"type": "event_count", "group-by": ["plate"], "timespan": "1m", "condition": {"gte": 2}}
    reads = [_read(n, n, plate="0000") for n in range(6)] + [_read(20, 20, plate="K1"), _read(21, 21, plate="K1")]
    later = [_read(3600 + n, 40 + n, plate="0000") for n in range(2)]
    case = _case([*reads, *later], document({"name": "many", "correlation": many}))
    ruleset, settings = load(case, tmp_path / "rules"), Settings(key_limit=5)
    con = duckdb.connect()
    step, said = Step(con, ruleset, settings), {}
    for start in range(0, len(case.items), size):
        end = min(start + size, len(case.items))
        for fact in step.advance(batch_of(case, start, end), BASE + _second(case.items[end - 1]) * SECOND).to_pylist():
            said[fact["id"]] = (fact["rule"], json.loads(fact["group"]), fact["first_seen"].hour)
        step = Step(con, ruleset, settings) if restart else step
    found = list(said.values())
    assert ("key_overflow", {"rule": "many", "key": '["0000"]'}, 12) in found
    assert ("many", {"plate": "K1"}, 12) in found
    assert ("many", {"plate": "0000"}, 13) in found


def _second(item: Item) -> int:
    return int(item["id"]) if int(item["id"]) < 40 else 3560 + int(item["id"])
