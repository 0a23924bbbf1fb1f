"""The file of routes: what it means, what is wrong with it and where, and which routes an alert takes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import jsonschema  # type: ignore[import-untyped]  # it has no types
import pytest
import yaml

from citywatch.errors import RouteErrors
from citywatch.notify.hours import Hours, Span
from citywatch.notify.matching import Seen, deliveries, held_until, obstacles
from citywatch.notify.pace import Patience, Rate
from citywatch.notify.route import Route, Routes
from citywatch.notify.routes import load_routes
from citywatch.notify.starter import STARTER, routes_schema
from citywatch.settings import HOUR, MINUTE, SECOND
from tests.unit.notify.alerts import NOW, ZONE

TZ = ZoneInfo(ZONE)

NOTIFIERS = """
notifiers:
  duty: {type: webhook, url: "https://example.org/a", secret: {env: DUTY}}
  mail: {type: email, server: mail.example.org, from: a@example.org, to: [b@example.org, c@example.org]}
"""


def load(data: Path, text: str) -> Routes:
    (data / "routes.yaml").write_text(text, "utf-8")
    return load_routes(data)


def wrong(data: Path, text: str) -> list[tuple[int, str]]:
    with pytest.raises(RouteErrors) as raised:
        load(data, text)
    return [(error.where.line if error.where else 0, str(error)) for error in raised.value.errors]


def route(data: Path, conditions: str) -> Route:
    return load(data, f"{NOTIFIERS}routes:\n  - {{name: r, to: duty, {conditions}}}\n").routes[0]


def seen(**told: Any) -> Seen:
    about = {"rule": "cloned_plate", "level": "high", "zones": ["school"], "precinct": "14", "tags": ["plates"]}
    return Seen(**{**about, "local": datetime(2026, 5, 1, 12, tzinfo=TZ), **told})


def test_without_a_file_there_are_no_routes(tmp_path: Path) -> None:
    assert load_routes(tmp_path).routes == ()
    assert load(tmp_path, "# nothing yet\n").routes == ()


def test_a_notifier_with_several_addresses_is_several_receivers(tmp_path: Path) -> None:
    routes = load(tmp_path, NOTIFIERS + "routes: [{name: r, to: [mail, duty, mail]}]")
    assert routes.receivers(routes.routes[0]) == ["mail/b@example.org", "mail/c@example.org", "duty"]


def test_all_that_is_wrong_is_said_at_once_with_its_lines(tmp_path: Path) -> None:
    text = """\
notifiers:
  duty: {type: webhok, url: "https://example.org/a"}
  open: {type: webhook, url: "ftp://example.org"}
  mail: {type: email, server: m, from: a@b.org}
routes:
  - {name: r, to: nobody}
  - name: s
    to: duty
    level: severe
  - {name: t, to: duty, hours: "25:00-26:00"}
  - {name: t, to: duty, colour: red}
"""
    errors = wrong(tmp_path, text)
    assert [line for line, _ in errors] == [2, 3, 4, 6, 9, 10, 11]
    assert "routes.yaml:2: there is no notifier of type 'webhok' (did you mean webhook?)" in errors[0][1]
    assert "to is missing" in errors[2][1]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("secret: hunter2", "a secret does not stand in this file"),
        ("secret: {clear: hunter2}", "in the environment or in a file"),
        ("at_most: 5", "no bound"),
        ("timeout: 10", "is no duration"),
        ("allow: everything", "does not appear to be an IPv4 or IPv6 network"),
    ],
)
def test_options_say_what_they_want_and_repeat_no_secret(tmp_path: Path, options: str, words: str) -> None:
    ((line, text),) = wrong(
        tmp_path, f'notifiers:\n  duty:\n    {{type: webhook, url: "https://e.org", {options}}}\nroutes: []\n'
    )
    assert line == 3
    assert words in text
    assert "hunter2" not in text


def test_a_password_in_an_address_is_refused_and_not_repeated(tmp_path: Path) -> None:
    ((_, text),) = wrong(tmp_path, 'notifiers: {d: {type: webhook, url: "https://u:hunter2@e.org/"}}\n')
    assert "a password stands in the address" in text
    assert "hunter2" not in text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("notifiers: {t: {type: terminal}}", "the terminal shows every alert by itself"),
        ("notifiers: {c: {type: cap, sender: a@b.org}}", "needs either url or directory"),
        ("notifiers: {c: {type: cap, sender: a b, directory: x}}", "does not allow"),
        ("notifiers: {h: {type: heartbeat, url: 'http://a/'}}\nroutes: [{name: r, to: h}]", "is told of no alert"),
        ("notifiers: {h: {type: heartbeat, url: 'http://a/', at_most: 1/1m}}", "unknown key 'at_most'"),
        (
            f"{NOTIFIERS}\nroutes: [{{name: r, to: duty, follow: closely}}]",
            "not possible here: nothing, outcome, everything",
        ),
        (
            "notifiers: {k: {type: kafka, servers: 'k:9092', as: prestacop}}\n"
            "routes: [{name: r, to: k, follow: outcome}]",
            "k has no word for what becomes of an alert",
        ),
        ("routes: {name: r}", "a list of routes"),
        ("routes: [r]", "a table of keys"),
        ("- a", "a table of keys"),
        ("a: 1", "unknown key 'a'"),
        ("routes: []\n---\nroutes: []", "a second document"),
        ("page: example.org", "not an address"),
        ("routes: [", "not valid YAML"),
    ],
)
def test_what_cannot_be_meant_is_an_error(tmp_path: Path, text: str, words: str) -> None:
    assert any(words in error for _, error in wrong(tmp_path, text))


def test_words_that_no_rule_and_no_zone_has_are_doubted_not_refused(tmp_path: Path) -> None:
    routes = load(tmp_path, NOTIFIERS + "routes: [{name: r, to: duty, rule: [cloned_plat, 'x_*', dw*], zone: scool}]")
    doubts = list(routes.doubts(rules=["cloned_plate", "dwell"], zones=["school"], tags=[]))
    assert len(doubts) == 3
    assert "did you mean cloned_plate?" in doubts[0]
    assert "routes.yaml:5" in doubts[0]


def test_the_file_to_begin_with_loads_and_fits_its_schema(tmp_path: Path) -> None:
    routes = load(tmp_path, STARTER)
    assert [found.name for found in routes.routes] == ["everything"]
    uncommented = STARTER.replace("\n#  ", "\n  ").replace("\n#         ", "\n         ").replace("\n# page", "\npage")
    everything = load(tmp_path, uncommented)
    assert {target.kind for target in everything.targets.values()} == {"geojson", "webhook", "email", "heartbeat"}
    for text in (STARTER, uncommented):
        jsonschema.validate(json.loads(json.dumps(yaml.safe_load(text))), routes_schema())


def test_the_schema_refuses_what_the_loader_refuses(tmp_path: Path) -> None:
    schema = jsonschema.Draft202012Validator(routes_schema())
    for text in (
        "a: 1",
        "notifiers: {t: {type: terminal}}",
        "routes: [{name: r}]",
        "routes: [{name: r, to: d, at_least: x}]",
    ):
        assert not schema.is_valid(yaml.safe_load(text)), text


@pytest.mark.parametrize(
    ("conditions", "takes"),
    [
        ("at_least: high", True),
        ("at_least: critical", False),
        ("level: [high, low]", True),
        ("level: low", False),
        ("rule: 'cloned_*'", True),
        ("rule: [dwell, spike]", False),
        ("zone: [school, harbour]", True),
        ("zone: harbour", False),
        ("precinct: [13, 14]", True),
        ("precinct: 1", False),
        ("tags: plates", True),
        ("tags: [crowds]", False),
        ("hours: 'fri 11:00-12:01'", True),
        ("hours: 'sat-sun'", False),
        ("at_least: low, rule: cloned_plate, zone: harbour", False),
    ],
)
def test_a_route_is_taken_when_all_its_conditions_hold(tmp_path: Path, conditions: str, takes: bool) -> None:
    assert (list(obstacles(route(tmp_path, conditions), seen())) == []) is takes


def test_an_alert_without_place_takes_no_route_of_a_place_and_hears_why(tmp_path: Path) -> None:
    lost = seen(zones=[], precinct=None, tags=())
    words = list(obstacles(route(tmp_path, "zone: school, precinct: 14, tags: plates"), lost))
    assert words == [
        "it lies in no zone, not in school",
        "its precinct is unknown, not 14",
        "its rule has no tag, not plates",
    ]


def at(day: int, hour: int, minute: int = 0, month: int = 5) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=TZ)


def hours(*texts: str) -> Hours:
    return Hours(tuple(Span.read(text) for text in texts))


@pytest.mark.parametrize(
    ("texts", "moment", "end"),
    [
        (["22:00-06:00"], at(1, 21, 59), None),
        (["22:00-06:00"], at(1, 22), at(2, 6)),
        (["22:00-06:00"], at(2, 5, 59), at(2, 6)),
        (["22:00-06:00"], at(2, 6), None),
        (["fri 22:00-06:00"], at(2, 3), at(2, 6)),  # began on Friday, May 1
        (["sat 22:00-06:00"], at(2, 3), None),
        (["sat-sun"], at(2, 12), at(4, 0)),
        (["fri-mon"], at(4, 23, 59), at(5, 0)),
        (["20:00-24:00", "00:00-06:00"], at(1, 21), at(2, 6)),
        (["22:00-06:00"], at(7, 23, month=3), at(8, 6, month=3)),  # the night in which clocks go forward
    ],
)
def test_hours_begin_and_end_in_local_time(texts: Sequence[str], moment: datetime, end: datetime | None) -> None:
    assert hours(*texts).end_of(moment) == end
    assert hours(*texts).holds(moment) is (end is not None)


def shown_within(local: datetime, begin: str, end: str) -> bool:
    """Whether a clock on the wall shows a time of the span: read from its letters."""
    shows = f"{local:%H:%M}"
    return begin <= shows < end if begin < end else shows >= begin or shows < end


@pytest.mark.parametrize(
    "span", ["22:00-02:30", "02:30-05:00", "01:30-05:00", "01:00-01:30", "23:00-01:30", "02:10-02:20"]
)
@pytest.mark.parametrize(
    ("zone", "noon"),
    [
        (ZONE, datetime(2026, 3, 7, 12)),  # 02:00 becomes 03:00
        (ZONE, datetime(2026, 10, 31, 12)),  # 02:00 becomes 01:00
        ("Australia/Lord_Howe", datetime(2026, 4, 4, 12)),  # by half an hour
        ("America/Sao_Paulo", datetime(2018, 2, 17, 12)),  # midnight becomes 23:00 of the day before
        ("America/Sao_Paulo", datetime(2018, 11, 3, 12)),  # and 01:00
    ],
)
def test_what_the_clock_shows_decides_where_it_is_changed(span: str, zone: str, noon: datetime) -> None:
    begun, minute = noon.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC), timedelta(minutes=1)
    clock = [(begun + n * minute).astimezone(ZoneInfo(zone)) for n in range(24 * 60)]
    within, end = hours(span), None
    for local in reversed(clock):
        if not shown_within(local, *span.split("-")):
            end = local.astimezone(UTC)
            assert within.end_of(local) is None
        elif end is not None:
            late = within.end_of(local.replace(second=59))
            assert late is not None
            assert late.astimezone(UTC) == end


@pytest.mark.parametrize("text", ["", "22:00", "6-7", "24:00-06:00", "08:00-08:00", "someday 08:00-09:00", "mon-"])
def test_what_is_no_time_of_the_week_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="time"):
        Span.read(text)


def test_hours_that_never_end_hold_back_for_days_not_for_ever() -> None:
    assert hours("00:00-24:00").end_of(at(1, 12)) is not None


def test_quiet_hours_over_a_change_of_clocks_end_at_the_local_time() -> None:
    local = datetime(2026, 3, 7, 23, tzinfo=TZ)
    began = int(local.timestamp()) * SECOND
    assert held_until(hours("22:00-06:00"), local, began) - began == 6 * HOUR


def test_quiet_hours_hold_back_all_but_critical_alerts(tmp_path: Path) -> None:
    routes = load(tmp_path, NOTIFIERS + "routes: [{name: r, to: duty, quiet: '11:00-13:00'}]")
    (held,) = deliveries(1, seen(), routes, at=NOW)
    assert (held.held, held.due > NOW, held.urgent) == (True, True, False)
    (urgent,) = deliveries(2, seen(level="critical"), routes, at=NOW)
    assert (urgent.held, urgent.due, urgent.urgent) == (False, NOW, True)


def test_a_receiver_is_told_once_by_the_route_that_tells_it_first(tmp_path: Path) -> None:
    text = (
        "routes: [{name: slow, to: [duty, mail], quiet: '11:00-13:00'}, {name: fast, to: duty}, {name: more, to: duty}]"
    )
    planned = {p.target: p.route for p in deliveries(1, seen(), load(tmp_path, NOTIFIERS + text), at=NOW)}
    assert planned == {"duty": "fast", "mail/b@example.org": "slow", "mail/c@example.org": "slow"}


def test_waiting_doubles_up_to_a_bound_and_is_spread() -> None:
    patience = Patience(first=SECOND, most=MINUTE)
    for failures, about in ((1, SECOND), (2, 2 * SECOND), (5, 16 * SECOND), (7, MINUTE), (10_000, MINUTE)):
        waits = {patience.wait(failures) for _ in range(50)}
        assert len(waits) > 1
        assert 0.75 * about <= min(waits) <= max(waits) <= 1.25 * about


def test_a_bound_is_messages_in_a_time() -> None:
    assert (Rate.read("10/5m").messages, Rate.read("10/5m").window) == (10, 5 * MINUTE)
    for text in ("0/1m", "ten/1m", "10", "10/0s", "10/m"):
        with pytest.raises(ValueError, match=r"no bound|no duration"):
            Rate.read(text)
