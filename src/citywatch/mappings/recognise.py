"""Which mapping a record belongs to: by the keys of its object, or by the columns of its file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from citywatch.mappings import cloudevents
from citywatch.mappings.model import Mapping
from citywatch.records.chunk import Format


@dataclass(frozen=True, slots=True)
class Verdict:
    """`mapping` of a shape (None: CloudEvents), or the reason why records of it are refused."""

    mapping: Mapping | None = None
    reason: str | None = None


def verdict(
    keys: Sequence[str] | None,
    data_keys: Sequence[str] | None,
    mappings: Sequence[Mapping],
    *,
    fmt: Format = Format.JSON,
    asked: Mapping | None = None,
    only_cloudevents: bool = False,
) -> Verdict:
    """What to do with records of these keys; `asked` is the mapping that a person named.

    `keys` None means that the record is no object.
    """
    if not keys:
        return Verdict(reason="not a JSON object with keys")
    if twice := [key for key, times in (Counter(keys) + Counter()).items() if times > 1]:
        return Verdict(reason=f"key {twice[0]!r} stands twice")
    present = frozenset(keys)
    if asked or only_cloudevents:
        return _asked(present, data_keys, asked)
    fitting = [m for m in mappings if fmt in m.formats and not m.lacks(present)]
    names = [m.name for m in fitting]
    if fmt is Format.JSON and cloudevents.fits(present):
        names.insert(0, cloudevents.NAME)
    if len(names) > 1:
        return Verdict(reason=_several(names))
    if fitting:
        return Verdict(fitting[0])
    return _asked(present, data_keys, None) if names else Verdict(reason=unknown(present) + _other(present, mappings))


def _other(present: frozenset[str], mappings: Sequence[Mapping]) -> str:
    """Mappings that none but the format of the file keeps from it."""
    names = [mapping.name for mapping in mappings if not mapping.lacks(present)]
    return f"; {' and '.join(names)} would, but for its format: write format: [json, csv]" if names else ""


def _several(names: Sequence[str]) -> str:
    return f"fits the mappings {' and '.join(names)}: name one of them with --mapping"


def _asked(present: frozenset[str], data_keys: Sequence[str] | None, asked: Mapping | None) -> Verdict:
    if asked is not None:
        lacking = asked.lacks(present)
        return Verdict(asked, f"no {asked.name} message: lacks {', '.join(lacking)}" if lacking else None)
    twice = [key for key, times in Counter(data_keys or ()).items() if times > 1]
    return Verdict(reason=f"key {twice[0]!r} stands twice in data" if twice else None)


def positional(widths: Collection[int], mappings: Sequence[Mapping], asked: Mapping | None) -> Verdict:
    """What to do with rows that have no header, and `widths` columns."""
    if asked is not None:
        return Verdict(asked, None if asked.layouts else f"{asked.name} needs a header of columns")
    fitting = [m for m in mappings if any(len(layout) in widths for layout in m.layouts)]
    if len(fitting) == 1:
        return Verdict(fitting[0])
    if fitting:
        return Verdict(reason=_several([m.name for m in fitting]))
    shown = " or ".join(str(width) for width in sorted(widths))
    return Verdict(reason=f"no mapping fits rows of {shown} columns without a header")


def inner_keys(shapes: Sequence[Sequence[str] | None], mappings: Sequence[Mapping]) -> tuple[list[str], list[int]]:
    """Keys of inner objects that tell mappings apart, and the shapes (by their top-level keys) where they may be."""
    inner = sorted({key for mapping in mappings for key in mapping.inner})
    outer = {key.split(".", 1)[0] for key in inner}
    return inner, [number for number, keys in enumerate(shapes) if outer & set(keys or ())]


def inner_sql(relation: str, inner: Sequence[str]) -> str:
    """Which of the keys `inner` the records of `relation` (row, raw) have: one bit each of `bits`, in order of row."""
    paths = ("$." + ".".join(f'"{name}"' for name in key.split(".")) for key in inner)
    bits = (f"CAST(json_exists(raw, '{path}') AS BIGINT) << {bit}" for bit, path in enumerate(paths))
    return f"SELECT {' | '.join(f'({bit})' for bit in bits)} AS bits FROM {relation} ORDER BY row"


def unknown(keys: frozenset[str]) -> str:
    """No mapping knows records with these keys."""
    keys = frozenset(key for key in keys if "." not in key) or keys
    shown = ", ".join(sorted(keys)[:8]) + (", …" if len(keys) > 8 else "")
    return f"no mapping fits a record with {shown}"
