"""The services of the file brought up, as `docker compose up --wait` does."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.compose.container import Container
from tests.cluster.compose.images import container
from tests.cluster.compose.layout import BIN, DEPLOY, SERVICES, Layout

PATIENCE_S = 240
DEMO = [name for name, service in SERVICES.items() if "profiles" not in service]


@contextmanager
def up(names: Sequence[str], within: float = PATIENCE_S) -> Iterator[tuple[Layout, dict[str, Container]]]:
    """These services, each well, in the order of the file."""
    with tempfile.TemporaryDirectory(prefix="citywatch-compose-") as name:
        layout = Layout(Path(name))
        Path(name).chmod(0o755)  # PostgreSQL runs as another user
        (layout.root / "secrets.sh").write_bytes((DEPLOY / "secrets.sh").read_bytes())
        subprocess.run(["sh", str(layout.root / "secrets.sh")], check=True, capture_output=True)
        running = {name: container(layout, name) for name in names}
        try:
            _bring_up(running, time.monotonic() + within)
            yield layout, running
        finally:
            for one in reversed(running.values()):
                one.stop()


def _bring_up(running: dict[str, Container], deadline: float) -> None:
    """Start each service when those that it depends on are as it wants them; wait until all are well."""
    well: set[str] = set()
    while len(well) < len(running):
        for name, one in running.items():
            if name in well:
                continue
            if one.pid == 0:
                if set(one.service.get("depends_on", {})) <= well:
                    one.launch()
            elif one.ready():
                well.add(name)
            else:
                assert not one.failed(), f"{name} has ended:\n{one.said()}"
        left = sorted(set(running) - well)
        assert time.monotonic() < deadline, "\n".join(f"{name}:\n{running[name].said()}" for name in left)
        time.sleep(1)


def depended_on(*names: str) -> list[str]:
    """These services and all that they need, in the order of the file."""
    found: set[str] = set()
    ahead = [*names]
    while ahead:
        if (name := ahead.pop()) not in found:
            found.add(name)
            ahead += SERVICES[name].get("depends_on", {})
    return [name for name in SERVICES if name in found]


def citywatch(layout: Layout, service: str, *words: str) -> str:
    """What a command says that is run where a service runs, as by `docker compose exec`."""
    asked = [str(BIN / "citywatch"), *words]
    done = subprocess.run(asked, env=layout.environment(service), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def until(done: Callable[[], object], what: str, within: float = PATIENCE_S) -> None:
    """Wait until it is so."""
    deadline = time.monotonic() + within
    while not done():
        assert time.monotonic() < deadline, what
        time.sleep(0.5)


def outside(running: dict[str, Container]) -> dict[str, list[str]]:
    """What services with a read-only root wrote outside of their volumes and of /tmp."""
    written = {one.name: one.written() for one in running.values() if one.service.get("read_only")}
    return {name: paths for name, paths in written.items() if paths}
