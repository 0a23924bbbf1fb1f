"""Common Alerting Protocol 1.2 (OASIS, 2010): the form in which public warning systems take alerts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar
from xml.etree import ElementTree as ET

from citywatch.alert import Level, Outcome, State
from citywatch.delivery import Follow
from citywatch.errors import TargetRefusedError
from citywatch.notify.feed import written_whole
from citywatch.notify.http import send
from citywatch.notify.message import Alert, Message, headline
from citywatch.notify.options import DURATION, PATH, TEXT, URL, Option, choice
from citywatch.notify.secret import Given
from citywatch.notify.webhook import DOOR, door_of
from citywatch.settings import DAY, HOUR
from citywatch.wording import clock_time, iso, micros, place_in_words

NAMESPACE = "urn:oasis:names:tc:emergency:cap:1.2"

SEVERITY: Mapping[str, tuple[str, str]] = {
    Level.CRITICAL: ("Immediate", "Extreme"),
    Level.HIGH: ("Immediate", "Severe"),
    Level.MEDIUM: ("Expected", "Moderate"),
    Level.LOW: ("Expected", "Minor"),
    Level.INFORMATIONAL: ("Unknown", "Unknown"),
}
"""Level -> CAP's urgency and severity."""

CATEGORIES = (
    *("Geo", "Met", "Safety", "Security", "Rescue", "Fire", "Health", "Env", "Transport", "Infra", "CBRNE", "Other"),
)

RADIUS_KM = 0.1
"""Around the place of an alert: a position is a point, and CAP knows areas only."""


class Cap:
    """Posts Common Alerting Protocol 1.2 messages, or writes each into a file of its own in a directory.

    An alert that is acknowledged, shelved or opened again afterwards is followed by an `Update`, one that is closed
    by a `Cancel`; both refer to all messages of that alert before.
    """

    OPTIONS: ClassVar[tuple[Option, ...]] = (
        Option("sender", TEXT, "who sends, as CAP wants it: a domain or an address, without blanks"),
        Option("url", URL, "where to post each message to", None),
        Option("directory", PATH, "or: where to write each message, as `IDENTIFIER.xml`", None),
        Option("keep", DURATION, "files older than this are removed from the directory", 7 * DAY),
        Option("area", TEXT, "the place of an alert whose own is not known", "the city"),
        Option("category", choice(*CATEGORIES), "CAP's category", "Security"),
        Option("scope", choice("Public", "Restricted", "Private"), "for whom it is meant", "Restricted"),
        Option("restriction", TEXT, "what restricts it (scope Restricted)", "for the services of the city"),
        Option("addresses", TEXT, "whom it is for (scope Private)", ""),
        Option("language", TEXT, "language of the words", "en-US"),
        Option("expires", DURATION, "how long it is to be shown", HOUR),
        *DOOR,
    )
    RATE = "60/1m"
    BUNDLE = 1
    FOLLOWS = Follow.EVERYTHING
    TOGETHER = False

    def __init__(
        self,
        *,
        url: Given | None,
        directory: Path | None,
        keep: int,
        allow: Any,
        ca_file: Any,
        timeout: int,
        **told: Any,
    ) -> None:
        if (url is None) == (directory is None):
            raise ValueError("needs either url or directory")
        if told["scope"] == "Private" and not told["addresses"]:
            raise ValueError("scope Private needs addresses")
        if not _token(told["sender"]):
            raise ValueError("sender holds blanks, commas, < or &, which CAP does not allow")
        self._url, self._directory, self._keep, self._told = url, directory, keep, told
        self._door = door_of(allow=allow, ca_file=ca_file, timeout=timeout)

    def send(self, message: Message) -> str:
        """Post or write it; see `citywatch.notify.Notifier`."""
        body = document(message, self._told)
        if self._url is not None:
            return send(self._url.read(), body=body, headers={"Content-Type": "application/cap+xml"}, door=self._door)
        if self._directory is None:
            raise TargetRefusedError("there is neither url nor directory")
        file = self._directory / f"{message.key}.xml"
        written_whole(file, body)
        self._remove_old(message.at)
        return f"wrote {file}"

    def _remove_old(self, now: int) -> None:
        for file in (self._directory or Path()).glob("*.xml"):
            try:
                if file.stat().st_mtime < (now - self._keep) / 1e6:
                    file.unlink()
            except FileNotFoundError:
                continue  # somebody took it


def document(message: Message, told: Mapping[str, Any]) -> bytes:
    """The message as CAP XML; `told` are the notifier's options."""
    ET.register_namespace("", NAMESPACE)
    root = ET.Element(f"{{{NAMESPACE}}}alert")
    for name, words in _head(message, told):
        _add(root, name, words)
    info = ET.SubElement(root, f"{{{NAMESPACE}}}info")
    for name, words in _info(message, told):
        _add(info, name, words)
    for name, value in _parameters(message):
        parameter = ET.SubElement(info, f"{{{NAMESPACE}}}parameter")
        _add(parameter, "valueName", name)
        _add(parameter, "value", value)
    _add_area(info, message.single, str(told["area"]))
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True))


def _head(message: Message, told: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "identifier", message.key
    yield "sender", told["sender"]
    yield "sent", _time(message.made or message.at)
    yield "status", "Test" if message.test else "Actual"
    yield "msgType", _kind(message)
    yield "scope", told["scope"]
    if told["scope"] == "Restricted":
        yield "restriction", told["restriction"]
    if told["scope"] == "Private":
        yield "addresses", told["addresses"]
    if message.earlier:
        yield "references", " ".join(f"{told['sender']},{key},{_time(made)}" for key, made in message.earlier)


def _kind(message: Message) -> str:
    """`Alert`, or what follows one: `Cancel` when it is closed, `Update` else."""
    if not message.earlier or message.single is None:
        return "Alert"
    return "Cancel" if message.single["state"] == State.CLOSED else "Update"


_RESPONSE = {State.OPEN: "Assess", State.ACKNOWLEDGED: "Monitor", State.SHELVED: "Monitor", State.CLOSED: "AllClear"}
_CERTAINTY: Mapping[str, str] = {Outcome.TRUE_POSITIVE: "Observed", Outcome.FALSE_POSITIVE: "Unlikely"}


def _info(message: Message, told: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    alert = message.single
    urgency, severity = SEVERITY[message.level()]
    yield "language", told["language"]
    yield "category", told["category"]
    yield "event", alert["title"] if alert else f"{message.total:,} alerts"
    state, outcome = (alert["state"], alert["outcome"]) if alert else (State.OPEN, None)
    yield "responseType", _RESPONSE[state]
    yield "urgency", "Past" if state == State.CLOSED else urgency
    yield "severity", severity
    yield "certainty", _CERTAINTY.get(outcome or "", "Likely")
    if alert:
        yield "onset", _time(micros(alert["first_seen"]))
    yield "expires", _time(message.at + told["expires"])
    yield "senderName", "citywatch"
    yield "headline", headline(message)
    yield "description", "\n".join(_description(message))
    if alert and (runbook := message.runbooks.get(alert["rule"])):
        yield "instruction", runbook.strip()
    if link := message.link(alert):
        yield "web", link


def _description(message: Message) -> Iterator[str]:
    for alert in message.alerts[:20]:
        when, place = clock_time(alert["first_seen"], message.zone), place_in_words(alert)
        yield ", ".join(word for word in (when, alert["reason"] or alert["title"], place) if word)


def _parameters(message: Message) -> Iterator[tuple[str, str]]:
    if alert := message.single:
        yield "citywatch:rule", alert["rule"]
        yield "citywatch:level", alert["level"]
        yield "citywatch:count", str(alert["count"])
        yield "citywatch:state", alert["state"]
        if alert["outcome"]:
            yield "citywatch:outcome", alert["outcome"]
    else:
        yield from ((f"citywatch:rule:{rule}", str(count)) for rule, count in message.rules.items())


def _add_area(info: ET.Element, alert: Alert | None, area: str) -> None:
    place = ET.SubElement(info, f"{{{NAMESPACE}}}area")
    _add(place, "areaDesc", (place_in_words(alert) if alert else "") or area)
    if alert and alert["lat"] is not None and alert["lon"] is not None:
        _add(place, "circle", f"{alert['lat']:.5f},{alert['lon']:.5f} {RADIUS_KM}")


def _add(parent: ET.Element, name: str, words: str) -> None:
    ET.SubElement(parent, f"{{{NAMESPACE}}}{name}").text = "".join(filter(_allowed_in_xml, words))


def _allowed_in_xml(letter: str) -> bool:
    return letter in "\t\n\r" or " " <= letter <= "\ud7ff" or "\ue000" <= letter <= "\ufffd" or letter >= "\U00010000"


def _token(text: str) -> bool:
    return bool(text) and not any(letter.isspace() or letter in ",<&" for letter in text)


def _time(us: int) -> str:
    """CAP's form: whole seconds, an offset, and never Z."""
    return iso(us)[:19] + "-00:00"
