"""What the DAGs have in common: each task runs one command of citywatch for the interval that it is run for.

Where things are comes from the environment of Airflow's workers, secrets from files that it names:

    CITYWATCH               the command (default: citywatch, on PATH)
    CITYWATCH_DATA          data directory
    CITYWATCH_KAFKA         host:port of Kafka (default: localhost:9092)
    CITYWATCH_REPORTS       directory that reports are written to (default: reports in the data directory)
    CITYWATCH_SHADOW        rules that are tried in shadow, as `rules backtest` takes them (default: there are none)
    CITYWATCH_ARCHIVE       address of an archive, hdfs://… (default: there is none)
    CITYWATCH_ARCHIVE_KEEP  how long it keeps what, as `retention apply --keep`, with spaces between (default: for ever)
    CITYWATCH_ZONE          the city's time zone: its days are reported (default: America/New_York)
    CITYWATCH_SCHEDULES     day from which on there are intervals (default: 2026-01-01)
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG
from airflow.timetables.interval import CronDataIntervalTimetable

START = datetime.fromisoformat(os.environ.get("CITYWATCH_SCHEDULES", "2026-01-01")).replace(tzinfo=UTC)

ZONE = os.environ.get("CITYWATCH_ZONE", "America/New_York")

FROM = "{{ data_interval_start.strftime('%Y-%m-%dT%H:%M:%SZ') }}"
DAY = f"{{{{ data_interval_start.in_timezone('{ZONE}').strftime('%Y-%m-%d') }}}}"
TO = "{{ data_interval_end.strftime('%Y-%m-%dT%H:%M:%SZ') }}"

_PLACES = """
set -euo pipefail
citywatch() { command ${CITYWATCH:-citywatch} "$@"; }
KAFKA=${CITYWATCH_KAFKA:-localhost:9092}
REPORTS=${CITYWATCH_REPORTS:-${CITYWATCH_DATA:-citywatch-data}/reports}
"""


def schedule(name: str, cron: str, *, says: str, paused: bool = False, **more: Any) -> DAG:
    """A DAG that runs once for each interval of `cron` in the city's zone; days that were missed are run by hand."""
    return DAG(
        name,
        description=says,
        schedule=CronDataIntervalTimetable(cron, timezone=ZONE),
        start_date=START,
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=paused,
        default_args={"retries": 2, "retry_delay": timedelta(minutes=1), "execution_timeout": timedelta(hours=2)},
        tags=["citywatch"],
        **more,
    )


def command(name: str, script: str, **more: Any) -> BashOperator:
    """A task. `script` has $KAFKA, $REPORTS, and $FROM and $TO, the interval; nothing of it is put into the text."""
    interval: Mapping[str, str] = {"FROM": FROM, "TO": TO, "DAY": DAY}
    return BashOperator(
        task_id=name, bash_command=f"{_PLACES}{script.strip()}\n", env=dict(interval), append_env=True, **more
    )


def written(name: str, words: str, file: str) -> BashOperator:
    """A task whose answer is a file, whole or not there; written anew when the day is run again.

    What an attempt has left that was killed goes with the next one.
    """
    return command(
        name,
        f"""
mkdir -p "$REPORTS/$DAY"
rm -f "$REPORTS/$DAY/.{file}".*
citywatch {words} > "$REPORTS/$DAY/.{file}.$$"
mv "$REPORTS/$DAY/.{file}.$$" "$REPORTS/$DAY/{file}"
""",
    )
