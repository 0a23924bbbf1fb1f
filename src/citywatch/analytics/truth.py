"""What was planted in a simulated city: the file that `citywatch simulate --truth` writes."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from citywatch.errors import Place, ReportError

if TYPE_CHECKING:
    import pyarrow as pa

_HINT = "a line is {kind, rule, group, from, until, events: [{source, id}]}, as `citywatch simulate --truth` writes it"


def read_truth(file: Path) -> pa.Table:
    """Rows of the expected alerts: nth, rule, key (JSON of the group), begin and finish (TIMESTAMPTZ), source, id.

    source and id are those of its first event. Raises ReportError where the file cannot be read.
    """
    import pyarrow as pa  # noqa: PLC0415 - the list of questions is shown without Arrow

    types: dict[str, pa.DataType] = {"nth": pa.int64(), **dict.fromkeys(("rule", "key", "source", "id"), pa.string())}
    types |= dict.fromkeys(("begin", "finish"), pa.timestamp("us", "UTC"))
    try:
        with file.open(encoding="utf-8") as lines:
            rows = [_row(line, Place(file, nth)) | {"nth": nth} for nth, line in enumerate(lines, 1)]
    except (OSError, UnicodeDecodeError) as error:
        raise ReportError(
            f"cannot read {file}: {error}", hint="it is the FILE of `citywatch simulate --truth`"
        ) from error
    return pa.Table.from_pylist(rows, schema=pa.schema(types))


def _row(line: str, place: Place) -> dict[str, Any]:
    try:
        row = json.loads(line)
        first = row["events"][0]
        return {
            "rule": str(row["rule"]),
            "key": json.dumps(dict(row["group"])),
            "begin": datetime.fromisoformat(row["from"]),
            "finish": datetime.fromisoformat(row["until"]),
            "source": str(first["source"]),
            "id": str(first["id"]),
        }
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise ReportError("is no line of a truth file", where=place, hint=_HINT) from error
