"""`python -m bench.capacity`: brokers, executors and disks for so many bytes a day, computed from what was measured.

It writes the table of docs/explanation/capacity.md anew. Whoever has measured their own machines changes `FIGURES`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil, log2
from typing import NamedTuple

from bench.measure import ROOT

PAGE = ROOT / "docs" / "explanation" / "capacity.md"
LOADS = (200, 2_000)
"""GB a day."""

GB, TB = 10**9, 10**12
_DAY_S = 86_400


class Figure(NamedTuple):
    """Something that was measured, or is assumed: the value, its unit, and where it comes from."""

    value: float
    unit: str
    source: str


FIGURES: Mapping[str, Figure] = {
    "message": Figure(300, "bytes a message", "the events of [bench/generate.py](../../bench/generate.py)"),
    "peak": Figure(3, "times the mean at the busiest hour", "assumed"),
    "kafka_disk": Figure(318, "bytes a message in Kafka, not compressed", "`bench kafka`: in the topic's files"),
    "kafka_rate": Figure(224_000, "messages a second into a broker", "`bench kafka`: one producer in Python"),
    "kafka_days": Figure(3, "days that topics are kept", "assumed"),
    "replicas": Figure(3, "copies in Kafka, on HDFS and in Cassandra", "assumed"),
    "run_rate": Figure(90_900, "messages a second through `run kafka://`, 2 cores, 24 rules", "`bench kafka`"),
    "detect_rate": Figure(
        13_100, "messages a second through `spark detect`, correlations, 2 cores", "`bench spark_detect`"
    ),
    "detect_gain": Figure(
        1.78, "times as much through `spark detect` with twice the cores", "`bench spark_scaling`, from 1 to 2"
    ),
    "identity": Figure(16, "bytes an event that is known", "its hash; decision 0003"),
    "known_days": Figure(90, "days that events are known, and kept in Cassandra", "assumed"),
    "history": Figure(89, "bytes an event in Parquet, all columns", "`bench kafka`: the log of `run FILE`"),
    "raw": Figure(36, "bytes a message as it came, in Parquet", "`bench kafka`: its line in Parquet"),
    "archive_days": Figure(365, "days of archive", "assumed"),
    "cassandra_rate": Figure(6_450, "events a second into a node of Cassandra", "`bench cassandra_upserts`"),
    "disk": Figure(4, "TB of disk a machine, of which 70 % are used", "assumed"),
    "cores": Figure(2, "cores an executor", "as many as its rate was measured on"),
}


@dataclass(frozen=True, slots=True)
class Needs:
    """What a load needs. Rates are messages a second, sizes bytes."""

    messages: int
    mean: float
    peak: float
    runs: int
    executors: int
    brokers: int
    kafka_bytes: float
    state_bytes: float
    archive_bytes: float
    datanodes: int
    cassandra_nodes: int


def needs(gb_a_day: float, figures: Mapping[str, Figure] = FIGURES) -> Needs:
    """For so many bytes a day, all of them messages: that is the most work that they can make."""
    at = {name: figure.value for name, figure in figures.items()}
    messages = gb_a_day * GB / at["message"]
    mean = messages / _DAY_S
    peak = mean * at["peak"]
    usable = at["disk"] * TB * 0.7
    kafka = messages * at["kafka_disk"] * at["kafka_days"] * at["replicas"]
    archive = messages * (at["history"] + at["raw"]) * at["archive_days"] * at["replicas"]
    return Needs(
        messages=round(messages),
        mean=mean,
        peak=peak,
        runs=ceil(peak / at["run_rate"]),
        executors=ceil(peak / (at["detect_rate"] * at["detect_gain"] ** log2(at["cores"] / 2))),
        brokers=max(ceil(peak * at["replicas"] / at["kafka_rate"]), ceil(kafka / usable), int(at["replicas"])),
        kafka_bytes=kafka,
        state_bytes=messages * at["identity"] * at["known_days"],
        archive_bytes=archive,
        datanodes=max(ceil(archive / usable), int(at["replicas"])),
        cassandra_nodes=max(ceil(peak * at["replicas"] / at["cassandra_rate"]), int(at["replicas"])),
    )


def tables() -> str:
    """What the page has: what is needed, then the figures that it was computed from."""
    return "\n".join([*_needed([needs(load) for load in LOADS]), "", *_figures()])


def _needed(loads: list[Needs]) -> Iterator[str]:
    yield "| | " + " | ".join(f"{load:,} GB a day" for load in LOADS) + " |"
    yield "|---|" + "---|" * len(LOADS)
    at = {name: figure.value for name, figure in FIGURES.items()}
    rows: Mapping[str, list[str]] = {
        "messages a day": [f"{of.messages / 1e6:,.0f} million" for of in loads],
        "messages a second, mean and peak": [f"{of.mean:,.0f} and {of.peak:,.0f}" for of in loads],
        "processes of `run kafka://`, 2 cores each; several only where every rule is by device": [
            f"{of.runs:,}" for of in loads
        ],
        f"or executors of Spark with {at['cores']:.0f} cores": [f"{of.executors:,}" for of in loads],
        "brokers": [f"{of.brokers:,}" for of in loads],
        f"disk of Kafka, {at['kafka_days']:.0f} days": [_size(of.kafka_bytes) for of in loads],
        f"identities, {at['known_days']:.0f} days": [_size(of.state_bytes) for of in loads],
        f"archive on HDFS, {at['archive_days']:.0f} days": [_size(of.archive_bytes) for of in loads],
        f"DataNodes with {at['disk']:.0f} TB": [f"{of.datanodes:,}" for of in loads],
        "nodes of Cassandra, if every event goes there": [f"{of.cassandra_nodes:,}" for of in loads],
    }
    for what, cells in rows.items():
        yield f"| {what} | {' | '.join(cells)} |"


def _figures() -> Iterator[str]:
    yield "| figure | | from |\n|---|---|---|"
    for figure in FIGURES.values():
        yield f"| {figure.value:,.10g} | {figure.unit} | {figure.source} |"


def _size(count: float) -> str:
    return f"{count / TB:,.1f} TB"


def written(page: str) -> str:
    """The page with the tables of today between its marks."""
    begin, end = "<!-- computed: python -m bench.capacity -->", "<!-- end -->"
    return re.sub(f"(?s){begin}.*?{end}", lambda _: f"{begin}\n{tables()}\n{end}", page)


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text("utf-8")), "utf-8")
