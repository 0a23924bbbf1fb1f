"""Run a program for as long as another process lives: `python watch.py PID DIRECTORY COMMAND...`.

A server of the tests must not outlive them, also when they are killed. SIGTERM and SIGKILL for the program are sent to
it by whoever started this; this ends with it, and gives back its code. DIRECTORY, unless it is empty, is removed when
the other process is gone.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys

_LOOK_S = 1.0


def alive(pid: int) -> bool:
    """Whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def main(pid: int, directory: str, command: list[str]) -> int:
    """Run the command; its return code."""
    with subprocess.Popen(command) as running:
        signal.signal(signal.SIGTERM, lambda *_: running.terminate())
        while True:
            try:
                return running.wait(_LOOK_S)
            except subprocess.TimeoutExpired:
                if not alive(pid):
                    running.kill()
                    running.wait()
                    shutil.rmtree(directory or os.devnull, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2], sys.argv[3:]))
