"""Who asks, and what they may: an API key, or somebody signed in to the console."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from django.http import HttpRequest
from ninja.errors import AuthenticationError, AuthorizationError
from ninja.security.base import AuthBase

from citywatch.console.access import Right, Scope
from citywatch.console.models import key_of
from citywatch.console.people import may
from citywatch.console.site import current

if TYPE_CHECKING:
    from django.contrib.auth.models import User


LOCAL = frozenset({Scope.EVENTS_WRITE, Scope.MEDIA_WRITE})
"""What needs no key where the console is served to this machine alone."""

_OF_RIGHT: dict[Right, Scope] = {
    Right.OPERATOR: Scope.ALERTS_ACT,
    Right.TICKETS: Scope.TICKETS_DECIDE,
    Right.REVEAL: Scope.REVEAL,
}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. `name` goes into the log of actions and the audit log; a key's begins with `key:`."""

    name: str
    scopes: frozenset[Scope]

    def may(self, scope: Scope) -> bool:
        """Whether this is allowed."""
        return scope in self.scopes


NOBODY = Caller("local", LOCAL)
"""Whoever sits at this machine, where it alone is served."""


def served_to_this_machine_only() -> bool:
    """Whether the console listens on a loopback address, and no web server stands in front of it."""
    if current().address:
        return False
    host = current().host
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def identify(request: HttpRequest) -> Caller | None:
    """Who asks, or None. A key counts before a session; one that is not valid is an error even beside a session."""
    given = request.headers.get("Authorization")
    if given is not None:
        kind, _, secret = given.partition(" ")
        key = key_of(secret.strip()) if kind.lower() == "bearer" else None
        if key is None:
            raise AuthenticationError(message="This API key does not exist, or was revoked.")
        return Caller(f"key:{key.name}", frozenset(Scope(scope) for scope in key.scopes))
    here = LOCAL if served_to_this_machine_only() else frozenset()
    if request.user.is_authenticated:
        user = cast("User", request.user)
        return Caller(user.get_username(), here | _scopes_of(user))
    return NOBODY if here else None


def _scopes_of(user: User) -> frozenset[Scope]:
    """What somebody signed in may: whoever may sign in may read; an administrator may all."""
    if user.is_superuser:
        return frozenset(Scope)
    held = (scope for right, scope in _OF_RIGHT.items() if may(user, right))
    return frozenset({Scope.ALERTS_READ, Scope.TICKETS_READ, Scope.METRICS_READ, *held})


def allowed(request: HttpRequest, scope: Scope) -> Caller:
    """Who asks, if they may do this; else AuthenticationError (401) or AuthorizationError (403)."""
    caller = identify(request)
    if caller is not None and caller.may(scope):
        return caller
    if caller is None or caller is NOBODY:
        raise AuthenticationError(message=f"This needs a session of the console, or an API key with scope {scope}.")
    raise AuthorizationError(message=f"{caller.name} may not do this: it needs the scope {scope}.")


class Needs(AuthBase):
    """The scope that an operation needs; ninja asks it before the operation runs."""

    openapi_type: str = "http"
    openapi_scheme: str = "bearer"

    def __init__(self, scope: Scope) -> None:
        super().__init__()
        self.scope = scope

    def __call__(self, request: HttpRequest) -> Caller:
        """Who asks, if they may."""
        return allowed(request, self.scope)


def needs(scope: Scope) -> Needs:
    """For an operation's `auth`."""
    return Needs(scope)


def caller(request: HttpRequest) -> Caller:
    """Who asks, in an operation that `needs` a scope."""
    found: Any = getattr(request, "auth", None)
    if not isinstance(found, Caller):
        raise TypeError("only an operation with `needs` knows who asks")
    return found
