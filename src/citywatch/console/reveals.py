"""What somebody may see unmasked for a while, after they have said why."""

from __future__ import annotations

import time
from typing import cast

from django.contrib.auth.models import User
from django.http import HttpRequest

from citywatch.console.access import Right
from citywatch.console.people import may

FOR_S = 10 * 60
"""Seconds for which one thing stays unmasked after a purpose was given."""

PURPOSES = ("stop or search a vehicle", "check for a mistake", "answer a complaint", "evidence for a case")

NOT_ALLOWED = "You may not see plates, names and faces."
NO_PURPOSE = "Say for which purpose."


def is_revealed(request: HttpRequest, id_: str) -> bool:
    """Whether this alert or proposal is unmasked for who asks, now."""
    until = request.session.get(_key(id_), 0)
    return bool(until > time.time()) and may(cast(User, request.user), Right.REVEAL)


def reveal(request: HttpRequest, id_: str) -> None:
    """Unmask it for a while; that it was recorded is for the caller to see to."""
    request.session[_key(id_)] = time.time() + FOR_S


def purpose(request: HttpRequest) -> str:
    """What the form says; empty where nothing."""
    return request.POST.get("purpose", "").strip()[:500]


def _key(id_: str) -> str:
    return f"revealed:{id_}"
