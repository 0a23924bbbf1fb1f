"""`python -m bench [NAME...]`: run the benches, print one table, write `bench/results.md`."""

from __future__ import annotations

import argparse
import datetime
import importlib
import os
import platform
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import duckdb

from bench.measure import ROOT, Line, cores

BENCHES = ("startup", "parsing", "throughput", "latency", "doors", "many_rules", "identities", "simulator", "tickets")

CLUSTER = ("kafka", "spark_detect", "spark_latency", "spark_archive", "cassandra_upserts")
"""Only by name: they need Java 17 and the jars of `make jars`, and write no page."""


def main() -> int:
    """Measure; 1 when something promised does not hold."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "names", nargs="*", choices=[[], *BENCHES, *CLUSTER], metavar="NAME", help=", ".join((*BENCHES, *CLUSTER))
    )
    parser.add_argument("--cores", type=int, default=2, help="use so many cores (default: 2)")
    parser.add_argument("--scratch", type=Path, default=ROOT / ".cache" / "bench", help="where generated files go")
    parser.add_argument("--dry", action="store_true", help="do not write bench/results.md")
    options = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])  # children inherit it
    options.scratch.mkdir(parents=True, exist_ok=True)
    lines = list(_measure(options.names or BENCHES, options.scratch.resolve()))
    table = _table(lines)
    print(f"\n{table}")
    if not options.dry and not options.names:
        (ROOT / "bench" / "results.md").write_text(_page(table), "utf-8")
    return int(any(line.holds is False for line in lines))


def _measure(names: Iterable[str], scratch: Path) -> Iterator[Line]:
    for name in names:
        for line in importlib.import_module(f"bench.{name}").bench(scratch):
            print(f"{line.what}: {line.measured}", file=sys.stderr, flush=True)
            yield line


def _table(lines: Iterable[Line]) -> str:
    verdict = {True: "yes", False: "**no**", None: "-"}
    rows = [(line.what, line.measured, line.at_least, line.aim, verdict[line.holds]) for line in lines]
    head = [("what", "measured", "at least", "aim", "holds"), ("---",) * 5]
    return "\n".join(f"| {' | '.join(row)} |" for row in [*head, *rows])


def _page(table: str) -> str:
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    machine = f"{platform.system()} on {platform.machine()}, {cores()} cores, {memory:.0f} GiB of memory"
    versions = f"Python {platform.python_version()}, DuckDB {duckdb.__version__}"
    return f"""# What was measured

{today}, {machine}, {versions}. `make bench` measures anew and writes this page.

{table}

How to read it: [bench/](.) says what each line does. "DuckDB alone" parses the same file into the same fields and
stores them as Parquet, with no duplicates recognised, no rule applied and no alert raised, in the same run.
"""


if __name__ == "__main__":
    sys.exit(main())
