from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from citywatch.errors import RuleErrors
from citywatch.rules.load import load_rules
from citywatch.rules.model import Ruleset
from citywatch.settings import Settings

Load = Callable[..., Ruleset]
Refuse = Callable[..., list[str]]

HEAD = """\
title: A rule
id: 6a0f1c52-6a0f-4c52-9d2e-0c5f3f6d1a11
name: rule
"""

OTHERS = """\
---
title: A base
id: 6a0f1c52-6a0f-4c52-9d2e-0c5f3f6d1a12
name: base
logsource: {category: anpr.read}
where: plate IS NOT NULL
---
title: Another base
id: 6a0f1c52-6a0f-4c52-9d2e-0c5f3f6d1a13
name: other
logsource: {category: drone.violation}
"""


@pytest.fixture(autouse=True)
def nothing_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests of rules run, whatever has passed on this machine before."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A rules directory with a list and a zone."""
    made = tmp_path / "rules"
    (made / "lists").mkdir(parents=True)
    (made / "zones").mkdir()
    (made / "lists" / "stolen.csv").write_text("value,from,until,note\nk-1,,,red\nK2,2026-01-05,2026-01-06,\n")
    (made / "zones" / "schools.geojson").write_text(
        '{"type": "Feature", "properties": {"name": "school"}, "geometry": {"type": "Polygon", '
        '"coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]]}}'
    )
    return made


@pytest.fixture
def load(directory: Path) -> Load:
    """Loads a rule from the body that follows title, id and name."""

    def loaded(body: str, *, settings: Settings | None = None, run_tests: bool = False, head: str = HEAD) -> Ruleset:
        (directory / "rule.yaml").write_text(head + dedent(body), "utf-8")
        return load_rules([directory], settings or Settings(), run_tests=run_tests)

    return loaded


@pytest.fixture
def refuse(load: Load) -> Refuse:
    """Loads what must not load; the errors, each as `line: words`."""

    def refused(body: str, **given: object) -> list[str]:
        with pytest.raises(RuleErrors) as caught:
            load(body, **given)
        assert all(error.where for error in caught.value.errors)
        return [str(error).split("rule.yaml:")[-1] for error in caught.value.errors]

    return refused
