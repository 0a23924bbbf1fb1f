"""Filters of the templates; they are there without `load`."""

from __future__ import annotations

from django import template

from citywatch.console import presentation

register = template.Library()

register.filter("local", presentation.local)
register.filter("local_us", presentation.local_us)


@register.filter
def words(name: str) -> str:
    """`true_positive` as `true positive`."""
    return name.replace("_", " ")


@register.filter
def thousands(number: int) -> str:
    """`48213` as `48,213`."""
    return f"{number:,}"
