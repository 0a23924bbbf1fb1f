"""`python -m citywatch.sender FILE --to URL`: the sender as it is shipped alone."""

from __future__ import annotations

import sys

from .command import main

if __name__ == "__main__":
    sys.exit(main())
