"""Prometheus' text format, and what several pages say in the same words."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

TYPE = "text/plain; version=0.0.4; charset=utf-8"

Sample = tuple[Mapping[str, str], float]


def family(name: str, kind: str, meaning: str, samples: Iterable[Sample]) -> Iterator[str]:
    """The lines of one metric: (labels, value) of each sample."""
    yield f"# HELP {name} {meaning}\n# TYPE {name} {kind}\n"
    for labels, value in samples:
        yield _line(name, labels, value)


def histogram(name: str, meaning: str, edges: Sequence[float], counts: Sequence[int], total: float) -> Iterator[str]:
    """The lines of a histogram: `counts` of what is at most each edge and more than the one before; the last: more."""
    yield f"# HELP {name} {meaning}\n# TYPE {name} histogram\n"
    for i, edge in enumerate([*(f"{edge:g}" for edge in edges), "+Inf"]):
        yield _line(f"{name}_bucket", {"le": edge}, sum(counts[: i + 1]))
    yield _line(f"{name}_sum", {}, total)
    yield _line(f"{name}_count", {}, sum(counts))


def stores(standings: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """How far each store elsewhere is behind, by its address; nothing where that is not known yet.

    A standing has `events` and `alerts` that it lacks, None where unknown; `level_at`, µs at which it last lacked
    nothing; `trouble`, why it takes nothing, or None.
    """
    now = time.time_ns() // 1000
    known = {name: standing for name, standing in standings.items() if standing["events"] is not None}
    behind = [({"store": n, "what": what}, s[what]) for n, s in known.items() for what in ("events", "alerts")]
    yield from family("citywatch_store_behind", "gauge", "Events, and changes of alerts, not stored there yet.", behind)
    delays = [
        ({"store": n}, 0.0 if s["events"] == s["alerts"] == 0 else age(s["level_at"], now))
        for n, s in standings.items()
    ]
    yield from family("citywatch_store_delay_seconds", "gauge", "Since when it has not had everything.", delays)
    up = [({"store": n}, int(s["trouble"] is None)) for n, s in standings.items()]
    yield from family("citywatch_store_up", "gauge", "1 while it takes what it is given.", up)


def age(since: int | None, now: int) -> float:
    """Seconds between two times in µs, 0 where there is none."""
    return 0.0 if since is None else max(now - since, 0) / 1e6


def _line(name: str, labels: Mapping[str, str], value: float) -> str:
    inside = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
    return f"{name}{{{inside}}} {value}\n" if inside else f"{name} {value}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
