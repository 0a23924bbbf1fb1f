"""Why sending ends before its end."""

from __future__ import annotations


class SendError(Exception):
    """What stops the sender: what is wrong, and what to do next. Exit code 1."""

    code = 1

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what + (f" ({hint})" if hint else ""))


class WrongUsageError(SendError):
    """The sender was called wrongly. Exit code 2."""

    code = 2
