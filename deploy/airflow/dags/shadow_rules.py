"""Every night: what rules that are not in use yet would have raised the day before. Nobody is told of it."""

# Airflow reads only files in which its name stands, and DAG.
from citywatch_cli import schedule, written

with schedule("shadow_rules", "0 0 * * *", says="Back-test rules in shadow") as dag:
    written(
        "backtest",
        'rules backtest "${CITYWATCH_SHADOW:?names the rules to try}" --from "$FROM" --to "$TO" --format ndjson',
        "shadow.ndjson",
    )
