"""The thread of one receiver: it makes messages of what is due within the receiver's bound, and sends one at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

from citywatch.delivery import Envelope, Room
from citywatch.errors import DeliveryError, MessageRefusedError, TargetRefusedError
from citywatch.masking import masked
from citywatch.notify.matching import again
from citywatch.notify.message import Message
from citywatch.notify.outbox import City, Host, Outbox
from citywatch.notify.route import Route, Routes, Target
from citywatch.settings import SECOND

AGAIN = 1.0
"""Seconds until a receiver that may be sent no more messages now is looked at again."""

IDLE = 2.0
"""Seconds at most between two looks of a receiver's thread: people bring back what was given up without waking it."""


SHOWN = 100
"""Alerts at most that a digest carries."""


class Ending(Protocol):
    """A thread that will end."""

    def ended(self, within: float | None) -> bool:
        """Wait for it."""
        ...


class Lane:
    """The thread of one receiver. `after` is the one before it: two threads never tell the same receiver."""

    def __init__(
        self, target: Target, routes: Callable[[], Routes], city: City, host: Host, *, after: Ending | None = None
    ) -> None:
        self.target = target
        self._routes, self._city, self._host = routes, city, host
        self._after = after
        self._news = threading.Event()
        self._ending = self._quitting = False
        self._thread = threading.Thread(target=self._run, name=f"deliver to {target.name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """There is something new."""
        self._news.set()

    def end(self) -> None:
        """Send what is due now, then end."""
        self._ending = True
        self._news.set()

    def quit(self) -> None:
        """End after what is being sent."""
        self._quitting = True
        self.end()

    def ended(self, within: float | None) -> bool:
        """Wait for it, at most so many seconds."""
        self._thread.join(within)
        return not self._thread.is_alive()

    def _run(self) -> None:
        if self._after is not None:
            self._after.ended(None)
        while True:
            try:
                with self._host.outbox() as outbox:
                    self._serve(outbox)
                    return
            except Exception as error:  # whatever it is, it must not end deliveries for good in silence
                self._host.say(f"deliveries to {self.target.name} wait: {error}")
            if self._ending:
                return
            time.sleep(AGAIN)

    def _serve(self, outbox: Outbox) -> None:
        while not self._quitting:
            self._news.clear()
            rest = self.turn(outbox)
            if rest > 0:
                if self._ending:
                    return
                self._news.wait(rest)

    def turn(self, outbox: Outbox) -> float:
        """Send one message, if one may be sent; returns the seconds until there is something to do."""
        now, name = self._host.now(), self.target.name
        _, until = outbox.pause(name)
        if now < until:
            return min((until - now) / SECOND, IDLE)
        outbox.compose(name, self._room(outbox, now), bundle=self.target.bundle, now=now)
        envelope = outbox.outgoing(name, most=max(SHOWN, self.target.bundle), now=now)
        if envelope is None:
            due = outbox.next_due(name)
            return IDLE if due is None else min(max((due - now) / SECOND, AGAIN), IDLE)
        self._send(outbox, envelope)
        return 0.0

    def _room(self, outbox: Outbox, now: int) -> Room:
        rate = self.target.rate
        if rate is None:
            return Room()
        together = self.target.notifier.TOGETHER
        urgent, others = outbox.messages_since(self.target.name, now - rate.window)
        return Room(max(rate.messages - urgent, 0), max(rate.messages - others, 0), together)

    def _send(self, outbox: Outbox, envelope: Envelope) -> None:
        try:
            self._check(envelope)
            note = self.target.notifier.send(self._opened(outbox, envelope))
        except DeliveryError as error:
            self._put_off(outbox, envelope, error)
        except Exception as error:  # a fault in a notifier stops no other message; it is shown as what it is
            self._put_off(outbox, envelope, DeliveryError(f"{type(error).__name__}: {error}"))
        else:
            self._sent(outbox, envelope, note)

    def _sent(self, outbox: Outbox, envelope: Envelope, note: str) -> None:
        now, routes = self._host.now(), self._routes()
        follow = {route: routes.follow(self.target.name, route) for _, route in envelope.enclosed}
        due = lambda way: again(way, routes, at=now, zone=self._city.zone)  # noqa: E731 - it is only handed on
        outbox.sent(envelope, note=note, follow=follow, due=due, now=now)

    def _check(self, envelope: Envelope) -> None:
        if not envelope.enclosed:
            raise MessageRefusedError("its alerts are no longer kept")
        if envelope.attempts and self._host.now() - envelope.made > self._host.patience.give_up:
            raise MessageRefusedError("it was tried for too long")

    def _put_off(self, outbox: Outbox, envelope: Envelope, error: DeliveryError) -> None:
        now, patience, name = self._host.now(), self._host.patience, self.target.name
        failures, _ = outbox.pause(name)
        if failures == 0 or isinstance(error, MessageRefusedError):
            self._host.say(f"{name} could not be told of {envelope.alerts:,} alert(s): {error}")
        if isinstance(error, MessageRefusedError):
            outbox.give_up(envelope, str(error), now=now)
            return
        refused = isinstance(error, TargetRefusedError)
        wait = patience.wait_refused() if refused else patience.wait(failures + 1)
        until = now + max(wait, int((error.retry_after or 0) * SECOND))
        due = now + (0 if refused else patience.wait(envelope.attempts + 1))
        outbox.put_off(envelope, str(error), due=due, until=until, refused=refused, now=now)

    def _opened(self, outbox: Outbox, envelope: Envelope) -> Message:
        """The message as it is handed over: masked, unless the route of an alert gives a purpose, which is recorded."""
        routes = self._routes()
        alerts = []
        for alert, name in envelope.enclosed:
            route = routes.route(name)
            alerts.append(alert if route and route.reveal else masked(alert))
            if route and route.reveal and not envelope.attempts:
                self._record(outbox, alert["id"], route)
        return Message(
            key=envelope.key,
            kind=envelope.kind,
            alerts=alerts,
            total=envelope.alerts,
            rules=envelope.rules,
            zone=self._city.zone,
            at=self._host.now(),
            made=envelope.made,
            earlier=envelope.earlier,
            before=envelope.before,
            page=routes.page,
            runbooks={rule: words for rule in envelope.rules if (words := self._city.runbook(rule))},
        )

    def _record(self, outbox: Outbox, alert: str, route: Route) -> None:
        what = f"told {self.target.name} by route {route.name}"
        outbox.audit("citywatch", what, alert=alert, purpose=route.reveal)
