"""Known identities: new, sent again, or in conflict; for ever, also after a crash."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from citywatch.errors import StoreError
from citywatch.stores.identity import Identities, Verdict

NEW, AGAIN, CONFLICT = Verdict.NEW, Verdict.REDELIVERY, Verdict.CONFLICT

# Few values, so that hashes collide in 64 bits and in 96 bits.
RECORD = st.tuples(st.integers(0, 4), st.integers(0, 2), st.integers(0, 1))
BATCHES = st.lists(st.lists(RECORD, max_size=8), max_size=12)


def arrays(records: list[tuple[int, int, int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    table = np.array(records, dtype=np.uint64).reshape(-1, 3)
    return table[:, 0].copy(), table[:, 1].astype(np.uint32), table[:, 2].astype(np.uint32)


def take(index: Identities, records: list[tuple[int, int, int]], last: int) -> list[int]:
    """Judge a batch and remember what is new, as the engine does."""
    hi, lo, fingerprint = arrays(records)
    verdict = index.judge(hi, lo, fingerprint)
    new = verdict == NEW
    index.add(hi[new], lo[new], fingerprint[new], last)
    return [int(one) for one in verdict]


def brute_force(batches: list[list[tuple[int, int, int]]]) -> list[list[int]]:
    known: dict[tuple[int, int], int] = {}
    answers = []
    for batch in batches:
        answer = []
        for hi, lo, fingerprint in batch:
            first = known.setdefault((hi, lo), -1 - fingerprint)
            answer.append(int(NEW if first < 0 else AGAIN if first == fingerprint else CONFLICT))
            known[hi, lo] = -1 - first if first < 0 else first
        answers.append(answer)
    return answers


@settings(max_examples=200, deadline=None)
@given(batches=BATCHES, limit=st.integers(1, 6), restart=st.integers(0, 11))
def test_verdicts_are_those_of_a_dictionary(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[tuple[int, int, int]]], limit: int, restart: int
) -> None:
    directory = tmp_path_factory.mktemp("identity")
    index = Identities(directory, memory_limit=limit)
    found = []
    for number, batch in enumerate(batches):
        found.append(take(index, batch, last=number + 1))
        if index.flush_due():
            index.flush()
            while index.merge():
                pass
        if number == restart:
            index.flush()
            index = Identities(directory, memory_limit=limit)
    assert found == brute_force(batches)


def test_what_was_not_yet_in_a_file_is_added_again_after_the_cursor(tmp_path: Path) -> None:
    index = Identities(tmp_path)
    take(index, [(1, 1, 1)], last=1)
    index.flush()
    take(index, [(2, 2, 2)], last=2)
    index = Identities(tmp_path)
    assert index.cursor == 1
    assert take(index, [(1, 1, 1), (2, 2, 2)], last=2) == [AGAIN, NEW]


def test_merging_keeps_few_files(tmp_path: Path) -> None:
    index = Identities(tmp_path, memory_limit=100)
    rng = np.random.default_rng(0)
    for number in range(200):
        hi = rng.integers(0, 2**63, 100, dtype=np.uint64)
        index.add(hi, hi.astype(np.uint32), hi.astype(np.uint32), number + 1)
        index.flush()
        while index.merge():
            pass
    assert len(index) == 20_000
    assert len(list(tmp_path.glob("*.run"))) <= 13


@pytest.mark.parametrize(("owner", "call"), [(os, "fsync"), (Path, "replace")])
def test_a_crash_in_a_flush_or_merge_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: object, call: str
) -> None:
    index = Identities(tmp_path, memory_limit=1)
    for number in range(4):
        take(index, [(number, 0, 0)], last=number + 1)
        index.flush()
    real = getattr(owner, call)
    left = 0

    def dying(*arguments: object) -> object:
        nonlocal left
        left -= 1
        if left == 0:
            raise OSError("the power went")
        return real(*arguments)

    monkeypatch.setattr(owner, call, dying)
    for number in range(1, 5):
        left = number
        try:
            index.merge()
        except (OSError, StoreError):
            index = Identities(tmp_path, memory_limit=1)
        hi, lo, fingerprint = arrays([(n, 0, 0) for n in range(4)])
        assert index.judge(hi, lo, fingerprint).tolist() == [AGAIN] * 4
    monkeypatch.undo()
    Identities(tmp_path)
    assert list(tmp_path.glob("*.tmp")) == []


@settings(max_examples=60, deadline=None)
@given(records=st.lists(RECORD, max_size=30), gone=st.lists(RECORD, max_size=10), cut=st.integers(0, 30))
def test_forgotten_identities_are_new_again_and_all_others_known(
    tmp_path_factory: pytest.TempPathFactory,
    records: list[tuple[int, int, int]],
    gone: list[tuple[int, int, int]],
    cut: int,
) -> None:
    directory = tmp_path_factory.mktemp("identity")
    index = Identities(directory)
    for last, part in enumerate((records[:cut], records[cut:]), 1):
        take(index, part, last)
        index.flush()
    forgotten = {record[:2] for record in gone}
    hi, lo, _ = arrays(gone)
    known = {record[:2] for record in records}
    assert index.forget(hi, lo) == len(known & forgotten)
    for reader in (index, Identities(directory)):
        verdicts = reader.judge(*arrays([(*key, 0) for key in sorted(known | forgotten)]))
        new = {key for key, verdict in zip(sorted(known | forgotten), verdicts, strict=True) if verdict == NEW}
        assert new == (known | forgotten) - (known - forgotten)


@pytest.mark.parametrize("content", ["", "[]", '{"cursor": 1}', '{"cursor": "x", "runs": []}'])
def test_a_damaged_manifest_is_named_and_how_the_index_is_made_again(tmp_path: Path, content: str) -> None:
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(StoreError, match=r"manifest\.json cannot be read") as caught:
        Identities(tmp_path)
    assert "made again from history" in (caught.value.hint or "")


def test_a_run_that_is_missing_is_named(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"cursor": 1, "runs": ["a.run"]}')
    with pytest.raises(StoreError, match=r"a\.run is missing"):
        Identities(tmp_path)
