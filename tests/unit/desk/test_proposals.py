"""Proposals for tickets are a function of violations, corrections and decisions."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from citywatch.errors import ProposalError, UnknownProposalError, UsageError
from citywatch.settings import HOUR, MINUTE
from citywatch.stores.desk import Desk
from citywatch.stores.desk.proposals import Violation
from citywatch.ticketing import Decision, Selection, Verdict

from .desks import in_a_file
from .violations import corrected, violation

YES = Decision(Verdict.APPROVE, by="anna", channel="cli")
NO = Decision(Verdict.REFUSE, by="anna", channel="cli", reason="the plate is not to be read")


def brief(desk: Desk) -> list[tuple[Any, ...]]:
    """(plate, code, ids of the violations, state) of each proposal."""
    names = ("plate", "violation_code", "violations", "state")
    listed = [[p[name] for name in names] for p in desk.proposals()]
    return [(plate, code, [v["id"] for v in seen], state) for plate, code, seen, state in listed]


def test_a_violation_with_plate_and_code_is_proposed(desk: Desk) -> None:
    desk.put_violations([violation("v1", address="907 W 91st St", image_id="i1", vehicle_make="FORD")])
    (proposal,) = desk.proposals()
    assert proposal["state"] == "proposed"
    assert (proposal["plate"], proposal["violation_code"], proposal["offence"]) == ("K1", 46, "Double parking")
    assert (proposal["fine"], proposal["fine_manhattan"], proposal["fine_elsewhere"]) == (115, 115, 115)
    assert (proposal["time"], proposal["count"]) == ("2026-05-01T12:00:00.000000Z", 1)
    assert (proposal["address"], proposal["image_id"], proposal["vehicle_make"]) == ("907 W 91st St", "i1", "FORD")
    assert proposal["violations"] == [{"source": "drone/4", "id": "v1"}]


def test_one_that_needs_a_human_is_proposed_when_it_is_corrected(desk: Desk) -> None:
    desk.put_violations([violation("v1", code=None)])
    assert desk.proposals() == []
    desk.put_violations([], [corrected("c1", "v1", 38)])
    assert brief(desk) == [("K1", 38, ["v1"], "proposed")]


def test_a_correction_may_come_before_what_it_corrects(desk: Desk) -> None:
    desk.put_violations([], [corrected("c1", "v1", 38)])
    desk.put_violations([violation("v1")])
    assert brief(desk) == [("K1", 38, ["v1"], "proposed")]


@pytest.mark.parametrize("code", [0, None])
def test_what_is_corrected_to_no_offence_is_proposed_no_more(desk: Desk, code: int | None) -> None:
    desk.put_violations([violation("v1")], [])
    desk.put_violations([], [corrected("c1", "v1", code)])
    assert desk.proposals() == []


def test_the_last_correction_counts_whenever_it_comes(desk: Desk) -> None:
    desk.put_violations([violation("v1")], [corrected("c2", "v1", 14, 5), corrected("c1", "v1", 38, 1)])
    assert brief(desk) == [("K1", 14, ["v1"], "proposed")]


def test_the_same_offence_seen_twice_is_one_proposal(desk: Desk) -> None:
    seen = [violation("v1"), violation("v2", 59), violation("v3", 118), violation("v4", 178.1)]
    desk.put_violations(seen, within=HOUR)
    assert brief(desk) == [("K1", 46, ["v1", "v2", "v3"], "proposed"), ("K1", 46, ["v4"], "proposed")]


def test_exactly_the_set_time_apart_is_the_same_offence(desk: Desk) -> None:
    desk.put_violations([violation("v1"), violation("v2", 60)], within=HOUR)
    assert [seen for *_, seen, _ in brief(desk)] == [["v1", "v2"]]


@pytest.mark.parametrize(
    "other", [violation("v2", plate="K2"), violation("v2", code=38), violation("v2", plate_state="NJ")], ids=str
)
def test_another_plate_code_or_state_is_another_offence(desk: Desk, other: Violation) -> None:
    desk.put_violations([violation("v1"), other])
    assert len(desk.proposals()) == 2


def test_a_proposal_shows_the_first_image_that_there_is(desk: Desk) -> None:
    desk.put_violations([violation("v1"), violation("v2", 2, image_id="i2"), violation("v3", 3, image_id="i3")])
    assert [p["image_id"] for p in desk.proposals()] == ["i2"]


def test_other_settings_make_other_proposals(desk: Desk) -> None:
    desk.regroup(HOUR)
    desk.put_violations([violation("v1"), violation("v2", 30)], within=HOUR)
    desk.regroup(10 * MINUTE)
    assert [seen for *_, seen, _ in brief(desk)] == [["v1"], ["v2"]]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_order_portions_and_repeats_do_not_matter(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    many = st.builds(
        violation,
        st.sampled_from([f"v{n}" for n in range(8)]),
        st.integers(0, 12).map(lambda n: n * 25),
        plate=st.sampled_from(["K1", "K2"]),
        code=st.sampled_from([None, 38, 46]),
        plate_state=st.sampled_from([None, "NY"]),
        image_id=st.sampled_from([None, "i1", "i2"]),
    )
    seen = list({v.id: v for v in data.draw(st.lists(many, max_size=8))}.values())
    some = st.builds(
        corrected, st.uuids().map(str), st.sampled_from([f"v{n}" for n in range(8)]),
        st.sampled_from([0, 14, 38, 46]), st.integers(0, 9),
    )  # fmt: skip
    fixes = data.draw(st.lists(some, max_size=4))
    found = []
    for order in range(2):
        with Desk(tmp_path_factory.mktemp("desk") / "desk.sqlite") as desk:
            shuffled: list[Any] = [*seen, *fixes, *(seen[:2] if order else [])]
            random.Random(order).shuffle(shuffled)  # noqa: S311 - an order to try
            size = data.draw(st.integers(1, 5))
            for start in range(0, len(shuffled), size):
                part = shuffled[start : start + size]
                violations = [one for one in part if isinstance(one, Violation)]
                desk.put_violations(violations, [one for one in part if not isinstance(one, Violation)])
            found.append(desk.proposals())
    assert found[0] == found[1]
    for proposal in found[0]:
        others = [p for p in found[0] if p is not proposal and _offence(p) == _offence(proposal)]
        assert all(
            _minutes(p["time"]) - _minutes(proposal["last_seen"]) > 60 for p in others if p["time"] > proposal["time"]
        )


def _offence(proposal: dict[str, Any]) -> tuple[Any, ...]:
    return proposal["plate"], proposal["plate_state"], proposal["violation_code"]


def _minutes(iso: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(iso).timestamp() / 60


def test_approving_and_refusing_are_kept_with_who_and_why(desk: Desk) -> None:
    desk.put_violations([violation("v1"), violation("v2", plate="K2")])
    first, second = (p["id"] for p in desk.proposals())
    approved = desk.decide(first[:10], YES, now=1_777_636_900_000_000)
    assert (approved["state"], approved["decided_by"], approved["reason"]) == ("approved", "anna", None)
    assert approved["decided_at"] == "2026-05-01T12:01:40.000000Z"
    assert desk.decide(second, NO)["reason"] == "the plate is not to be read"
    assert [(d["action"], d["by"], d["channel"]) for d in desk.decisions(second)] == [("refuse", "anna", "cli")]
    assert desk.proposal_counts() == {"proposed": 0, "approved": 1, "refused": 1, "exported": 0, "withdrawn": 0}


def test_a_refusal_needs_a_reason(desk: Desk) -> None:
    desk.put_violations([violation("v1")])
    (proposal,) = desk.proposals()
    with pytest.raises(UsageError, match="needs a reason"):
        desk.decide(proposal["id"], Decision(Verdict.REFUSE, by="anna", channel="cli", reason=" "))


def test_a_decision_may_be_turned_but_not_repeated(desk: Desk) -> None:
    desk.put_violations([violation("v1")])
    (proposal,) = desk.proposals()
    desk.decide(proposal["id"], YES)
    with pytest.raises(ProposalError, match="is approved: approve is not possible"):
        desk.decide(proposal["id"], YES)
    assert desk.decide(proposal["id"], NO)["state"] == "refused"
    assert desk.decide(proposal["id"], YES)["state"] == "approved"
    assert len(desk.decisions(proposal["id"])) == 3


def test_nothing_is_decided_about_what_has_changed_since_one_looked(desk: Desk) -> None:
    desk.put_violations([violation("v1")])
    (seen,) = desk.proposals()
    desk.put_violations([violation("v2", 5)])
    with pytest.raises(ProposalError, match="has changed since you looked"):
        desk.decide(seen["id"], YES, expected=seen["version"])
    assert [p["state"] for p in desk.proposals()] == ["proposed"]


def test_several_are_decided_together_or_not_at_all(desk: Desk) -> None:
    desk.put_violations([violation("v1"), violation("v2", plate="K2")])
    first, second = desk.proposals()
    with pytest.raises(ProposalError):
        desk.decide_all([(first["id"], first["version"]), (second["id"], "another")], YES)
    assert [p["state"] for p in desk.proposals()] == ["proposed", "proposed"]
    desk.decide_all([(p["id"], p["version"]) for p in (first, second)], YES)
    assert [p["state"] for p in desk.proposals()] == ["approved", "approved"]


@pytest.mark.parametrize("id_", ["", "zz", "ffffffffffff", "K1'; --"])
def test_an_id_that_nothing_has_is_said(desk: Desk, id_: str) -> None:
    desk.put_violations([violation("v1")])
    with pytest.raises(UnknownProposalError):
        desk.decide(id_, YES)


@pytest.mark.parametrize("decision", [YES, NO], ids=["approved", "refused"])
def test_what_is_seen_again_joins_what_was_decided(desk: Desk, decision: Decision) -> None:
    desk.put_violations([violation("v1")])
    decided = desk.decide(desk.proposals()[0]["id"], decision)
    desk.put_violations([violation("v2", 30), violation("v0", -30)])
    (proposal,) = desk.proposals()
    assert (proposal["id"], proposal["state"], proposal["count"]) == (decided["id"], decided["state"], 3)
    assert proposal["time"] == decided["time"]


def test_one_that_lies_between_two_decided_ones_changes_neither(desk: Desk) -> None:
    desk.put_violations([violation("v1"), violation("v2", 100)])
    first, second = desk.proposals()
    desk.decide(first["id"], YES)
    desk.decide(second["id"], NO)
    desk.put_violations([violation("v3", 50)])
    assert [(seen, state) for *_, seen, state in brief(desk)] == [(["v1", "v3"], "approved"), (["v2"], "refused")]


def test_a_correction_after_the_approval_withdraws_it_and_proposes_anew(desk: Desk) -> None:
    desk.put_violations([violation("v1")])
    desk.decide(desk.proposals()[0]["id"], YES)
    desk.put_violations([], [corrected("c1", "v1", 38)])
    assert sorted(brief(desk)) == [("K1", 38, ["v1"], "proposed"), ("K1", 46, [], "withdrawn")]
    with pytest.raises(ProposalError, match="is withdrawn"):
        desk.decide(desk.proposals(Selection(standings=["withdrawn"]))[0]["id"], YES)


def test_a_correction_that_is_taken_back_leaves_a_proposal_to_decide_again(desk: Desk) -> None:
    desk.put_violations([violation("v1")])
    before = desk.decide(desk.proposals()[0]["id"], YES)
    desk.put_violations([], [corrected("c1", "v1", 38)])
    desk.put_violations([], [corrected("c2", "v1", 46, 1)])
    (proposal,) = desk.proposals()
    assert (proposal["id"], proposal["state"], proposal["decided_by"]) == (before["id"], "proposed", None)


def test_proposals_are_chosen_by_standing_and_code_and_read_page_by_page(desk: Desk) -> None:
    desk.put_violations([violation(f"v{n}", n, plate=f"K{n}", code=46 if n % 2 else 38) for n in range(10)])
    desk.decide(desk.proposals()[0]["id"], YES)
    assert len(desk.proposals(Selection(standings=["proposed"]))) == 9
    assert {p["violation_code"] for p in desk.proposals(Selection(codes=[38]))} == {38}
    page = desk.proposals(limit=4)
    again = desk.proposals(limit=4, after=(page[-1]["time"], page[-1]["id"]))
    assert [p["plate"] for p in page + again] == [f"K{n}" for n in range(8)]


@in_a_file
def test_the_place_in_the_log_is_kept_with_what_was_taken_in(desk: Desk) -> None:
    desk.put_violations([violation("v1")], cursor=17)
    with Desk(desk.path) as again:
        assert again.cursor("violations") == 17


@in_a_file
def test_retention_leaves_the_images_of_what_nobody_has_decided_or_exported(desk: Desk) -> None:
    desk.put_violations([violation(f"v{n}", plate=f"K{n}", image_id=f"i{n}") for n in range(4)])
    proposals = {proposal["plate"]: proposal["id"] for proposal in desk.proposals()}
    desk.decide(proposals["K1"], NO)
    desk.decide(proposals["K2"], YES)
    desk.begin_batch(desk.path.parent, "anna", 1)
    desk.decide(proposals["K3"], YES)
    assert desk.needed_images() == {"i0", "i3"}
