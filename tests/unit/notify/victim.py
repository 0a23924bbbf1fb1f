"""A deliverer in a process of its own, for tests that kill it: `python -m tests.unit.notify.victim DATA TRACE AT`.

It dies after the commit numbered AT (0: never), and ends when nothing waits any more.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tests.e2e.power import Power


def main(data: Path, trace: Path, at: int) -> None:
    power = Power(trace, at)
    power.plug_in()
    from citywatch.notify.deliverer import Deliverer
    from citywatch.notify.outbox import Host
    from citywatch.notify.routes import load_routes
    from citywatch.stores.desk import Desk
    from tests.unit.notify.place import CITY, HASTY

    def desk() -> Desk:
        return Desk(data / "desk.sqlite")

    deliverer = Deliverer(load_routes(data), CITY, Host(desk, print, lambda: None, patience=HASTY))
    deliverer.start()
    with desk() as mine:
        while mine.to_plan() or not mine.standings() or any(found.waiting for found in mine.standings()):
            time.sleep(0.01)
    deliverer.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
