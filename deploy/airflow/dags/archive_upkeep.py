"""Every hour, where $CITYWATCH_ARCHIVE names an archive: fewer and larger files, and no day that is too old.

Both find nothing to do the second time. An archive keeps everything, unless $CITYWATCH_ARCHIVE_KEEP says how long.
"""

# Airflow reads only files in which its name stands, and DAG.
import os

from citywatch_cli import command, schedule

if os.environ.get("CITYWATCH_ARCHIVE"):
    with schedule("archive_upkeep", "45 * * * *", says="Compact an archive and apply retention to it") as dag:
        compact = command("compact", 'citywatch compact --data "$CITYWATCH_ARCHIVE"')
        if os.environ.get("CITYWATCH_ARCHIVE_KEEP"):
            compact >> command(
                "retention",
                """
read -ra keep <<< "$CITYWATCH_ARCHIVE_KEEP"
citywatch retention apply --data "$CITYWATCH_ARCHIVE" "${keep[@]/#/--keep=}" --format json
""",
            )
