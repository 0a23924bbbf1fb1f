"""People and their rights. A right is a Django group of that name; an administrator is a superuser and may all."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from django.contrib.auth.models import Group, User


class Right(StrEnum):
    """What somebody may do; whoever may sign in may read alerts, masked."""

    OPERATOR = "operator"
    ANALYST = "analyst"
    AUDITOR = "auditor"
    REVEAL = "reveal"
    ADMIN = "admin"


MEANING: dict[Right, str] = {
    Right.OPERATOR: "work on alerts",
    Right.ANALYST: "read alerts and reports, masked",
    Right.AUDITOR: "see who looked up what, and why",
    Right.REVEAL: "see plates, names and faces, for a purpose that is recorded",
    Right.ADMIN: "all of this",
}


def add_person(name: str, rights: Iterable[Right]) -> User:
    """The person of that name with exactly these rights, made when there is none yet."""
    chosen = set(rights)
    user, _ = User.objects.get_or_create(username=name)
    user.is_superuser = Right.ADMIN in chosen
    user.save(update_fields=["is_superuser"])
    user.groups.set(Group.objects.get_or_create(name=right)[0] for right in chosen - {Right.ADMIN})
    return user


def rights_of(user: User) -> list[Right]:
    """In the order of `Right`."""
    held = set(user.groups.values_list("name", flat=True))
    return [right for right in Right if right in held or (right is Right.ADMIN and user.is_superuser)]


def may(user: User, right: Right) -> bool:
    """Whether this person has that right, by name or as an administrator."""
    return user.is_active and (user.is_superuser or user.groups.filter(name=right).exists())
