"""`citywatch simulate`: the events of a simulated city on standard output, or to a citywatch."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from queue import Queue
from typing import TYPE_CHECKING, Any

import click

from citywatch.sender.command import HELP

if TYPE_CHECKING:
    import pyarrow as pa

    from citywatch.mappings.model import Mapping
    from citywatch.records.chunk import Chunk


@click.command()
@click.argument("world", type=click.Choice(["city", "cctv", "sensors", "drones"]))
@click.option("--rate", metavar="N", help="Events a second of simulated time (50).")
@click.option("--seed", metavar="N", help="The same seed gives the same events (1).")
@click.option("--duration", metavar="D", help="How much time to simulate: 10m, 1h, 1d. Without it, never ends.")
@click.option("--count", type=click.IntRange(1), metavar="N", help="End after so many messages.")
@click.option("--start", metavar="TIME", help="When it begins, RFC 3339 or now. With --duration 2026-05-01T12:00:00Z.")
@click.option("--history", metavar="D", help="Begin so much earlier, at one event a second.")
@click.option("--images", metavar="N", help="At most so many violations a second have a picture (2); 0 for none.")
@click.option("--speed", metavar="X", help="Simulated seconds a second: 1 without --duration, else as fast as it can.")
@click.option("--truth", metavar="FILE", help="Write what was planted, for every alert that is to come: NDJSON.")
@click.option(
    "--as",
    "shape",
    metavar="MAPPING",
    help="Write in another shape: prestacop, safety-watcher, nyc-tickets, …, or that of your own mapping.yaml.",
)
@click.option(
    "--to",
    metavar="URL",
    help="Send them to the citywatch at this address, or to kafka://host/TOPIC, instead of printing them.",
)
@click.option("--key-file", type=click.Path(path_type=Path), help=HELP["key_file"])
def simulate(
    world: str,
    *,
    shape: str | None,
    to: str | None,
    key_file: Path | None,
    count: int | None,
    **options: str | None,
) -> None:
    """Print the events of a simulated city: CloudEvents, one a line.

    The lines are in the order in which they are received. A few are late, sent twice, or broken. With --as, events for
    which the older system has no message are left out, and broken lines with them.

    With --to they go to another citywatch over HTTP, in the pace of a clock and from now on, unless --speed and --start
    say otherwise; what has no answer is sent again.
    """
    from citywatch.cli.topics import shape_of
    from citywatch.connections.kafka.address import is_topic
    from citywatch.sources.simulator.simulation import simulation
    from citywatch.sources.simulator.source import SimulatedCity
    from citywatch.sources.simulator.text import block

    mapping = None if shape is None else shape_of(shape)
    written = _as_it_is if mapping is None else messages_of(mapping)
    told = {name: text for name, text in options.items() if text is not None}
    source = SimulatedCity(world, simulation(world, {"start": "now", "speed": "1", **told} if to else told))
    messages = _at_most(count, (written(chunk) for chunk in _made_ahead(source.chunks())))
    if to is not None and is_topic(to):
        _produce(messages, to, mapping)
        return
    if to is not None:
        _post(messages, to, mapping, key_file)
        return
    with _gone_reader_is_no_error():
        if header := _header(mapping):
            sys.stdout.buffer.write(f"{header}\n".encode())
        for lines in messages:
            sys.stdout.buffer.write(block(lines))
            sys.stdout.buffer.flush()


def _made_ahead(chunks: Iterator[Chunk]) -> Iterator[Chunk]:
    """The chunks, each as soon as it is there: the next ones are made while one is written."""
    made: Queue[Chunk | Exception | None] = Queue(maxsize=2)

    def make() -> None:
        try:
            for chunk in chunks:
                made.put(chunk)
        except Exception as error:
            made.put(error)
        made.put(None)

    threading.Thread(target=make, name="simulation", daemon=True).start()
    while (chunk := made.get()) is not None:
        if isinstance(chunk, Exception):
            raise chunk
        yield chunk


def _at_most(count: int | None, chunks: Iterable[pa.Array[Any]]) -> Iterator[pa.Array[Any]]:
    """The first `count` messages; None: all."""
    left = sys.maxsize if count is None else count
    for chunk in chunks:
        yield chunk[:left]
        left -= len(chunk)
        if left <= 0:
            return


def _post(chunks: Iterable[pa.Array[Any]], to: str, mapping: Mapping | None, key_file: Path | None) -> None:
    """Send the lines until the simulation or somebody ends it, then say what became of them."""
    from citywatch.cli.posting import Posting
    from citywatch.errors import UsageError
    from citywatch.sender.command import key_from
    from citywatch.sender.problems import SendError

    try:
        key = key_from(key_file, dict(os.environ))
    except SendError as error:
        raise UsageError(str(error)) from error
    with Posting(to, mapping.name if mapping else "", key, header=_header(mapping)) as posting:
        try:
            for lines in chunks:
                posting.post([line for line in lines.to_pylist() if line])
        except KeyboardInterrupt:
            pass  # the end of a simulation that has none
        finally:
            click.echo(f"citywatch: {posting.posted}", err=True)


def _produce(chunks: Iterable[pa.Array[Any]], to: str, mapping: Mapping | None) -> None:
    """Write the lines into a topic, the device of each as its key, until the simulation or somebody ends it."""
    from citywatch.cli.topics import key_of, patiently, refuse_rows, topic_of
    from citywatch.connections.kafka import configuration

    refuse_rows(mapping)
    address, count = topic_of(to, mapping.name if mapping else None), 0
    from citywatch.connections.kafka.producing import Outgoing, Producing

    with Producing(address.servers, configuration.properties(address.configuration)) as producing:
        try:
            for lines in chunks:
                messages = [Outgoing(key_of(line), line.encode()) for line in lines.to_pylist() if line]
                count += len(messages) - len(patiently(producing, address.topics[0], messages))
        except KeyboardInterrupt:
            pass  # the end of a simulation that has none
        finally:
            click.echo(f"citywatch: {count:,} messages written to {address.topics[0]}", err=True)


def _header(mapping: Mapping | None) -> str | None:
    """The line above all others, where the messages of a shape are rows of CSV that have one."""
    return mapping.returns.header if mapping and mapping.returns else None


def _as_it_is(chunk: Chunk) -> pa.Array[Any]:
    import pyarrow as pa

    return chunk.records["raw"].combine_chunks().cast(pa.string())


def messages_of(mapping: Mapping) -> Callable[[Chunk], pa.Array[Any]]:
    """What turns a chunk into messages of another shape."""
    from citywatch.mappings.parse import Parser
    from citywatch.mappings.render import Renderer
    from citywatch.settings import Settings

    parser, render = Parser(Settings()), Renderer(mapping)
    wanted = _wanted(mapping)
    return lambda chunk: render(parser.parse(wanted(chunk)).events).drop_null()


def _wanted(mapping: Mapping) -> Callable[[Chunk], Chunk]:
    """What leaves out the lines of types for which the shape has no word, unread: mostly that is most of a city."""
    from citywatch.mappings.admitted import admitted_types

    types = admitted_types(mapping.returns.when.sql) if mapping.returns else None
    if types is None:
        return lambda chunk: chunk
    pattern = f'"source":"[^"]*","type":"({"|".join(map(re.escape, sorted(types)))})"'  # as the simulator writes it

    def wanted(chunk: Chunk) -> Chunk:
        import pyarrow.compute as pc

        return replace(chunk, records=chunk.records.filter(pc.match_substring_regex(chunk.records["raw"], pattern)))

    return wanted


@contextlib.contextmanager
def _gone_reader_is_no_error() -> Iterator[None]:
    """`citywatch simulate city | head` ends quietly, and so does Ctrl-C."""
    try:
        yield
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left in the buffer has nowhere to go
    except KeyboardInterrupt:
        pass
