"""PostgreSQL, as Debian packages it (`scripts/postgresql` installs it): it needs no jar."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from deploy.servers.jars import MissingError
from deploy.servers.server import Server, ServerError, free_port

_PLACES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin")
OWNER = "postgres"


def programs() -> Path:
    """The directory with `initdb` and `postgres`, of the newest version. Raises MissingError."""
    found = [path for place in _PLACES for path in Path("/").glob(f"{place[1:]}/initdb")]
    on_path = shutil.which("initdb")
    if found:
        return max(found, key=lambda path: int(re.findall(r"\d+", str(path))[0])).parent
    if on_path:
        return Path(on_path).resolve().parent
    raise MissingError("no PostgreSQL found (Debian, as root: sh scripts/postgresql; elsewhere: install PostgreSQL 15)")


class Postgresql(Server):
    """A server with the superuser `postgres`, whom it trusts on loopback, as it does everybody unless told otherwise.

    Parameters
    ----------
    directory
        A server that root starts runs as `postgres`, who has to be able to get there.
    port
        Where clients reach it; default: a free port.
    passwords
        Everybody but the superuser needs one.
    """

    name = "PostgreSQL"

    def __init__(
        self,
        directory: Path,
        *,
        port: int = 0,
        passwords: bool = False,
        owner: int | None = None,
        remove: Path | None = None,
    ) -> None:
        super().__init__(directory, owner=owner, remove=remove)
        self.port = port or free_port()
        self._passwords = passwords
        self._data = directory / "data"

    @property
    def address(self) -> str:
        """`host:port` for clients."""
        return f"127.0.0.1:{self.port}"

    def prepare(self) -> None:
        if os.getuid() == 0:
            shutil.chown(self.directory, OWNER)
        if not (self._data / "PG_VERSION").exists():
            made = [*self.as_owner(), str(programs() / "initdb"), "-D", str(self._data), "-U", OWNER, "-A", "trust"]
            made += ["-E", "UTF8", "--no-locale", "--no-sync"]
            done = subprocess.run(made, capture_output=True, text=True, check=False, timeout=120, cwd="/")
            if done.returncode:
                raise ServerError(f"PostgreSQL's data could not be made: {done.stdout}{done.stderr}")
        others = "scram-sha-256" if self._passwords else "trust"
        lines = [f"host all {OWNER} 127.0.0.1/32 trust", f"host all all 127.0.0.1/32 {others}", ""]
        (self._data / "pg_hba.conf").write_text("\n".join(lines), "utf-8")

    def command(self) -> Sequence[str]:
        settings = {"listen_addresses": "127.0.0.1", "unix_socket_directories": self.directory, "fsync": "off"}
        settings["shared_buffers"] = "64MB"
        given = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [*self.as_owner(), str(programs() / "postgres"), "-D", str(self._data), "-p", str(self.port), *given]

    def ready(self) -> bool:
        asked = [str(programs() / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(asked, check=False).returncode == 0

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it at once and cleanly: SIGTERM would wait for clients to leave."""
        super().stop(how)

    def psql(self, sql: str, database: str = OWNER) -> str:
        """Run statements as the superuser; what they answer."""
        asked = [str(programs() / "psql"), "-qAtX", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(self.port)]
        done = subprocess.run(
            [*asked, "-U", OWNER, database], input=sql, capture_output=True, text=True, check=True, timeout=60
        )
        return done.stdout

    @staticmethod
    def as_owner() -> list[str]:
        """PostgreSQL refuses to run as root. Not by `runuser`: that stands between the server and who ends it."""
        return ["setpriv", "--reuid", OWNER, "--regid", OWNER, "--init-groups"] if os.getuid() == 0 else []
