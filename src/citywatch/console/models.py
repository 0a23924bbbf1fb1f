"""What the console keeps by itself: links to sign in with, and keys for programs."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.db import models
from django.utils import timezone

from citywatch.errors import UsageError

VALID_FOR = timedelta(days=1)


class SignInLink(models.Model):
    """A link that signs one person in, once. Only the hash of its secret is kept."""

    digest: models.CharField[str, str] = models.CharField(max_length=64, unique=True)
    user: models.ForeignKey[User, User] = models.ForeignKey(User, on_delete=models.CASCADE)
    made_at: models.DateTimeField[datetime, datetime] = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"link for {self.user}"


def make_link(name: str, *, all_rights: bool) -> str:
    """The secret of a new link for the person of that name, who becomes a user when they are none yet."""
    user, _ = User.objects.get_or_create(username=name, defaults={"is_superuser": all_rights})
    SignInLink.objects.filter(made_at__lt=timezone.now() - VALID_FOR).delete()
    secret = secrets.token_urlsafe(24)
    SignInLink.objects.create(digest=_digest(secret), user=user)
    return secret


def use_link(secret: str) -> User | None:
    """The user whom the link signs in, or None when it is used up, too old, or none."""
    link = SignInLink.objects.filter(digest=_digest(secret), made_at__gte=timezone.now() - VALID_FOR).first()
    # Of two who come at once, the one whose delete finds the row is let in.
    if link is None or SignInLink.objects.filter(pk=link.pk).delete()[0] == 0:
        return None
    return link.user if link.user.is_active else None


class ApiKey(models.Model):
    """A key that a program shows. Only the hash of its secret is kept; a revoked one stays, so that logs make sense."""

    name: models.CharField[str, str] = models.CharField(max_length=64, unique=True)
    digest: models.CharField[str, str] = models.CharField(max_length=64, unique=True)
    scopes: models.JSONField[list[str], list[str]] = models.JSONField()
    made_by: models.CharField[str, str] = models.CharField(max_length=150)
    made_at: models.DateTimeField[datetime, datetime] = models.DateTimeField(default=timezone.now)
    expires_at: models.DateTimeField[datetime | None, datetime | None] = models.DateTimeField(null=True)
    revoked_at: models.DateTimeField[datetime | None, datetime | None] = models.DateTimeField(null=True)
    used_at: models.DateTimeField[datetime | None, datetime | None] = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"key {self.name}"

    @property
    def valid(self) -> bool:
        """Neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > timezone.now())

    @property
    def standing(self) -> str:
        """Whether it is valid, in words."""
        if self.revoked_at is not None:
            return "revoked"
        if self.expires_at is None:
            return "valid"
        return f"{'valid until' if self.valid else 'expired'} {self.expires_at:%Y-%m-%d}"


USED_EVERY = timedelta(minutes=1)
"""The time of a key's last use is written down at most so often: senders come a hundred times a second."""


def make_key(name: str, scopes: Sequence[str], *, by: str, expires_at: datetime | None = None) -> str:
    """A new key, which is shown now and never again. Raises UsageError when the name is taken."""
    if ApiKey.objects.filter(name=name).exists():
        raise UsageError(f"there is, or was, a key {name!r}", hint="choose another name; logs tell keys by it")
    secret = f"cw_{secrets.token_urlsafe(32)}"
    ApiKey.objects.create(name=name, digest=_digest(secret), scopes=list(scopes), made_by=by, expires_at=expires_at)
    return secret


def key_of(secret: str) -> ApiKey | None:
    """The valid key with that secret."""
    key = ApiKey.objects.filter(digest=_digest(secret)).first()
    if key is None or not key.valid:
        return None
    now = timezone.now()
    if key.used_at is None or now - key.used_at > USED_EVERY:
        ApiKey.objects.filter(pk=key.pk).update(used_at=now)
    return key


def revoke_key(name: str) -> ApiKey | None:
    """End a key at once; None when there is none of that name."""
    ApiKey.objects.filter(name=name, revoked_at=None).update(revoked_at=timezone.now())
    return ApiKey.objects.filter(name=name).first()


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
