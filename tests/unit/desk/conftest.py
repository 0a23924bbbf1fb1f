"""The tests of the desk run on every kind of desk that the registry of stores names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from citywatch.stores import open_store

from .desks import DESKS


@pytest.fixture(params=DESKS)
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    with request.param.open(tmp_path, tmp_path) as kept, open_store("desk", kept.address) as opened:
        yield opened
