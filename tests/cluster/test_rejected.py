"""The topic of rejected records: told of each, once by its id, and read again when the cause is mended."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from citywatch.cli.refusals import LARGEST
from tests.cluster.running import Run, citywatch, refused
from tests.cluster.topics import Cluster, Sent

pytestmark = pytest.mark.cluster


def event(number: int, **data: Any) -> str:
    """An event of a camera."""
    at = f"2026-05-01T12:00:{number:02d}Z"
    head = {"specversion": "1.0", "id": str(number), "source": "c", "type": "camera.event", "time": at}
    return json.dumps({**head, "receivedat": at, "data": {"device_id": "c1", **data}}, ensure_ascii=False)


OLD = event(7, address="Café").encode("cp1252")
SENT: list[Sent] = [event(1), OLD, event(2), event(3, lat=160), b"\xff\x00", event(4)]


def told(cluster: Cluster, topic: str) -> dict[str | None, Any]:
    """Key -> what the topic says."""
    return {key: json.loads(value) for key, value in cluster.messages(topic)}


def test_what_a_run_rejects_goes_to_a_topic_also_when_it_was_rejected_while_nobody_told_it(
    cluster: Cluster, tmp_path: Path
) -> None:
    topic, rejected, data = cluster.make(), cluster.make(), tmp_path / "data"
    cluster.send(topic, SENT)
    with Run(data, cluster.url(topic)) as run:
        run.wait_for(len(SENT))
        run.end(signal.SIGKILL)
    again = ("--rejected-to", cluster.url(rejected))
    with Run(data, cluster.url(topic), *again) as run:
        run.wait(lambda: len(told(cluster, rejected)) == 3)
        cluster.send(topic, ["no JSON", event(5), "{" + "x" * LARGEST])
        run.wait_for(len(SENT) + 3)
        run.end(signal.SIGINT)
    found = told(cluster, rejected)
    assert sorted((row["source"], row["line"], row["reason"]) for row in found.values()) == refused(data)
    assert all(key == row["id"] for key, row in found.items())
    assert {row["line"]: row.get("raw") for row in found.values()} == {
        1: None,
        3: event(3, lat=160),
        4: None,
        6: "no JSON",
        8: "{" + "x" * (LARGEST - 1),
    }


def test_rejected_records_of_a_topic_become_events_of_another_when_they_can_be_read(
    cluster: Cluster, tmp_path: Path
) -> None:
    topic, rejected, mended = cluster.make(), cluster.make(), cluster.make()
    cluster.send(topic, SENT)
    with Run(tmp_path / "one", cluster.url(topic), "--rejected-to", cluster.url(rejected)) as run:
        run.wait(lambda: len(told(cluster, rejected)) == 3)
    cluster.send(rejected, ["nothing of ours"])
    citywatch("run", "/dev/null", "--once", "--data", tmp_path / "two")

    from_ = ("rejected", "replay", "--encoding", "cp1252", "--from", cluster.url(rejected), "--data", tmp_path / "two")
    sent = citywatch(*from_, "--to", cluster.url(mended))
    assert json.loads(sent.stdout) == {"replayed": 3, "read": 1, "rejected": 2, "sent": 1}
    assert "1 messages hold no whole rejected record" in sent.stderr
    ((key, value),) = cluster.messages(mended)
    assert (key, json.loads(value)["data"]["address"]) == ("c1", "Café")

    here = json.loads(citywatch(*from_).stdout)
    assert (here["events"], here["duplicates"]) == (1, 0)
    assert json.loads(citywatch(*from_).stdout)["duplicates"] == 1


def test_what_a_topic_does_not_take_stays_rejected(cluster: Cluster, tmp_path: Path) -> None:
    head = '{"specversion": "1.0", "id": "%s", "source": "c1", "type": "camera.object", "data": {"address": "%s"}}\n'
    (tmp_path / "large.ndjson").write_bytes((head % (1, "é") + head % (2, "é" * 9_000)).encode("cp1252"))
    data, topic = tmp_path / "data", cluster.make(max_message_bytes="1000", compression_type="uncompressed")
    citywatch("run", tmp_path / "large.ndjson", "--once", "--data", data)
    replay = ("rejected", "replay", "--encoding", "cp1252", "--data", data)
    sent = citywatch(*replay, "--to", cluster.url(topic))
    assert sent.returncode == 1
    assert f"{topic} does not take 1 events" in sent.stderr
    assert json.loads(citywatch(*replay).stdout)["read"] == 2
