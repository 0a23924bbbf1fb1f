"""A service of the file as a process, in the layout of its container."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from deploy.servers.server import Server
from tests.cluster.compose.layout import HOME, SERVICES, Layout


class Container(Server):
    """A service as it would run in its container. What it keeps lies in volumes, everything else in `home`."""

    def __init__(self, layout: Layout, name: str) -> None:
        super().__init__(layout.root / "run" / name)
        self.name, self.layout, self.service = name, layout, SERVICES[name]
        self.home = layout.home(name)

    def prepare(self) -> None:
        for place in (self.home / HOME[1:], self.home / "tmp", self.home / "proc"):
            place.mkdir(parents=True, exist_ok=True)
        for volume in self.service.get("volumes", []):
            source = volume.split(":")[0]
            if not source.startswith("."):
                self.layout.volume(source).mkdir(parents=True, exist_ok=True)

    def command(self) -> Sequence[str]:
        given = [f"{name}={value}" for name, value in self.layout.environment(self.name).items()]
        return ["env", "-i", "-C", str(self.home / HOME[1:]), *given, *self.words()]

    def words(self) -> list[str]:
        """What the image runs: its entry point, or that of the file, with the command of the file."""
        given = [*self.service.get("entrypoint", []), *self.service.get("command", [])]
        mine = [] if "entrypoint" in self.service else self.entrypoint()
        return [*mine, *(self.layout.here(self.name, word) for word in given)]

    def entrypoint(self) -> list[str]:
        """That of our image; tini, which stands before it there, only hands signals on."""
        return ["citywatch"]

    def ready(self) -> bool:
        """Whether the health check of the file says so; for a service that ends, whether it has ended well."""
        if self.service["restart"] == "no":
            return self.pid != 0 and self._process is not None and self._process.poll() == 0
        kind, *words = self.service["healthcheck"]["test"]
        words = ["sh", "-c", *words] if kind == "CMD-SHELL" else words
        asked = [self.layout.here(self.name, word) for word in words]
        within = int(self.service["healthcheck"]["timeout"].removesuffix("s"))
        self._look_into()
        try:
            done = subprocess.run(
                asked, env=self.layout.environment(self.name), capture_output=True, check=False, timeout=within
            )
        except subprocess.TimeoutExpired:
            return False
        return done.returncode == 0

    def failed(self) -> bool:
        """Whether it has ended without having been asked to."""
        return self._process is not None and self._process.poll() is not None and not self.ready()

    def written(self) -> list[str]:
        """What it wrote outside of its volumes and of /tmp; a container with a read-only root could not have."""
        return [str(path.relative_to(self.home)) for path in (self.home / HOME[1:]).rglob("*")]

    def _look_into(self) -> None:
        """Let `proc` show the processes of this service, as a container's own /proc does."""
        for old in (self.home / "proc").iterdir():
            old.unlink()
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if os.getsid(int(process.name)) == self.pid:
                    (self.home / "proc" / process.name).symlink_to(process)
            except ProcessLookupError:
                continue
