"""Delivery in the background: one thread decides who is told of each new alert, and one for each receiver tells it.

What is to be told stands in the outbox before anything is sent, and what a message holds is fixed before it is sent. A
receiver that hangs, refuses or is gone stops nobody but itself.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from citywatch.delivery import Planned
from citywatch.notify.beat import Beat
from citywatch.notify.lane import AGAIN, Lane
from citywatch.notify.matching import again, deliveries, seen
from citywatch.notify.outbox import City, Host, Outbox
from citywatch.notify.route import Routes, Target
from citywatch.wording import micros

HEARTBEAT = "heartbeat"

LOOK = 0.05
"""Seconds between two looks for new alerts; a look without news takes microseconds."""

PAGE = 500


class Deliverer:
    """Decides who is told of each alert that notifies, and keeps a lane for each receiver."""

    def __init__(self, routes: Routes, city: City, host: Host) -> None:
        self._routes = routes
        self._city, self._host = city, host
        self._lanes: dict[str, Lane | Beat] = {}
        self._ended: list[Lane | Beat] = []
        self._stop = threading.Event()
        self._changed = True
        self._thread = threading.Thread(target=self._run, name="deliveries", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def replace(self, routes: Routes) -> None:
        """Use other routes from the next alert on; what is planned already stays with its receiver."""
        self._routes = routes
        self._changed = True

    def stop(self, within: float = 3.0) -> bool:
        """Plan and send what is there, and end; False when some receiver was not through in time.

        What is left is in the outbox, and is sent when a deliverer runs here next.
        """
        until = time.monotonic() + within
        self._stop.set()
        self._thread.join(within)
        lanes = [*self._lanes.values(), *self._ended]
        for lane in lanes:
            lane.end()
        ended = [lane.ended(max(until - time.monotonic(), 0.0)) for lane in lanes]
        return all(ended)

    def _run(self) -> None:
        while True:
            try:
                with self._host.outbox() as outbox:
                    self._watch(outbox)
                    return
            except Exception as error:  # whatever it is, it must not end deliveries for good in silence
                self._host.say(f"deliveries wait: {error}")
            if self._stop.wait(AGAIN):
                return

    def _watch(self, outbox: Outbox) -> None:
        """Plan what comes, until the end."""
        last = None
        while True:
            ending = self._stop.is_set()
            if self._changed:
                self._take_over(outbox)
            if (there := outbox.seen()) != last:
                self._plan(outbox)
                last = there
            if ending:
                return
            self._stop.wait(LOOK)

    def _take_over(self, outbox: Outbox) -> None:
        """Let there be a thread for each receiver of the present routes."""
        self._changed = False
        wanted = self._routes.targets
        before, self._lanes = self._lanes, {}
        for lane in before.values():
            lane.quit()
        self._ended = [lane for lane in [*self._ended, *before.values()] if not lane.ended(0.0)]
        outbox.withdraw([name for name, target in wanted.items() if target.kind != HEARTBEAT])
        for name, target in wanted.items():
            after = next((lane for lane in reversed(self._ended) if lane.target.name == name), None)
            self._lanes[name] = self._opened(target, after)
            self._lanes[name].start()

    def _opened(self, target: Target, after: Lane | Beat | None) -> Lane | Beat:
        if target.kind == HEARTBEAT:
            return Beat(target, self._host)
        return Lane(target, lambda: self._routes, self._city, self._host, after=after)

    def _plan(self, outbox: Outbox) -> None:
        """Decide who is told of new alerts and of those whose level rose, and who again of what stands elsewhere."""
        while found := outbox.to_plan(PAGE):
            now, routes = self._host.now(), self._routes
            planned = [row for fact, alert in found for row in self._decided(fact, alert, routes, now)]
            outbox.plan(planned, upto=found[-1][0], now=now)
            self._wake({row.target for row in planned})
        now, routes = self._host.now(), self._routes
        if found := outbox.risen(now=now):
            planned = [row for fact, alert in found for row in self._decided(fact, alert, routes, now)]
            outbox.plan_risen(planned, [fact for fact, _ in found])
            self._wake({row.target for row in planned})
        following = routes.following()
        if outbox.follow(following, lambda way: again(way, routes, at=now, zone=self._city.zone), now=now):
            self._wake(set(following))

    def _wake(self, names: set[str]) -> None:
        for name in names & self._lanes.keys():
            if isinstance(lane := self._lanes[name], Lane):
                lane.wake()

    def _decided(self, fact: int, alert: dict[str, Any], routes: Routes, now: int) -> list[Planned]:
        if now - micros(alert["first_seen"]) > self._city.live:
            return []
        return deliveries(fact, seen(alert, self._city, at=now), routes, at=now)
