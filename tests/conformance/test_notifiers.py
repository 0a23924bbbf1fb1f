"""What every notifier of the registry promises. A new one is picked up by itself, and needs a receiver here."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from citywatch.errors import DeliveryError
from citywatch.masking import masked
from citywatch.notify import NOTIFIERS, UNROUTED, Notifier, notifier, open_notifier
from citywatch.notify.options import REQUIRED
from citywatch.notify.routes import load_routes
from citywatch.notify.starter import routes_schema
from tests.cluster.servers import kafka
from tests.cluster.topics import Cluster
from tests.unit.notify.alerts import ZONE, alert, message
from tests.unit.notify.receivers import LOCAL, Mailbox, mail, web

PLATE = "GZH7067"


@dataclass
class Receiver:
    """What a notifier delivers to: `arrived` are the contents so far, `out_of_order` makes deliveries fail."""

    notifier: Notifier
    arrived: Callable[[], list[str]]
    out_of_order: Callable[[], None] | None = None


def loaded(data: Path, options: str) -> Notifier:
    """The notifier as the file of routes makes it."""
    (data / "routes.yaml").write_text(f"notifiers: {{it: {options}}}\n", "utf-8")
    (target,) = load_routes(data).targets.values()
    return target.notifier


@contextmanager
def at_terminal(_: Path) -> Iterator[Receiver]:
    out = io.StringIO()
    yield Receiver(open_notifier("terminal", zone=ZONE, stream=out, colour=False), lambda: out.getvalue().splitlines())


def over_http(options: str) -> Callable[[Path], AbstractContextManager[Receiver]]:
    @contextmanager
    def receiver(data: Path) -> Iterator[Receiver]:
        with web() as server:
            told = loaded(data, options.format(url=server.url, allow=LOCAL))
            yield Receiver(told, lambda: [r.body.decode() for r in server.requests], server.stop)

    return receiver


@contextmanager
def by_mail(data: Path) -> Iterator[Receiver]:
    box = Mailbox()

    def fail() -> None:
        box.reply = "451 later"

    with mail(box) as port:
        options = f"{{type: email, server: '127.0.0.1:{port}', security: none, from: a@b.org, to: c@b.org}}"
        yield Receiver(loaded(data, options), lambda: [m.as_string() for m in box.mails], fail)


@contextmanager
def in_a_file(data: Path) -> Iterator[Receiver]:
    file = data / "feeds" / "alerts.geojson"

    def features() -> list[str]:
        return [json.dumps(f) for f in json.loads(file.read_text("utf-8"))["features"]] if file.is_file() else []

    def fail() -> None:
        (data / "feeds").write_text("in the way")

    yield Receiver(loaded(data, "{type: geojson}"), features, fail)


@contextmanager
def in_a_topic(data: Path) -> Iterator[Receiver]:
    cluster = Cluster(kafka())
    name = cluster.make()
    options = f"{{type: kafka, servers: '{cluster.address}', topic: {name}, timeout: 4s}}"
    yield Receiver(loaded(data, options), lambda: cluster.values(name), lambda: cluster.drop(name))


RECEIVERS: dict[str, Callable[[Path], AbstractContextManager[Receiver]]] = {
    "terminal": at_terminal,
    "webhook": over_http("{{type: webhook, url: '{url}', allow: {allow}}}"),
    "email": by_mail,
    "cap": over_http("{{type: cap, url: '{url}', allow: {allow}, sender: a@b.org}}"),
    "geojson": in_a_file,
    "kafka": in_a_topic,
    "heartbeat": over_http("{{type: heartbeat, url: '{url}', allow: {allow}}}"),
}

TELLING = [name for name in NOTIFIERS if name != "heartbeat"]
"""Those that are told of alerts."""


@pytest.fixture
def receiver(name: str, tmp_path: Path) -> Iterator[Receiver]:
    assert name in RECEIVERS, f"notifier {name} has no receiver in this suite: write one"
    with RECEIVERS[name](tmp_path) as found:
        yield found


every = pytest.mark.parametrize("name", NOTIFIERS)
telling = pytest.mark.parametrize("name", TELLING)


@every
def test_it_describes_its_options_and_how_fast_it_sends(name: str) -> None:
    made = notifier(name)
    assert made.BUNDLE >= 1
    assert (made.BUNDLE == 1) or made.RATE is None, "a bound counts messages of one alert"
    for option in made.OPTIONS:
        assert option.meaning
        assert option.form.schema


@pytest.mark.parametrize("name", [name for name in NOTIFIERS if name not in UNROUTED])
def test_editors_know_its_options(name: str) -> None:
    kinds = routes_schema()["properties"]["notifiers"]["additionalProperties"]["oneOf"]
    (schema,) = [kind for kind in kinds if kind["properties"]["type"]["const"] == name]
    assert schema["required"] == ["type", *(o.name for o in notifier(name).OPTIONS if o.default is REQUIRED)]
    assert {option.name for option in notifier(name).OPTIONS} < schema["properties"].keys()


@every
def test_what_is_sent_arrives_and_words_say_so(name: str, receiver: Receiver) -> None:
    assert receiver.notifier.send(message())
    assert len(receiver.arrived()) == 1


@telling
def test_an_alert_arrives_with_what_a_person_has_to_know(name: str, receiver: Receiver) -> None:
    receiver.notifier.send(message())
    (arrived,) = receiver.arrived()
    assert "Same plate too far apart" in arrived
    assert "31.2 km apart" in arrived


@telling
def test_several_alerts_in_one_message_all_arrive(name: str, receiver: Receiver) -> None:
    told = message(*(alert(n, reason=f"reason {n}.") for n in range(5)))
    receiver.notifier.send(told)
    everything = "\n".join(receiver.arrived())
    assert [n for n in range(5) if f"reason {n}." not in everything] == []


@telling
def test_the_same_message_again_is_known_by_its_key(name: str, receiver: Receiver) -> None:
    """Receivers that keep messages have it once, the others can tell: the contents are the same."""
    for _ in range(2):
        receiver.notifier.send(message())
    assert len({_stable(content) for content in receiver.arrived()}) == 1


def _stable(content: str) -> str:
    """Without the boundary between the parts of a mail, which is drawn anew."""
    return "\n".join(line for line in content.splitlines() if "boundary" not in line and not line.startswith("--"))


@telling
def test_a_test_says_that_it_is_one(name: str, receiver: Receiver) -> None:
    receiver.notifier.send(message(test=True))
    found = receiver.arrived()
    assert "test" in "\n".join(found).lower() or (name, found) == ("geojson", []), "a feed holds no tests"


@telling
def test_what_was_masked_stays_masked(name: str, receiver: Receiver) -> None:
    receiver.notifier.send(message(masked(alert())))
    assert not [content for content in receiver.arrived() if PLATE in content]


NASTY = [
    alert(title="\x1b]0;owned\x07\r\nBcc: x@y.org\r\n\r\n<script>alert(1)</script>", reason="]]> & \x00 \ud7ff '\"\\"),
    alert(reason=None, lat=None, lon=None, evidence=[], group={}, values={}),
    alert(title="é" * 5_000, reason="🚗" * 5_000, address="\u202e gnp.exe"),
    alert(evidence=[{"source": "s", "id": "i", "type": "t", "time": "2026-05-01T12:00:00.000000Z", "data": None}]),
    alert(count=10**12, first_seen="0001-01-02T00:00:00.000000Z", level="critical"),
]


@telling
@pytest.mark.parametrize("nasty", NASTY, ids=["control characters", "nothing known", "endless", "no data", "extreme"])
def test_no_alert_breaks_it(name: str, receiver: Receiver, nasty: dict[str, Any]) -> None:
    receiver.notifier.send(message(nasty))
    assert len(receiver.arrived()) == (0 if name == "geojson" and nasty["count"] > 1 else 1)  # too old for a feed


@every
def test_what_does_not_arrive_raises_an_error_that_says_why(name: str, receiver: Receiver) -> None:
    if receiver.out_of_order is None:
        assert name == "terminal", "every notifier but that of this very terminal can fail"
        return
    receiver.out_of_order()
    with pytest.raises(DeliveryError) as raised:
        receiver.notifier.send(message())
    assert len(str(raised.value)) > 10
    assert PLATE not in str(raised.value)
