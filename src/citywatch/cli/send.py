"""`citywatch send`: a file's lines to the citywatch on another machine. The sender is a package of its own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from citywatch import __version__
from citywatch.sender.command import HELP

if TYPE_CHECKING:
    from citywatch.sender.door import Receiver
    from citywatch.sender.sending import Options


@click.command()
@click.argument("file", metavar="SOURCE", type=click.Path(path_type=Path))
@click.option("--to", metavar="URL", required=True, help=f"{HELP['to']} Or kafka://host/TOPIC.")
@click.option("--mapping", metavar="NAME", default="", help=HELP["mapping"])
@click.option(
    "--as", "shape", metavar="MAPPING", help="To Kafka: write an older system's messages: prestacop, safety-watcher."
)
@click.option("--rate", metavar="N", type=float, default=0.0, help=HELP["rate"])
@click.option("--batch", metavar="N", type=int, default=500, show_default=True, help=HELP["batch"])
@click.option("--key-file", type=click.Path(path_type=Path), help=HELP["key_file"])
@click.option("--encoding", metavar="NAME", default="", help=HELP["encoding"])
@click.option("--keep", type=click.Path(file_okay=False, path_type=Path), help=HELP["keep"])
@click.option("--again", is_flag=True, help=HELP["again"])
@click.option("--give-up", metavar="TIME", default="", help=HELP["give_up"])
def send(file: Path, *, key_file: Path | None, give_up: str, shape: str | None, **asked: Any) -> None:
    """Send the lines of a file to a citywatch, each once.

    SOURCE is NDJSON or CSV, also .gz. Lines that cannot be sent, or that are refused, are kept beside the file with
    their reasons. Called again, it goes on where it stopped. To a topic of Kafka go the events that the lines mean,
    each with its device as key. For PCs without citywatch there is the same in one file:
    see "Send from an old PC" in the documentation.
    """
    from citywatch.errors import CitywatchError, UsageError
    from citywatch.sender.command import key_from, run, seconds
    from citywatch.sender.problems import SendError
    from citywatch.sender.sending import Options

    try:
        key = key_from(key_file, dict(os.environ))
        options = Options(file, key=key, give_up=seconds(give_up), version=__version__, **asked)
        door = _topic(options, shape)
    except SendError as error:
        raise (UsageError if error.code == 2 else CitywatchError)(str(error)) from error
    raise SystemExit(run(options, door))


def _topic(options: Options, shape: str | None) -> Receiver | None:
    """The topic that is meant, when it is one. Raises UsageError."""
    from citywatch.connections.kafka.address import is_topic
    from citywatch.errors import UsageError

    if not is_topic(options.to):
        if shape is not None:
            raise UsageError("--as is for topics of Kafka; a citywatch takes the lines as they are", hint="--mapping")
        return None
    from citywatch.cli.topic_door import TopicDoor

    return TopicDoor(options.to, options.file, options.mapping, shape)
