"""`python -m bench [NAME...]`: run the benches, print one table, write it into `bench/results.md`: other lines stay."""

from __future__ import annotations

import argparse
import datetime
import importlib
import os
import platform
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import duckdb

from bench.measure import ROOT, Line, cores

BENCHES = ("startup", "parsing", "throughput", "latency", "doors", "many_rules", "identities", "simulator", "tickets")

CLUSTER = ("kafka", "spark_detect", "spark_scaling", "spark_latency", "spark_archive", "cassandra_upserts")
"""Only by name: they need Java 17 and the jars of `make jars`."""

PAGE = ROOT / "bench" / "results.md"
_HEAD = "| what | measured | at least | aim | holds |\n| --- | --- | --- | --- | --- |"


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
    rows = {line.what: _row(line) for line in lines}
    print(f"\n{_table(rows)}")
    if not options.dry:
        PAGE.write_text(_page(_table({**_standing(), **rows})), "utf-8")
    return int(any(line.holds is False for line in lines))


def _measure(names: Iterable[str], scratch: Path) -> Iterator[Line]:
    for name in names:
        for line in importlib.import_module(f"bench.{name}").bench(scratch):
            print(f"{line.what}: {line.measured}", file=sys.stderr, flush=True)
            yield line


def _row(line: Line) -> str:
    verdict = {True: "yes", False: "**no**", None: "-"}[line.holds]
    return f"| {' | '.join((line.what, line.measured, line.at_least, line.aim, verdict))} |"


def _table(rows: Mapping[str, str]) -> str:
    return "\n".join([_HEAD, *rows.values()])


def _standing() -> dict[str, str]:
    """What the page has of other days, by what was measured."""
    text = PAGE.read_text("utf-8") if PAGE.exists() else ""
    rows = [line for line in text.splitlines() if line.startswith("| ")][2:]
    return {row.split(" | ")[0].removeprefix("| "): row for row in rows}


def _page(table: str) -> str:
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    machine = f"{platform.system()} on {platform.machine()}, {cores()} cores, {memory:.0f} GiB of memory"
    versions = f"Python {platform.python_version()}, DuckDB {duckdb.__version__}"
    return f"""# What was measured

{today}, {machine}, {versions}. `make bench` measures anew and writes this page, `python -m bench NAME` some
of its lines.

{table}

How to read it: [bench/](.) says what each line does. "DuckDB alone" parses the same file into the same fields and
stores them as Parquet, with no duplicates recognised, no rule applied and no alert raised, in the same run. Brokers,
databases and Java share the cores with what is measured; Python state by key, and from_json with a filter, recognise
no copies and keep no evidence.
"""


if __name__ == "__main__":
    sys.exit(main())
