"""`citywatch up` on a topic, seen from outside: what `/metrics` says of it."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from deploy.servers.server import free_port
from tests.cluster.running import Run, citywatch

_SAMPLE = re.compile(r"^(\w+)(\{.*\})? (\S+)$", re.MULTILINE)


class Up(Run):
    """`citywatch up ADDRESS --data DIR`, and what it says at `/metrics`."""

    command = "up"

    def __init__(self, data: Path, *arguments: object, environment: Mapping[str, str] | None = None) -> None:
        data.mkdir(exist_ok=True)
        made = citywatch("users", "keys", "add", "prometheus", "--scope", "metrics:read", "--data", data)
        assert made.returncode == 0, made.stderr
        self._key = made.stdout.split()[-1]
        self._port = free_port()
        super().__init__(data, *arguments, "--port", self._port, environment=environment)

    def metrics(self) -> dict[str, float]:
        """Value by name and labels; empty while it does not answer."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._port}/metrics", headers={"Authorization": f"Bearer {self._key}"}
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 - always http
                text = answer.read().decode()
        except ConnectionError:
            return {}
        except OSError as error:
            assert isinstance(getattr(error, "reason", None), ConnectionError), error
            return {}
        return {name + labels: float(value) for name, labels, value in _SAMPLE.findall(text)}

    def lag(self) -> dict[str, float]:
        """Records that are not read yet, by partition."""
        found = {name: value for name, value in self.metrics().items() if name.startswith("citywatch_source_lag{")}
        return {re.findall(r'partition="([^"]*)"', name)[0]: value for name, value in found.items()}

    def late(self) -> float | None:
        """Seconds that the clock is behind; None where that is not known."""
        return self.metrics().get("citywatch_clock_lag_seconds")
