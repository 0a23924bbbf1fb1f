from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.cluster.city import city_in
from tests.cluster.servers import hdfs, owner

_numbers = count()


@pytest.fixture(autouse=True)
def _user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever starts HDFS may do everything there."""
    monkeypatch.delenv("HADOOP_USER_NAME", raising=False)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[str]:
    """Address of a directory of the test's own on HDFS, which is not there yet."""
    yield f"{hdfs()}/tests/{owner()}-{tmp_path.name}-{next(_numbers)}"


@pytest.fixture(scope="session")
def city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with a minute of a city."""
    return city_in(tmp_path_factory.mktemp("city") / "data")
