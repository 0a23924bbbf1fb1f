"""`citywatch run` that dies at the worst moment: `python -m tests.mqtt.crash before|after N ADDRESS DATA`.

It kills itself when it commits its Nth submission: before anything is on the disk, or after, when the
broker does not know.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from citywatch.cli import main
from citywatch.engine.embedded import live
from citywatch.engine.embedded.intake import Intake
from citywatch.sources import inbox


def kill_at(moment: str, number: int) -> None:
    """Let this process end as by a power cut in the commit of its submission `number`."""
    commit, submitted = Intake.commit, 0
    # So that sixty messages are several submissions; those that wait for each other are one commit.
    live._GATHER_ROWS = inbox.GATHER_ROWS = 20

    def dying(intake: Intake, submissions: Any) -> Any:
        nonlocal submitted
        submitted += len(submissions)
        if submitted >= number and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        made = commit(intake, submissions)
        if submitted >= number:
            os.kill(os.getpid(), signal.SIGKILL)
        return made

    Intake.commit = dying  # type: ignore[method-assign, assignment] # that is what this is for


if __name__ == "__main__":
    kill_at(sys.argv[1], int(sys.argv[2]))
    main(["run", sys.argv[3], "--data", sys.argv[4]])
