"""The list of alerts, one alert, and what people do with it."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from typing import Any, cast
from urllib.parse import urlencode

from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from citywatch.alert import Action, Level, Outcome, State
from citywatch.console import evidence_map, images, presentation, reveals
from citywatch.console.access import Right
from citywatch.console.people import may
from citywatch.console.port import DeskPort, RuleNotes
from citywatch.console.site import current
from citywatch.errors import AlertError, CitywatchError, UnknownAlertError
from citywatch.masking import masked, words_about
from citywatch.settings import MINUTE
from citywatch.triage import LONGEST_ASSIGNEE, LONGEST_NOTE, Choice, Listed, Wish, correctable
from citywatch.wording import place_in_words

PAGE = 50

SHELVES = ((30, "30 minutes"), (120, "2 hours"), (8 * 60, "8 hours"), (24 * 60, "a day"))


NOTIFYING = ("stable",)
"""Rules in test raise alerts that nobody has to look at: they are shown when one asks for them."""


def choice_of(query: QueryDict) -> Choice:
    """Which alerts the address asks for; what is unknown in it is passed over."""
    return Choice(
        statuses=() if query.get("test") else NOTIFYING,
        states=[state for state in query.getlist("state") if state in set(State)],
        levels=[level for level in query.getlist("level") if level in set(Level)],
        rules=[rule for rule in query.getlist("rule") if rule],
    )


@require_safe
def listing(request: HttpRequest) -> HttpResponse:
    """The alerts that came last, and a stream of those to come."""
    choice = choice_of(request.GET)
    before = request.GET.get("before", "")
    older = int(before) if before.isascii() and before.isdigit() else None
    with current().desk() as desk:
        desk.wake()
        cursor = desk.last_change()
        found = desk.newest(choice, before=older, limit=PAGE + 1)
        context = {
            "rows": [presentation.row(listed) for listed in found[:PAGE]],
            "stream": None if older else "/stream?" + _query(choice, after=cursor),
            "older": "?" + _query(choice, before=found[PAGE - 1].raised) if len(found) > PAGE else None,
            "counts": desk.state_counts(choice.statuses),
            "filters": _filters(choice, desk),
            "choice": choice,
            "first_page": older is None,
            "engine": presentation.engine_state(desk),
            "undelivered": presentation.undelivered(desk.standings()),
        }
    return render(request, "console/list.html", context)


def _query(choice: Choice, **more: Any) -> str:
    tests = () if choice.statuses else ("1",)
    pairs = {"state": choice.states, "level": choice.levels, "rule": choice.rules, "test": tests, **more}
    return urlencode({name: value for name, value in pairs.items() if value not in ((), [])}, doseq=True)


def _filters(choice: Choice, desk: DeskPort) -> dict[str, Any]:
    """For every state and level the address with that one switched."""
    states = [(s, s in choice.states, "?" + _query(_toggled(choice, "states", s))) for s in presentation.STATES]
    levels = [(lv, lv in choice.levels, "?" + _query(_toggled(choice, "levels", lv))) for lv in presentation.LEVELS]
    other = replace(choice, statuses=() if choice.statuses else NOTIFYING)
    tests = {"on": not choice.statuses, "href": "?" + _query(other)}
    return {"states": states, "levels": levels, "rules": desk.rules(), "tests": tests}


def _toggled(choice: Choice, part: str, value: str) -> Choice:
    chosen = list(choice.states if part == "states" else choice.levels)
    chosen.remove(value) if value in chosen else chosen.append(value)
    return replace(choice, states=chosen) if part == "states" else replace(choice, levels=chosen)


@require_safe
def detail(request: HttpRequest, alert: str) -> HttpResponse:
    """One alert: what, where, why, and what to do."""
    with current().desk() as desk:
        return _detail(request, desk, _found(desk, alert))


@require_safe
def news(request: HttpRequest, alert: str) -> HttpResponse:
    """The parts of the page of an alert that change while one looks at it."""
    with current().desk() as desk:
        context = _context(request, desk, _found(desk, alert))
    return render(request, "console/news.html", context)


def _detail(
    request: HttpRequest, desk: DeskPort, listed: Listed, *, error: str | None = None, status: int = 200
) -> HttpResponse:
    context = _context(request, desk, listed)
    context |= {"error": error, "stream": f"/stream?alert={listed.alert['id']}&after={listed.change}"}
    return render(request, "console/detail.html", context, status=status)


def _context(request: HttpRequest, desk: DeskPort, listed: Listed) -> dict[str, Any]:
    revealed = reveals.is_revealed(request, listed.alert["id"])
    alert = listed.alert if revealed else masked(listed.alert)
    history = desk.history(listed.alert["id"])
    if not revealed:
        typed = ("note", "assignee")
        seen = words_about(listed.alert, [{key: done[key] or "" for key in typed} for done in history])
        history = [done | words for done, words in zip(history, seen, strict=True)]
    may_act = may(_user(request), Right.OPERATOR)
    return {
        "alert": alert,
        "listed": listed,
        "row": presentation.row(listed),
        "place": place_in_words(alert),
        "values": presentation.values(alert),
        "evidence": images.with_images(presentation.evidence_rows(alert), listed.alert),
        "correctable": [
            e for e, full in zip(alert["evidence"], listed.alert["evidence"], strict=True) if correctable(full)
        ],
        "map": evidence_map.draw(listed.alert, current().zones),
        "rule": current().rules.get(alert["rule"], RuleNotes()),
        "history": list(reversed(history)),
        "undoable": _undoable(history) if may_act else None,
        "revealed": revealed,
        "may_act": may_act,
        "may_reveal": may(_user(request), Right.REVEAL),
        "purposes": reveals.PURPOSES,
        "outcomes": [o.value for o in Outcome if o is not Outcome.CORRECTED],
        "shelves": SHELVES,
        "closed": alert["state"] == State.CLOSED,
        "engine": presentation.engine_state(desk),
    }


def _undoable(history: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The last action, when a person did it less than a minute ago and it is not undone yet."""
    undone = {entry["undoes"] for entry in history}
    for entry in reversed(history):
        if entry["action"] in ("note", "undo", "unshelve") or entry["seq"] in undone:
            continue
        fresh = time.time() * 1e6 - entry["at"] < MINUTE
        return entry if fresh and entry["channel"] not in ("engine", "event") else None
    return None


@require_POST
def act(request: HttpRequest, alert: str) -> HttpResponse:
    """Do what a form asks for, then show the alert; 409 with the reason when it cannot be done."""
    form = request.POST
    with current().desk() as desk:
        listed = _found(desk, alert)
        if not may(_user(request), Right.OPERATOR):
            return _detail(request, desk, listed, error="You may look at alerts, not work on them.", status=403)
        try:
            expected = int(form["version"]) if form.get("version", "").isdigit() else None
            desk.act(listed.alert["id"], _wish(form, _user(request).get_username()), expected=expected)
        except AlertError as error:
            return _detail(request, desk, _found(desk, alert), error=str(error), status=409)
        except (CitywatchError, ValueError) as error:
            return _detail(request, desk, listed, error=str(error), status=422)
    return redirect("alert", alert=listed.alert["id"])


_LONGEST = {"note": LONGEST_NOTE, "assignee": LONGEST_ASSIGNEE}
"""Characters that a form may bring, as over the API."""


def _wish(form: QueryDict, by: str) -> Wish:
    """What the form asks for; raises ValueError where it is no form of ours."""
    action = Action(form.get("action", ""))
    if long := [name for name, most in _LONGEST.items() if len(form.get(name, "")) > most]:
        raise ValueError(f"{' and '.join(long)}: at most {_LONGEST[long[0]]:,} characters.")
    minutes = form.get("minutes", "")
    until = time.time_ns() // 1000 + int(minutes) * MINUTE if action is Action.SHELVE else None
    source, _, event = form.get("event", "").partition("\n")
    code = form.get("code", "").strip()
    if action is Action.CORRECT and not re.fullmatch(r"\d{1,5}", code):
        raise ValueError("A correction needs the right violation code, a number.")
    return Wish(
        action,
        by=by,
        channel="console",
        outcome=form.get("outcome"),
        assignee=form.get("assignee") or (by if action is Action.ASSIGN else None),
        until=until,
        note=form.get("note", "").strip() or None,
        code=int(code) if code else None,
        event=(source, event.strip()) if event else None,
    )


@require_POST
def reveal(request: HttpRequest, alert: str) -> HttpResponse:
    """Unmask one alert for a while, for a purpose that is recorded."""
    user = _user(request)
    purpose = reveals.purpose(request)
    with current().desk() as desk:
        listed = _found(desk, alert)
        if not may(user, Right.REVEAL):
            return _detail(request, desk, listed, error=reveals.NOT_ALLOWED, status=403)
        if not purpose:
            return _detail(request, desk, listed, error=reveals.NO_PURPOSE, status=422)
        desk.audit(user.get_username(), "reveal", alert=listed.alert["id"], purpose=purpose)
    reveals.reveal(request, listed.alert["id"])
    return redirect("alert", alert=listed.alert["id"])


def _user(request: HttpRequest) -> User:
    return cast(User, request.user)


def _found(desk: DeskPort, alert: str) -> Listed:
    try:
        return desk.alert(alert)
    except UnknownAlertError as error:
        raise Http404(str(error)) from error
