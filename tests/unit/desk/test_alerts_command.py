"""The alerts commands, as a person at a terminal has them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from citywatch.cli.alerts import alerts
from citywatch.errors import AlertError, StoreError, UnknownAlertError, UsageError
from citywatch.settings import DAY
from citywatch.stores.desk import Desk
from citywatch.stores.desk.database import now_us

from .facts import NOW, alert_id, event, fact, table


@pytest.fixture
def data(tmp_path: Path) -> Path:
    now = now_us()
    with Desk(tmp_path / "desk.sqlite") as desk:
        facts = [
            fact(1, first_seen=now - 2_000_000),
            fact(2, rule="needs_human", level="medium", title="A human is needed", first_seen=now - 1_000_000),
            fact(3, rule="prestacop_alert", status="test", first_seen=now),
            fact(4, rule="old", first_seen=NOW - 400 * DAY),
        ]
        desk.put_facts(table(facts), now=now)
    return tmp_path


def call(data: Path, *words: str) -> Result:
    result = CliRunner().invoke(alerts, [*words, "--data", str(data)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def state(data: Path, name: int) -> str:
    with Desk(data / "desk.sqlite") as desk:
        return str(desk.alert(alert_id(name)).alert["state"])


def test_list_prints_a_json_object_a_line_in_order(data: Path) -> None:
    rows = [json.loads(line) for line in call(data, "list", "--format", "ndjson").stdout.splitlines()]
    assert [row["rule"] for row in rows] == ["old", "cloned_plate", "needs_human", "prestacop_alert"]


def test_list_prints_a_table_for_people(data: Path) -> None:
    out = call(data, "list", "--rule", "needs_human").stdout
    assert out.splitlines()[0].split()[:2] == ["ID", "FIRST"]
    assert "needs_human: K1234 seen" in out
    assert "cloned_plate" not in out


def test_list_chooses_by_state_level_and_time(data: Path) -> None:
    assert call(data, "list", "--format", "ndjson", "--state", "closed").stdout == ""
    assert len(call(data, "list", "--format", "ndjson", "--level", "medium").stdout.splitlines()) == 1
    assert len(call(data, "list", "--format", "ndjson", "--since", "1h").stdout.splitlines()) == 3


def test_show_tells_reason_place_evidence_and_history(data: Path) -> None:
    call(data, "ack", alert_id(1)[:10], "--note", "mine")
    out = call(data, "show", alert_id(1)[:10]).stdout
    for words in ("K1234 seen 31.2 km apart", "acknowledged", "drone/4 17", '"violation_code": 46', "ack by", ": mine"):
        assert words in out
    (line,) = call(data, "show", alert_id(1)[:10], "--format", "ndjson").stdout.splitlines()
    assert json.loads(line)["id"] == alert_id(1)


def test_what_is_done_is_said_and_recorded_with_the_system_user(data: Path) -> None:
    result = call(data, "assign", alert_id(1), "--to", "Bo")
    assert "assigned to Bo" in result.stderr
    assert result.stdout == ""
    with Desk(data / "desk.sqlite") as desk:
        (entry,) = desk.history(alert_id(1))
        assert (entry["channel"], entry["assignee"]) == ("cli", "Bo")
        assert entry["by"]
        assert {audited["what"] for audited in desk.audited()} == set()


def test_looking_is_recorded(data: Path) -> None:
    call(data, "list")
    call(data, "show", alert_id(1))
    with Desk(data / "desk.sqlite") as desk:
        assert [(entry["what"], entry["alert"]) for entry in desk.audited()] == [
            ("alerts show", alert_id(1)),
            ("alerts list", None),
        ]


def test_the_way_of_an_alert_through_the_terminal(data: Path) -> None:
    call(data, "shelve", alert_id(1), "--for", "2h")
    assert state(data, 1) == "shelved"
    call(data, "shelve", alert_id(1), "--until", "2h")
    assert state(data, 1) == "shelved"
    call(data, "ack", alert_id(1))
    assert state(data, 1) == "acknowledged"
    call(data, "close", alert_id(1), "--outcome", "false_positive", "--note", "a trailer")
    assert state(data, 1) == "closed"
    with pytest.raises(AlertError, match="is closed: ack is not possible"):
        call(data, "ack", alert_id(1))
    call(data, "undo", alert_id(1))
    assert state(data, 1) == "acknowledged"
    call(data, "correct", alert_id(1), "--code", "38")
    assert state(data, 1) == "closed"


def test_correct_names_one_of_several_violations(data: Path) -> None:
    evidence = [event("17", violation_code=1), event("18", violation_code=2)]
    with Desk(data / "desk.sqlite") as desk:
        desk.put_facts(table([fact(9, evidence=evidence)]), now=NOW)
    with pytest.raises(AlertError, match="say which one"):
        call(data, "correct", alert_id(9), "--code", "38")
    with pytest.raises(UsageError, match="drone/4 17"):
        call(data, "correct", alert_id(9), "--code", "38", "--event", "99")
    call(data, "correct", alert_id(9), "--code", "38", "--event", "18")
    with Desk(data / "desk.sqlite") as desk:
        assert '"corrects_id":"18"' in desk.take_inbox()[0][1]


@pytest.mark.parametrize("words", [["shelve", "ID"], ["shelve", "ID", "--for", "2h", "--until", "2099-01-01"]])
def test_shelve_wants_a_while_or_a_time(data: Path, words: list[str]) -> None:
    with pytest.raises(UsageError, match="--for a while or --until a time"):
        call(data, *[alert_id(1) if word == "ID" else word for word in words])


def test_wrong_times_are_wrong_usage(data: Path) -> None:
    with pytest.raises(UsageError, match="is no time"):
        call(data, "list", "--since", "yesterday")
    with pytest.raises(UsageError, match="--since 2026-02-01 is not before --until 2026-01-01"):
        call(data, "list", "--since", "2026-02-01", "--until", "2026-01-01")
    with pytest.raises(UsageError, match="is no duration"):
        call(data, "shelve", alert_id(1), "--for", "soon")


@pytest.mark.parametrize("span", ["3650000d", "99999999999999999999d"])
def test_nothing_is_shelved_until_a_time_that_cannot_be_written_down(data: Path, span: str) -> None:
    for option in ("--for", "--until"):
        with pytest.raises(UsageError, match=r"before the year 10000|longer than ten thousand years|is no time"):
            call(data, "shelve", alert_id(1), option, span)
    assert state(data, 1) == "open"
    call(data, "show", alert_id(1))


def test_a_directory_without_data_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="--data DIR"):
        call(tmp_path, "list")


def test_an_unknown_alert_is_an_error(data: Path) -> None:
    with pytest.raises(UnknownAlertError):
        call(data, "show", "0000")


def lines(data: Path, *words: str) -> list[str]:
    return call(data, "tail", "--once", *words).stdout.splitlines()


def test_tail_prints_what_is_notified_and_counts_the_rest(data: Path) -> None:
    result = call(data, "tail", "--once")
    assert len(result.stdout.splitlines()) == 2
    assert "(2 alerts notify nobody" in result.stderr


def test_tail_goes_on_where_the_last_one_stopped(data: Path) -> None:
    assert len(lines(data)) == 2
    assert lines(data) == []
    with Desk(data / "desk.sqlite") as desk:
        desk.put_facts(table([fact(5, first_seen=now_us())]))
    (line,) = lines(data)
    assert alert_id(5)[:8] in line
    assert len(lines(data, "--cursor", "another")) == 3


def test_a_new_tail_begins_ten_alerts_back(tmp_path: Path) -> None:
    now = now_us()
    with Desk(tmp_path / "desk.sqlite") as desk:
        desk.put_facts(table(fact(name, first_seen=now + name) for name in range(30)), now=now)
    assert [line.split()[-1] for line in lines(tmp_path)] == [alert_id(name)[:8] for name in range(20, 30)]


def test_tail_shows_an_alert_again_when_it_opens_again(data: Path) -> None:
    call(data, "close", alert_id(1), "--outcome", "duplicate")
    assert len(lines(data)) == 2
    with Desk(data / "desk.sqlite") as desk:
        desk.put_facts(table([fact(1, count=2, first_seen=now_us())]))
    (line,) = lines(data)
    assert alert_id(1)[:8] in line


def test_tail_from_a_time_on_with_everything(data: Path) -> None:
    rows = [json.loads(line) for line in lines(data, "--since", "1h", "--all", "--format", "ndjson")]
    assert {row["rule"] for row in rows} == {"cloned_plate", "needs_human", "prestacop_alert"}
    assert any("Warning, vehicle K1234 was caught" in line for line in lines(data, "--since", "1h", "--all"))
