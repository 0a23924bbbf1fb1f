"""`citywatch spark report`: a question asked of an archive by many workers at once."""

from __future__ import annotations

from typing import Unpack

import click

from citywatch.cli.report import Words, answer, question_options, truth_of
from citywatch.cli.spark_session import conf_option, given_properties, master_option, require_spark, spark_session


@click.command()
@click.argument("name")
@click.option("--data", required=True, metavar="ADDRESS", help="hdfs://namenode:8020/directory, or file:///directory.")
@question_options
@master_option
@conf_option
def report(*, name: str, data: str, master: str | None, settings: tuple[str, ...], **words: Unpack[Words]) -> None:
    """Answer the named question from an archive, with the rows of `citywatch report`.

    Each worker reads some of the files, and says what the question needs of them.
    """
    require_spark()
    from citywatch.analytics.question import question
    from citywatch.cli.elsewhere import asked_of, connected
    from citywatch.engine.spark.asking import Workers
    from citywatch.stores.archive.manifest import Archive
    from citywatch.stores.archive.reading import Reader, create_view

    question(name)
    archive, properties = Archive(data), given_properties(settings)
    with connected() as con:
        reader = Reader(archive, con)
        create_view(con, archive, [], reader.zone)
        with spark_session(master, properties) as session:
            workers = Workers(session, archive, reader.events(), reader.zone)
            opened = asked_of(reader, con, lambda found: truth_of(words["truth"], found), workers)
            answer((opened, None), name, data, **words)
