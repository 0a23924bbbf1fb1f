"""A mapping file with a mistake says which, and in which line."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from citywatch.cli.mappings import mappings
from citywatch.errors import MappingError
from citywatch.mappings.load import load_mappings, read_mapping

GOOD = """name: good
title: Good
recognise: [a]
fields:
  a:
to:
  type: "'t'"
  source: "'s'"
  id: a
  fields:
    plate: upper(a)
samples:
  - name: one
    record: '{"a": "k1"}'
    events: [{plate: K1}]
"""

MISTAKES = {
    ("title: Good", "titel: Good"): (2, "unknown key 'titel'"),
    ("name: good", "name: bad"): (1, "name is 'bad' but the file is good.yaml"),
    ("plate: upper(a)", "plat: upper(a)"): (11, "plat is no known field"),
    ("plate: upper(a)", "local_hour: upper(a)"): (11, "local_hour is derived, not set"),
    ("plate: upper(a)", "plate: upper(b)"): (11, '"b" is no field of the record'),
    ("plate: upper(a)", "plate: upper(a, a)"): (11, "Binder Error"),
    ("samples:", "from: {when: true, record: {a: id}, header: a}\nsamples:"): (12, "only lines have a header"),
    ("plate: upper(a)", "plate: upper(a"): (11, "not a SQL expression"),
    ("plate: upper(a)", "plate: now()"): (11, "now is not a function of the record alone"),
    ("plate: upper(a)", "plate: (SELECT 1)"): (11, "a subquery has no place in a mapping"),
    ("  id: a\n", "  id: a\n  time: CAST(a AS TIMESTAMP)\n"): (10, "is a time without a zone"),
    ("  id: a\n", ""): (7, "id is missing"),
    ("recognise: [a]\n", ""): (1, "recognise is missing"),
    ("recognise: [a]", "recognise: []"): (3, "recognised by nothing fits every record"),
    ("recognise: [a]", "recognise:"): (3, "recognised by nothing fits every record"),
    ("recognise: [a]", "recognise: [a, []]"): (3, "recognised by nothing fits every record"),
    (GOOD[GOOD.index("to:") : GOOD.index("samples:")], "to: []\n"): (6, "no record becomes an event"),
    ("  a:\n", "  a:\n  arrived:\n"): (6, "arrived is taken"),
    ("fields:\n  a:", "fields: a"): (4, "a table of keys is wanted here"),
    ("title: Good", "title: [Good"): (3, "not valid YAML"),
    ("title: Good", "title: Good\nformat: xml"): (3, "unknown format 'xml'"),
}


def _file(directory: Path, text: str) -> Path:
    file = directory / "good.yaml"
    file.write_text(text)
    return file


@pytest.mark.parametrize(("mistake", "said"), MISTAKES.items(), ids=lambda value: str(value[1]))
def test_a_mistake_is_named_with_its_line(tmp_path: Path, mistake: tuple[str, str], said: tuple[int, str]) -> None:
    file = _file(tmp_path, GOOD.replace(*mistake))
    with pytest.raises(MappingError) as caught:
        read_mapping(file)
    line, words = said
    assert words in caught.value.what
    assert caught.value.where is not None
    assert caught.value.where.line == line


@pytest.mark.parametrize(
    ("mistake", "hint"),
    [
        (("title: Good", "titel: Good"), "did you mean title?"),
        (("plate: upper(a)", "plat: upper(a)"), "did you mean plate?"),
        (("plate: upper(a)", "zzzzz: upper(a)"), "put it below data"),
        (
            ("fields:\n  a:\nto:\n  type: \"'t'\"", "fields: {a: , at: }\nto:\n  type: upper(at)"),
            'at is a word of SQL: call the field otherwise (`its_at: at`), or write it as "at"',
        ),
        (("type: \"'t'\"", "type: t"), "known: a, arrived, content_id; a text is written \"'t'\""),
    ],
)
def test_what_may_be_meant_is_said(tmp_path: Path, mistake: tuple[str, str], hint: str) -> None:
    with pytest.raises(MappingError) as caught:
        read_mapping(_file(tmp_path, GOOD.replace(*mistake)))
    assert caught.value.hint == hint


def test_two_mappings_of_one_name_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    files = [_file(tmp_path, GOOD), _file(tmp_path / "more", GOOD)]
    with pytest.raises(MappingError, match="a second mapping 'good'"):
        load_mappings(files)


def test_a_path_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MappingError, match="no such mapping file"):
        load_mappings([tmp_path / "none.yaml"])


def test_list_shows_the_shipped_mappings() -> None:
    answer = CliRunner().invoke(mappings, ["list"])
    assert answer.exit_code == 0
    assert "nyc-tickets" in answer.stdout


def test_check_says_all_that_is_wrong(tmp_path: Path) -> None:
    _file(tmp_path, GOOD.replace("upper(a)", "upper(b)"))
    (tmp_path / "other.yaml").write_text("name: other\n")
    answer = CliRunner().invoke(mappings, ["check", str(tmp_path)])
    assert answer.exit_code == 1
    assert "good.yaml:11" in answer.stderr
    assert "other.yaml:1" in answer.stderr
    assert "2 mappings are wrong" in answer.stderr


def test_test_runs_the_samples(tmp_path: Path) -> None:
    assert CliRunner().invoke(mappings, ["test", str(_file(tmp_path, GOOD))]).exit_code == 0
    answer = CliRunner().invoke(mappings, ["test", str(_file(tmp_path, GOOD.replace("K1}", "K2}")))])
    assert answer.exit_code == 1
    assert "good.yaml:13: one: plate is 'K1' instead of 'K2'" in answer.stderr
