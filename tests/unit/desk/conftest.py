from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from citywatch.stores.desk import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with Desk(tmp_path / "desk.sqlite") as opened:
        yield opened
