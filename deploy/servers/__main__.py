"""Servers for a person: `python -m deploy.servers [--data DIR]` starts them, and ends them at Ctrl-C."""

from __future__ import annotations

import argparse
import signal
import sys
from contextlib import ExitStack
from pathlib import Path

from deploy.servers.cassandra_server import ADMINISTRATOR, Cassandra
from deploy.servers.hdfs_server import Hdfs
from deploy.servers.jars import MissingError
from deploy.servers.kafka_server import Kafka
from deploy.servers.server import ServerError


def main() -> int:
    """Start, say where they are, wait."""
    parser = argparse.ArgumentParser(prog="python -m deploy.servers", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(".cache/cluster"), help="where their data goes")
    parser.add_argument("--kafka-port", type=int, default=9092)
    parser.add_argument("--cassandra-port", type=int, default=9042)
    parser.add_argument("--hdfs-port", type=int, default=8020)
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        with ExitStack() as stack:
            kafka = stack.enter_context(Kafka(asked.data.resolve() / "kafka", port=asked.kafka_port))
            print(f"Kafka is at {kafka.address}: citywatch run kafka://{kafka.address}/citywatch.events", flush=True)
            cassandra = stack.enter_context(Cassandra(asked.data.resolve() / "cassandra", port=asked.cassandra_port))
            print(f"Cassandra is at {cassandra.address}, user and password {ADMINISTRATOR}", flush=True)
            hdfs = stack.enter_context(Hdfs(asked.data.resolve() / "hdfs", port=asked.hdfs_port))
            print(f"HDFS is at {hdfs.address}: citywatch archive --to {hdfs.address}/city", flush=True)
            print("Ctrl-C ends it; its data stays", flush=True)
            signal.pause()
    except KeyboardInterrupt:
        return 0
    except (MissingError, ServerError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
