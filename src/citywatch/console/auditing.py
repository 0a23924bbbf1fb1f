"""The auditor's page: who looked up which plate, and why."""

from __future__ import annotations

from typing import cast

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.views.decorators.debug import sensitive_post_parameters

from citywatch.console.access import Right
from citywatch.console.people import may
from citywatch.console.presentation import engine_state
from citywatch.console.site import current
from citywatch.masking import subject
from citywatch.triage import Asked

PAGE = 100


@sensitive_post_parameters("plate")
def log(request: HttpRequest) -> HttpResponse:
    """The log, latest first; a search comes by POST, so that no plate stands in an address."""
    allowed = may(cast(User, request.user), Right.AUDITOR)
    with current().desk() as desk:
        entries = desk.audited(_asked(request.POST)) if allowed else []
        context = {
            "allowed": allowed,
            "entries": entries[:PAGE],
            "older": entries[PAGE - 1]["seq"] if len(entries) > PAGE else None,
            "search": {name: request.POST.get(name, "") for name in ("plate", "who", "alert")},
            "engine": engine_state(desk),
        }
    return render(request, "console/audit.html", context, status=200 if allowed else 403)


def _asked(form: QueryDict) -> Asked:
    plate, who, alert, before = (form.get(name, "").strip() for name in ("plate", "who", "alert", "before"))
    return Asked(
        who=who or None,
        alert=alert or None,
        subject=subject("plate", plate) if plate else None,
        before=int(before) if before.isascii() and before.isdigit() else None,
        limit=PAGE + 1,
    )
