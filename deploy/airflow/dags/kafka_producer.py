"""100 person reports every five minutes, simulated, to the topic `users`; paused at first, as in the older system.

The seed and the time are those of the interval: one that is run again sends the same reports, with the same ids.
"""

# Airflow reads only files in which its name stands, and DAG.
from citywatch_cli import command, schedule

with schedule("kafka_producer", "*/5 * * * *", says="Simulated person reports, to the topic users", paused=True) as dag:
    command(
        "produce",
        """
citywatch simulate cctv --as safety-watcher --rate 20 --images 0 --duration 5m --count 100 --speed 1000 \\
    --start "$FROM" --seed "$(date -ud "$FROM" +%s)" --to "kafka://$KAFKA/users"
""",
    )
