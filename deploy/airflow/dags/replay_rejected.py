"""Every hour: rejected records are read again, for a mapping may have been mended; each becomes an event once."""

# Airflow reads only files in which its name stands, and DAG.
from citywatch_cli import command, schedule

with schedule("replay_rejected", "15 * * * *", says="Read rejected records again") as dag:
    command("replay", "citywatch rejected replay")
