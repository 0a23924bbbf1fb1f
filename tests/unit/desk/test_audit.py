"""Who looked up what, and why."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from citywatch.cli import cli
from citywatch.masking import subject
from citywatch.settings import HOUR
from citywatch.stores.desk import Desk
from citywatch.stores.desk.database import now_us
from citywatch.triage import Asked

from .facts import NOW, alert_id, event, fact, table

K1234 = subject("plate", "k-1 234")


@pytest.fixture
def two_plates(desk: Desk) -> Desk:
    person = [event("9", kind="person.report", person_id="P7")]
    facts = [fact(1), fact(2, group={"plate": "ZZ9"}, evidence=[event("8", plate="ZZ9")]), fact(3, evidence=person)]
    desk.put_facts(table(facts), now=NOW)
    return desk


def who(desk: Desk, **asked: object) -> list[tuple[str, bool]]:
    return [(entry["who"], entry["sure"]) for entry in desk.audited(Asked(**asked))]  # type: ignore[arg-type]  # what a test asks


def test_a_plate_is_found_however_it_is_written(two_plates: Desk) -> None:
    two_plates.audit("anna", "reveal", alert=alert_id(1), purpose="a complaint")
    two_plates.audit("bo", "reveal", alert=alert_id(2), purpose="evidence")
    assert who(two_plates, subject=K1234) == [("anna", True)]
    assert who(two_plates, subject=subject("plate", "ZZ9")) == [("bo", True)]
    assert who(two_plates, subject=subject("plate", "K123")) == []


def test_a_person_is_found_by_their_id(two_plates: Desk) -> None:
    two_plates.audit_alerts("anna", "api", [alert_id(1), alert_id(3)], purpose="a complaint")
    assert who(two_plates, subject=subject("person_id", "p7")) == [("anna", True)]


def test_reads_of_whole_lists_may_have_shown_it(two_plates: Desk) -> None:
    two_plates.audit("anna", "events")
    two_plates.audit("bo", "reveal", alert=alert_id(2))
    assert who(two_plates, subject=K1234) == [("anna", False)]


def test_what_was_seen_stays_known_when_the_alert_changes(two_plates: Desk) -> None:
    two_plates.audit("anna", "reveal", alert=alert_id(1))
    other = [event("17", plate="OTHER")]
    two_plates.put_facts(table([fact(1, count=2, group={"plate": "OTHER"}, evidence=other)]), now=NOW)
    two_plates.audit("bo", "reveal", alert=alert_id(1))
    assert who(two_plates, subject=K1234) == [("anna", True)]
    assert who(two_plates, subject=subject("plate", "OTHER")) == [("bo", True)]


def test_the_log_is_chosen_by_person_alert_and_time(two_plates: Desk) -> None:
    for name, at in (("anna", NOW), ("bo", NOW + HOUR), ("anna", NOW + 2 * HOUR)):
        two_plates.audit_alerts(name, "api", [alert_id(1)], now=at)
    assert who(two_plates, who="anna") == [("anna", True), ("anna", True)]
    assert who(two_plates, since=NOW + 1, until=NOW + 2 * HOUR) == [("bo", True)]
    assert len(who(two_plates, alert=alert_id(1)[:6])) == 3
    assert who(two_plates, alert=alert_id(2)) == []
    newest = two_plates.audited(Asked(limit=1))
    assert len(who(two_plates, before=newest[0]["seq"])) == 2


def test_no_plate_stands_in_the_log_and_each_data_directory_has_its_own_hashes(tmp_path: Path) -> None:
    digests = []
    for name in ("a", "b"):
        with Desk(tmp_path / name) as desk:
            desk.put_facts(table([fact(1)]), now=NOW)
            desk.audit("anna", "reveal", alert=alert_id(1))
            with desk.reading() as con:
                digests.append(con.execute("SELECT digest FROM audit_subjects").fetchone()[0])
            assert "K1234" not in json.dumps(desk.audited())
    assert digests[0] != digests[1]


def test_what_was_forgotten_is_forgotten_wholly(two_plates: Desk) -> None:
    two_plates.audit_alerts("anna", "api", [alert_id(1)], now=NOW)
    two_plates.audit_alerts("bo", "api", [alert_id(1)], now=NOW + HOUR)
    assert two_plates.forget_rows("audit", NOW + 1) == 1
    with two_plates.reading() as con:
        assert con.execute("SELECT count(*) FROM audit_subjects").fetchone()[0] == 1
    assert who(two_plates, subject=K1234) == [("bo", True)]


class TestCommand:
    @pytest.fixture
    def data(self, tmp_path: Path) -> str:
        with Desk(tmp_path / "desk.sqlite") as desk:
            desk.put_facts(table([fact(1)]), now=now_us())
            desk.audit("anna", "reveal", alert=alert_id(1), purpose="a complaint")
            desk.audit("bo", "events")
        return str(tmp_path)

    def call(self, data: str, *words: str) -> str:
        return CliRunner().invoke(cli, ["audit", "--data", data, *words], catch_exceptions=False).output

    def test_it_answers_who_looked_up_a_plate_and_why(self, data: str) -> None:
        lists, read = self.call(data, "--plate", "K 1234").splitlines()
        assert "anna" in read
        assert "a complaint" in read
        assert alert_id(1)[:12] in read
        assert "bo" in lists
        assert "may have shown it" in lists

    def test_it_lists_all_and_chooses(self, data: str) -> None:
        assert len(self.call(data).splitlines()) == 2
        assert "may have" not in self.call(data)
        assert len(self.call(data, "--who", "anna", "--since", "1h").splitlines()) == 1
        assert self.call(data, "--alert", "00ff") == "nobody\n"

    def test_it_speaks_to_programs(self, data: str) -> None:
        first, _ = (json.loads(line) for line in self.call(data, "--format", "ndjson").splitlines())
        assert (first["who"], first["what"], first["alert"]) == ("bo", "events", None)
        assert first["at"].endswith("Z")
