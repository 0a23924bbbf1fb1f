"""Prometheus' text format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

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


def _line(name: str, labels: Mapping[str, str], value: float) -> str:
    inside = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
    return f"{name}{{{inside}}} {value}\n" if inside else f"{name} {value}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
