"""Every night, where $CITYWATCH_SHADOW names rules that are not in use yet: what they would have raised the day before.

Nobody is told of it.
"""

# Airflow reads only files in which its name stands, and DAG.
import os

from citywatch_cli import schedule, written

if os.environ.get("CITYWATCH_SHADOW"):
    with schedule("shadow_rules", "0 0 * * *", says="Back-test rules in shadow") as dag:
        written(
            "backtest",
            'rules backtest "$CITYWATCH_SHADOW" --from "$FROM" --to "$TO" --format ndjson',
            "shadow.ndjson",
        )
