"""Every night, about the day before: reports, and whether data and directory are well. Files of a day are made anew."""

# Airflow reads only files in which its name stands, and DAG.
from citywatch_cli import command, schedule, written

REPORTS = ("alerts", "mean-age", "repeat-persons", "reports-by-timeframe", "tickets-by-code", "fleet")

with schedule("nightly_reports", "0 0 * * *", says="Reports and data quality of a day") as dag:
    quality = written(
        "data-quality", 'report data-quality --from "$FROM" --to "$TO" --format json', "data-quality.json"
    )
    for name in REPORTS:
        written(name, f'report {name} --from "$FROM" --to "$TO" --format json', f"{name}.json")
    quality >> command("doctor", "citywatch doctor")
