"""What belongs to a checkpoint for ever: the number of shards, the settings that decide alerts, and where it read."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from pyspark.sql import SparkSession

from citywatch.errors import SettingError, StoreError
from citywatch.settings import Settings

_NAME = "citywatch.json"
FORMAT = 1
"""Of the state that the job keeps in Spark's."""


def claim(spark: SparkSession, directory: str, shards: int, settings: Settings) -> None:
    """Make a checkpoint that job's, or check that it is. Raises SettingError, StoreError."""
    decided = {name: getattr(settings, name) for name in ("lateness", "disorder", "stale", "zone")}
    wanted = {"format": FORMAT, "shards": shards, **decided}
    found = _read(spark, directory)
    if found is None:
        _write(spark, directory, wanted)
        return
    for name, value in wanted.items():
        if found.get(name) != value:
            raise SettingError(
                f"the checkpoint {directory} was made with {name} = {found.get(name)}, this run says {value}",
                hint="its state is cut that way: go on as it was made, or begin another checkpoint",
            )


def goes_on(spark: SparkSession, directory: str, source: str, topics: Collection[str]) -> None:
    """Check that a checkpoint has read this source only: topics, or a directory (no topics). Raises StoreError."""
    begun = _begun(spark, directory)
    if not begun or not begun[0]:
        return
    if "logOffset" in begun[0]:
        read = _directories(spark, directory)
        same = not topics and _within(spark, source, read)
    else:
        read = sorted(begun[0])
        same = set(read) <= set(topics)
    if not same:
        raise StoreError(
            f"the checkpoint {directory} has read {', '.join(read) or 'a directory'}; this run would read {source}",
            hint="read all of that again (further topics may come), or begin another checkpoint with --checkpoint",
        )


def _within(spark: SparkSession, source: str, read: Collection[str]) -> bool:
    """Whether directories that were read are those of a source, or below; of a pattern only Spark knows."""
    system, path = _file(spark, source, "x")
    whole = str(path.makeQualified(system.getUri(), system.getWorkingDirectory()).getParent().toString())
    return any(sign in source for sign in "*?[{") or all(f"{one}/".startswith(f"{whole}/") for one in read)


def has_real_time(spark: SparkSession, directory: str) -> bool:
    """Whether ticks are among its sources; at first they were not where the job had an end."""
    return len(_begun(spark, directory)) != 1


def reached(spark: SparkSession, directory: str, topics: Collection[str]) -> list[tuple[str, int, int]]:
    """(topic, partition, offset) up to where the topics were read when the last batch was committed; may be empty."""
    said = _committed(spark, directory)
    found = [(topic, offsets) for one in said for topic, offsets in one.items() if topic in topics]
    return sorted((topic, int(part), offset) for topic, offsets in found for part, offset in offsets.items())


def files_read(spark: SparkSession, directory: str) -> list[tuple[str, int]]:
    """(name, µs of the last change) of the files that were read when the last batch was committed; may be empty."""
    ends = [(n, one["logOffset"]) for n, one in enumerate(_committed(spark, directory)) if "logOffset" in one]
    return sorted({entry for n, end in ends for entry in _files_of(spark, directory, f"sources/{n}", end)})


def _files_of(spark: SparkSession, directory: str, log: str, end: int) -> Iterator[tuple[str, int]]:
    """Entries of Spark's log of the files of one source, up to this batch of it."""
    numbers = _numbers(spark, directory, log)
    # A compacted one has all before it, too.
    start = max((number for number, compact in numbers.items() if compact and number <= end), default=0)
    path = spark._jvm.org.apache.hadoop.fs.Path
    for number in sorted(n for n in numbers if start <= n <= end):
        name = f"{number}.compact" if numbers[number] else str(number)
        for line in _lines(spark, _file(spark, directory, f"{log}/{name}")[1])[1:]:
            entry = json.loads(line)
            yield str(path(spark._jvm.java.net.URI(entry["path"])).toString()), entry["timestamp"] * 1000


def _directories(spark: SparkSession, directory: str) -> list[str]:
    return sorted({name.rpartition("/")[0] for name, _ in files_read(spark, directory)})


def _committed(spark: SparkSession, directory: str) -> list[dict[str, Any]]:
    """What Spark says of each source at the end of the last committed batch; {} of one that it gives a number."""
    return _ends(spark, directory, "commits")


def _begun(spark: SparkSession, directory: str) -> list[dict[str, Any]]:
    """The same of the last batch, committed or not."""
    return _ends(spark, directory, "offsets")


def _ends(spark: SparkSession, directory: str, batches: str) -> list[dict[str, Any]]:
    last = max(_numbers(spark, directory, batches), default=None)
    if last is None:
        return []
    lines = _lines(spark, _file(spark, directory, f"offsets/{last}")[1])
    return [json.loads(line) if line.startswith("{") else {} for line in lines[2:]]


def _numbers(spark: SparkSession, directory: str, name: str) -> dict[int, bool]:
    """Numbers that files of a directory of the checkpoint are called by, and whether that one is compacted."""
    system, path = _file(spark, directory, name)
    if not system.exists(path):
        return {}
    names = [status.getPath().getName().partition(".") for status in system.listStatus(path)]
    return {int(text): end == "compact" for text, _, end in sorted(names) if text.isdigit() and end in ("", "compact")}


def _lines(spark: SparkSession, path: Any) -> list[str]:
    return [str(line) for line in spark.sparkContext.textFile(path.toString(), 1).collect()]


def there(spark: SparkSession, name: str) -> bool:
    """Whether there is a file of this name, which Hadoop wrote."""
    system, path = _file(spark, *name.rsplit("/", 1))
    return bool(system.exists(path))


def _file(spark: SparkSession, directory: str, name: str) -> tuple[Any, Any]:
    """Hadoop's file system and path of a file: local or anywhere that Spark can write."""
    path = spark._jvm.org.apache.hadoop.fs.Path(directory, name)
    return path.getFileSystem(spark._jsc.hadoopConfiguration()), path


def _read(spark: SparkSession, directory: str) -> Mapping[str, Any] | None:
    system, path = _file(spark, directory, _NAME)
    if not system.exists(path):
        return None
    try:
        found: dict[str, Any] = json.loads("\n".join(_lines(spark, path)))
    except ValueError as error:
        raise StoreError(
            f"{path.toString()} cannot be read: {error}", hint="it says how many shards there are"
        ) from error
    return found


def _write(spark: SparkSession, directory: str, content: Mapping[str, Any]) -> None:
    system, path = _file(spark, directory, _NAME)
    _, aside = _file(spark, directory, f"{_NAME}.new")
    out = system.create(aside, True)
    try:
        out.write(bytearray(json.dumps(content).encode()))
    finally:
        out.close()
    if not system.rename(aside, path):
        raise StoreError(f"{path.toString()} cannot be written")
