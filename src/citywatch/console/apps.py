"""The console as a Django app."""

from django.apps import AppConfig


class ConsoleConfig(AppConfig):
    """Its label is short: it is part of table names and permissions."""

    name = "citywatch.console"
    label = "console"
