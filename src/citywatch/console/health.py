"""For programs that look after this one: `/healthz`, open to all, and `/metrics`. Neither shows who anybody is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe
from ninja.errors import HttpError

from citywatch import __version__
from citywatch.console.access import Scope
from citywatch.console.api.access import allowed
from citywatch.console.api.problems import problem
from citywatch.console.port import DeskPort, GalleryPort
from citywatch.console.presentation import engine_state
from citywatch.console.site import current
from citywatch.delivery import Standing
from citywatch.exposition import age, family, stores


@login_not_required
@require_safe
def healthz(_request: HttpRequest) -> HttpResponse:
    """200 while the desk can be read; says what the engine last said of itself."""
    with current().desk() as desk:
        engine = engine_state(desk)
    word = "running" if engine.running else "stopped"
    return JsonResponse({"status": "ok", "engine": word, "version": __version__})


@login_not_required
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus text format, for a session or a key with that scope; errors are problem details."""
    try:
        allowed(request, Scope.METRICS_READ)
    except HttpError as error:
        return problem(error.status_code, str(error))
    with current().desk() as desk:
        text = "".join((*exposition(desk), *_images(current().gallery)))
    return HttpResponse(text, content_type="text/plain; version=0.0.4; charset=utf-8")


def exposition(desk: DeskPort) -> Iterator[str]:
    """The lines of `/metrics` that the desk knows."""
    engine = engine_state(desk)
    records = [({"outcome": name}, count) for name, count in engine.counts.items()]
    yield from family("citywatch_records_total", "counter", "Input records by what became of them.", records)
    raised = [({"rule": r, "level": lv, "status": s}, n) for r, lv, s, n in desk.tallies()]
    yield from family("citywatch_alerts_total", "counter", "Alerts raised.", raised)
    states = [({"state": state}, count) for state, count in desk.state_counts().items()]
    yield from family("citywatch_alerts", "gauge", "Alerts by state.", states)
    tickets = [({"state": state}, count) for state, count in desk.proposal_counts().items()]
    yield from family("citywatch_tickets", "gauge", "Tickets and proposals for them, by state.", tickets)
    waiting = desk.rejected_count()
    yield from family("citywatch_rejected_waiting", "gauge", "Rejected records nobody replayed.", [({}, waiting)])
    yield from family("citywatch_events_waiting", "gauge", "Events the rules have not seen.", [({}, engine.waiting)])
    if engine.unread:
        unread = [({"source": log, "partition": part}, count) for (log, part), count in engine.unread.items()]
        yield from family("citywatch_source_lag", "gauge", "Records of a log that are not read yet.", unread)
    if standings := desk.standings():
        yield from _deliveries(standings)
    if kept := desk.status().get("stores"):
        yield from stores(kept)
    lag: list[tuple[dict[str, str], Any]] = [({}, engine.lag)] if engine.lag is not None else []
    yield from family("citywatch_clock_lag_seconds", "gauge", "Clock behind real time.", lag)
    up = int(engine.running)
    yield from family("citywatch_engine_up", "gauge", "1 while the engine reports.", [({}, up)])


def _images(gallery: GalleryPort | None) -> Iterator[str]:
    if gallery is not None:
        images, size = gallery.totals()
        yield from family("citywatch_images", "gauge", "Images that are kept.", [({}, images)])
        yield from family("citywatch_image_bytes", "gauge", "Bytes of the images that are kept.", [({}, size)])


def _deliveries(standings: list[Standing]) -> Iterator[str]:
    """By notifier: the names of receivers may be addresses of people."""
    by_notifier: dict[str, list[Standing]] = {}
    for standing in standings:
        by_notifier.setdefault(standing.target.partition("/")[0], []).append(standing)

    def each(value: Callable[[Standing], float], of_all: Callable[[Iterable[float]], float] = sum) -> Any:
        return [({"notifier": name}, of_all(map(value, them))) for name, them in by_notifier.items()]

    now = time.time_ns() // 1000
    for name, kind, meaning, samples in (
        ("waiting", "gauge", "Alerts that wait to be told.", each(lambda s: s.waiting)),
        ("held", "gauge", "Alerts that are held back in quiet hours.", each(lambda s: s.held)),
        ("oldest_seconds", "gauge", "Age of the alert that waits longest.", each(lambda s: age(s.oldest, now), max)),
        ("refused", "gauge", "Receivers that take nothing of ours.", each(lambda s: int(s.refused))),
        ("given_up", "gauge", "Alerts that are not tried any more.", each(lambda s: s.given_up)),
        ("told_total", "counter", "Alerts that were told.", each(lambda s: s.told)),
        ("messages_total", "counter", "Messages that arrived.", each(lambda s: s.sent)),
        ("failures_total", "counter", "Tries that failed.", each(lambda s: s.failed)),
    ):
        yield from family(f"citywatch_delivery_{name}", kind, meaning, samples)
