"""Every night: fewer and larger files, and nothing that is too old. Both find nothing to do the second time."""

# Airflow reads only files in which its name stands, and DAG.
from citywatch_cli import command, schedule

with schedule("upkeep", "30 2 * * *", says="Compact history and apply retention") as dag:
    command("compact", "citywatch compact") >> command("retention", "citywatch retention apply --format json")
