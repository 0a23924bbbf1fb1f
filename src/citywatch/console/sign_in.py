"""Signing in by a link that is good once, and out."""

from __future__ import annotations

from django.contrib.auth import login, logout
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from citywatch.console.models import use_link
from citywatch.console.site import current


@login_not_required
@require_GET
def how(request: HttpRequest) -> HttpResponse:
    """Say how one signs in."""
    return render(request, "console/sign_in.html", {"used": False})


@login_not_required
@require_GET
def by_link(request: HttpRequest, secret: str) -> HttpResponse:
    """Sign in whom the link was made for."""
    user = use_link(secret)
    if user is not None:
        login(request, user)
        current().signed_in(user.get_username())
        return redirect("alerts")
    # Whoever is in already and opens the link once more only wants to get to the alerts.
    if request.user.is_authenticated:
        return redirect("alerts")
    return render(request, "console/sign_in.html", {"used": True}, status=403)


@require_POST
def leave(request: HttpRequest) -> HttpResponse:
    """Sign out."""
    logout(request)
    return redirect("sign-in")
