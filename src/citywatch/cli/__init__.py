"""The command line: parse, call, print. Commands are imported when they are called, so that `--help` is quick."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

from citywatch import __version__
from citywatch.cli.interruption import as_interrupt
from citywatch.errors import CitywatchError, UsageError

# name -> (module below citywatch.cli, attribute, one line of help)
COMMANDS: dict[str, tuple[str, str, str]] = {
    "up": ("up", "up", "Everything on this machine: ingest, engine, console."),
    "run": ("run", "run", "Read sources, apply the rules, keep history."),
    "simulate": ("simulate", "simulate", "Make the events of a simulated city."),
    "send": ("send", "send", "Send a file to the citywatch on another machine."),
    "alerts": ("alerts", "alerts", "Watch, list and work on alerts."),
    "notify": ("notify", "notify", "Test, list and explain who is told of which alerts."),
    "tickets": ("tickets", "tickets", "List proposals for tickets, decide about them, export the tickets."),
    "events": ("events", "events", "Print the events in history."),
    "report": ("report", "report", "Answer a named question from history."),
    "sql": ("report", "sql", "Ask history in SQL."),
    "rules": ("rules", "rules", "List, write, check, test, explain and back-test rules."),
    "mappings": ("mappings", "mappings", "List, check and test mappings of foreign messages."),
    "rejected": ("rejected", "rejected", "List and replay what could not be read."),
    "spark": ("spark", "spark", "Apply the rules on Spark, for more than one machine can do."),
    "console": ("console", "console", "The console alone."),
    "audit": ("audit", "audit", "Who looked up which plate, and why."),
    "users": ("users", "users", "Let people in; make keys for programs."),
    "compact": ("keeping", "compact", "Put events into few files by day."),
    "retention": ("keeping", "retention", "Remove what is older than it is to be kept."),
    "backup": ("keeping", "backup", "Copy the data directory, while everything goes on."),
    "restore": ("keeping", "restore", "Make a data directory of a backup, and check it."),
    "archive": ("archive", "archive", "Take history over to HDFS."),
    "cassandra": ("cassandra", "cassandra", "Prepare a Cassandra for `up --store`."),
    "doctor": ("doctor", "doctor", "Explain this machine and this data directory."),
}


NEEDS_PANDAS = ("spark",)
"""Commands that do more with pandas than load it."""


class _LateGroup(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def invoke(self, ctx: click.Context) -> Any:
        with as_interrupt():
            return super().invoke(ctx)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if cmd_name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(f"citywatch.cli.{module}"), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, _, line) in COMMANDS.items()])


@click.group(cls=_LateGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="citywatch")
def cli() -> None:
    """City events in, rules find what needs a person, people act, history answers questions."""


def _complain(error: CitywatchError) -> None:
    import logging

    from citywatch.cli.log import say

    say(error, logging.ERROR)


class _NoPandas:
    """Arrow loads pandas, where it is installed, before its first array of a list: half a second for nothing."""

    @staticmethod
    def find_spec(name: str, *_: object) -> None:
        """As Python asks for a module: for pandas there is none, others are left to whoever is asked next."""
        if name == "pandas":
            raise ModuleNotFoundError("pandas is not needed here", name=name)


def main(argv: list[str] | None = None) -> Any:
    """Entry point: 0 fine, 1 it failed, 2 wrong usage."""
    if argv is None and sys.argv[1:2] not in ([name] for name in NEEDS_PANDAS):
        sys.meta_path.insert(0, _NoPandas)
    try:
        return cli.main(args=argv, prog_name="citywatch", standalone_mode=True)
    except UsageError as error:
        _complain(error)
        sys.exit(2)
    except CitywatchError as error:
        _complain(error)
        sys.exit(1)
