from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.notify.place import Here


@pytest.fixture
def here(tmp_path: Path) -> Here:
    return Here(tmp_path)
