"""`citywatch` where little may wait, whose disk is full while FILE is there: `python narrow.py FILE ARGUMENTS...`"""

from __future__ import annotations

import sys
from pathlib import Path

from citywatch import cli
from citywatch.engine.embedded import gathering
from citywatch.stores.directory import DataDirectory

FREE = DataDirectory.free


def free(self: DataDirectory) -> tuple[int, int]:
    return (0, 1 << 28) if FULL.exists() else FREE(self)


if __name__ == "__main__":
    FULL = Path(sys.argv.pop(1))
    DataDirectory.free = free  # type: ignore[method-assign] # that is what this is for
    gathering.WAITING_ROWS = 0  # who comes while another one waits is told to come again
    cli.main()
