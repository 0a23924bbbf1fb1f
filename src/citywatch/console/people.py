"""People and their rights. A right is a Django group of that name; an administrator is a superuser and may all."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib.auth.models import Group, User
from django.db.models import QuerySet

from citywatch.console.access import Right


def add_person(name: str, rights: Iterable[Right]) -> User:
    """The person of that name with exactly these rights, made when there is none yet."""
    chosen = set(rights)
    user, _ = User.objects.get_or_create(username=name)
    user.is_superuser, user.is_active = Right.ADMIN in chosen, True
    user.save(update_fields=["is_superuser", "is_active"])
    user.groups.set(Group.objects.get_or_create(name=right)[0] for right in chosen - {Right.ADMIN})
    return user


def people() -> QuerySet[User]:
    """Who may sign in, by name."""
    return User.objects.filter(is_active=True).order_by("username")


def remove_person(name: str) -> bool:
    """Let a person in no more, also not by an open session; False when there is none of that name."""
    return bool(people().filter(username=name).update(is_active=False))


def rights_of(user: User) -> list[Right]:
    """In the order of `Right`."""
    held = set(user.groups.values_list("name", flat=True))
    return [right for right in Right if right in held or (right is Right.ADMIN and user.is_superuser)]


def may(user: User, right: Right) -> bool:
    """Whether this person has that right, by name or as an administrator."""
    return user.is_active and (user.is_superuser or user.groups.filter(name=right).exists())
