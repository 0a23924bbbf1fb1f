"""What the console keeps by itself: links to sign in with."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.db import models
from django.utils import timezone

VALID_FOR = timedelta(days=1)


class SignInLink(models.Model):
    """A link that signs one person in, once. Only the hash of its secret is kept."""

    digest: models.CharField[str, str] = models.CharField(max_length=64, unique=True)
    user: models.ForeignKey[User, User] = models.ForeignKey(User, on_delete=models.CASCADE)
    made_at: models.DateTimeField[datetime, datetime] = models.DateTimeField(default=timezone.now)

    class Meta:
        """`reveal` is the right to see plates, names and faces, for a purpose that is recorded."""

        permissions = (("reveal", "May see plates, names and faces for a purpose"),)

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
    return link.user


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
