"""What every bench needs: a timed child process, DuckDB's own time for the same file, a line of the table."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from citywatch.event import FIELDS

ROOT = Path(__file__).resolve().parent.parent
CITYWATCH = Path(sys.executable).with_name("citywatch")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table: what was measured, the figure, what was promised and aimed at, and whether it holds."""

    what: str
    measured: str
    at_least: str = "-"
    aim: str = "-"
    holds: bool | None = None


@dataclass(frozen=True, slots=True)
class Ran:
    """A child process that ended well: wall seconds, the most memory it held (bytes), its last line as JSON."""

    seconds: float
    peak: int
    summary: Any


def run(*arguments: str | Path, environment: dict[str, str] | None = None) -> Ran:
    """Run citywatch and wait; raises CalledProcessError with its words when it fails."""
    return run_command([str(CITYWATCH), *map(str, arguments)], environment)


def run_command(command: Sequence[str], environment: dict[str, str] | None = None) -> Ran:
    """Run any command from the project's root and wait, following its memory."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as words:
        os.sync()  # what was written before is none of its work
        began = time.perf_counter()
        peak = 0
        with subprocess.Popen(
            command, stdout=out, stderr=words, cwd=ROOT, env={**os.environ, **(environment or {})}
        ) as child:
            while child.poll() is None:
                peak = max(peak, _resident_peak(child.pid))
                time.sleep(0.02)
        seconds = time.perf_counter() - began
        out.seek(0)
        words.seek(0)
        if child.returncode != 0:
            raise subprocess.CalledProcessError(child.returncode, command, out.read(), words.read())
        lines = out.read().strip().splitlines()
    return Ran(seconds, peak, json.loads(lines[-1]) if lines and lines[-1].startswith("{") else None)


def _resident_peak(pid: int) -> int:
    """Most bytes that a process held so far; 0 when it has just ended. (`ru_maxrss` would count its parent's, too.)"""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:")), 0)


def duckdb_alone(events: Path, scratch: Path) -> float:
    """Seconds that DuckDB alone needs to parse the NDJSON `events` into all known fields and store them as Parquet."""
    fields = {column.name: column.sql for column in FIELDS if not column.derived}
    structure = json.dumps({name: [sql[:-2]] if sql.endswith("[]") else sql for name, sql in fields.items()})
    target = scratch / "duckdb-alone.parquet"
    began = time.perf_counter()
    with duckdb.connect() as con:
        con.execute(f"SET threads = {cores()}")
        con.execute(
            f"""COPY (
              SELECT id, source, type, time, receivedat, data, unnest(json_transform(data, '{structure}'))
              FROM read_json('{events}', format = 'newline_delimited', columns = {{id: 'VARCHAR', source: 'VARCHAR',
                type: 'VARCHAR', time: 'TIMESTAMPTZ', receivedat: 'TIMESTAMPTZ', data: 'JSON'}})
            ) TO '{target}' (FORMAT parquet, COMPRESSION zstd)"""
        )
        with target.open("rb") as file:
            os.fsync(file.fileno())
    return time.perf_counter() - began


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def fresh(directory: Path) -> Path:
    """An empty directory at that path."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    return directory


def cached(path: Path, make: Callable[[Path], Path]) -> Path:
    """A generated file, made when it is not there yet."""
    return path if path.exists() else make(path)


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest-rank percentile of at least one value."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def rate(count: float, seconds: float) -> str:
    """`123,000 events/s`."""
    return f"{count / seconds:,.0f} events/s"


def size(count: float) -> str:
    """Bytes as MiB."""
    return f"{count / 2**20:,.0f} MiB"
