"""What each receiver gets to see: signed JSON, mails, CAP, GeoJSON, and nothing that an event's text could break."""

from __future__ import annotations

import base64
import email
import hashlib
import hmac
import json
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import xmlschema

from citywatch.delivery import Kind
from citywatch.errors import DeliveryError, TargetRefusedError
from citywatch.masking import masked
from citywatch.notify.cap import NAMESPACE, SEVERITY, Cap, document
from citywatch.notify.feed import GeoJson
from citywatch.notify.mail import server_of, written
from citywatch.notify.message import Message, headline
from citywatch.notify.secret import Secret
from citywatch.notify.webhook import payload, signed
from citywatch.settings import DAY, SECOND
from tests.unit.notify.alerts import NOW, alert, message

NASTY = "a\r\nBcc: x@example.org <b> & ]]> \x00\x1b[31m \ud7ff \U0001f697"

CAP_SCHEMA = xmlschema.XMLSchema(Path(__file__).with_name("cap-1.2.xsd"))


def cap(told: Message, **options: Any) -> ET.Element:
    given: dict[str, Any] = {option.name: option.default for option in Cap.OPTIONS}
    body = document(told, {**given, "sender": "citywatch@example.org", **options})
    CAP_SCHEMA.validate(body.decode())
    return ET.fromstring(body)  # noqa: S314 - our own


def text(root: ET.Element, path: str) -> str | None:
    return root.findtext("/".join(f"{{{NAMESPACE}}}{name}" for name in path.split("/")))


def test_a_webhook_is_signed_as_standard_webhooks_are(monkeypatch: pytest.MonkeyPatch) -> None:
    key = b"0123456789abcdef01234567"
    monkeypatch.setenv("DUTY", "whsec_" + base64.b64encode(key).decode())
    headers = signed(message(), b"{}", (Secret(env="DUTY"),))
    content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + b"{}"
    expected = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert headers["webhook-id"] == alert()["id"]
    assert headers["webhook-timestamp"] == str(NOW // SECOND)


def test_while_a_secret_is_replaced_both_sign(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OLD", "plain letters")
    (tmp_path / "new").write_text("whsec_bmV3\n")
    signature = signed(message(), b"{}", (Secret(env="OLD"), Secret(file=tmp_path / "new")))["webhook-signature"]
    assert [part[:3] for part in signature.split(" ")] == ["v1,", "v1,"]


def test_a_secret_that_is_nowhere_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(TargetRefusedError, match="environment's NOWHERE"):
        Secret(env="NOWHERE").read()
    with pytest.raises(TargetRefusedError, match="No such file"):
        Secret(file=tmp_path / "none").read()


def test_the_body_of_a_webhook_holds_the_alert_in_the_contracts_form() -> None:
    told = message(runbooks={"cloned_plate": "Compare."}, page="https://city.example")
    body = payload(told)
    assert body["type"] == "alert.raised"
    assert body["data"] == alert()
    assert body["runbook"] == "Compare."
    assert body["link"] == f"https://city.example/alerts/{alert()['id']}"


def test_a_body_is_the_same_at_every_try() -> None:
    first, later = (message(at=NOW + wait, made=NOW) for wait in (0, 5 * SECOND))
    assert payload(first) == payload(later)
    assert signed(first, b"", ())["webhook-timestamp"] != signed(later, b"", ())["webhook-timestamp"]


def test_a_digest_counts_all_and_lists_what_it_holds() -> None:
    told = message(alert(1), alert(2, rule="dwell", level="critical"), total=37, rules={"cloned_plate": 36, "dwell": 1})
    body = payload(told)
    assert (body["type"], body["data"]["count"], len(body["data"]["alerts"])) == ("alerts.digest", 37, 2)
    assert body["headline"] == "[critical] 37 more alerts: 36 cloned_plate, 1 dwell"


def test_a_digest_of_quiet_hours_says_so() -> None:
    assert "2 alerts came in quiet hours" in headline(message(alert(1), alert(2), kind=Kind.QUIET))


def test_a_mail_is_plain_and_html_with_an_id_that_stays() -> None:
    told = message(runbooks={"cloned_plate": "Compare both images."}, page="https://city.example")
    mails = [written(told, "City <city@example.org>", "duty@example.org") for _ in range(2)]
    assert mails[0]["Message-ID"] == mails[1]["Message-ID"] == f"<{told.key}@example.org>"
    plain, html = bodies(mails[0])
    for words in ("GZH7067 seen 31.2 km apart", "1316 Madison Ave", "Compare both images.", "08:00:00"):
        assert words in plain
        assert words in html
    assert f"https://city.example/alerts/{told.key}" in plain
    assert mails[0]["Auto-Submitted"] == "auto-generated"


def test_the_ids_of_earlier_mails_are_written_as_mailboxes_look_for_them() -> None:
    earlier = [("ab" * 32, NOW), (f"{'ab' * 32}.1795436831252722", NOW)]
    mail = written(message(earlier=earlier), "city@alerts.city.example.org", "duty@example.org")
    sent = {name: " ".join(value.split()) for name, value in email.message_from_bytes(bytes(mail)).items()}
    ids = [f"<{key}@alerts.city.example.org>" for key, _ in earlier]
    assert sent["In-Reply-To"] == ids[1]
    assert sent["References"] == " ".join(ids)
    assert all(len(line) < 998 for line in bytes(mail).split(b"\n"))


def bodies(mail: EmailMessage) -> tuple[str, str]:
    parts = [mail.get_body((kind,)) for kind in ("plain", "html")]
    assert parts[0] is not None
    assert parts[1] is not None
    return parts[0].get_content(), parts[1].get_content()


def test_what_an_event_says_writes_no_header_and_no_html() -> None:
    mail = written(message(alert(title=NASTY, reason=NASTY)), "city@example.org", "duty@example.org")
    assert message_from_bytes(mail.as_bytes(), policy=policy.default)["Bcc"] is None
    assert b"\nBcc:" not in mail.as_bytes()
    assert "<b>" not in bodies(mail)[1]
    assert len(mail["Subject"]) <= 150


def test_a_digest_by_mail_says_how_many_it_does_not_list() -> None:
    told = message(*(alert(n) for n in range(100)), total=2_000, rules={"cloned_plate": 2_000})
    plain, _ = bodies(written(told, "city@example.org", "duty@example.org"))
    assert plain.count("What: ") == 20
    assert "1,980 of the 2,000 alerts are not listed here" in plain


@pytest.mark.parametrize(
    ("words", "server"),
    [("mail.example.org", ("mail.example.org", 587)), ("h:25", ("h", 25)), ("[::1]:26", ("::1", 26))],
)
def test_a_mail_server_is_a_host_with_or_without_a_port(words: str, server: tuple[str, int]) -> None:
    assert server_of(words, 587) == server


@pytest.mark.parametrize("words", ["", "a b@c/d", "host:port", "u@host"])
def test_what_is_no_mail_server_is_refused(words: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        server_of(words, 587)


@pytest.mark.parametrize("level", list(SEVERITY))
def test_cap_is_valid_for_every_level(level: str) -> None:
    root = cap(message(alert(level=level), page="https://city.example", runbooks={"cloned_plate": "Compare."}))
    assert (text(root, "info/urgency"), text(root, "info/severity")) == SEVERITY[level]
    assert text(root, "sent") == "2026-05-01T12:00:00-00:00"
    assert text(root, "info/area/circle") == "40.74840,-73.98570 0.1"
    assert text(root, "info/instruction") == "Compare."


@pytest.mark.parametrize("scope", ["Public", "Restricted", "Private"])
def test_cap_says_who_it_is_for_as_its_scope_demands(scope: str) -> None:
    root = cap(message(), scope=scope, addresses="duty@example.org")
    assert (text(root, "restriction") is not None) == (scope == "Restricted")
    assert (text(root, "addresses") is not None) == (scope == "Private")


def test_cap_is_valid_without_a_place_with_digests_tests_and_nasty_words() -> None:
    nowhere = cap(message(alert(lat=None, lon=None, data={}), test=True))
    assert text(nowhere, "status") == "Test"
    assert text(nowhere, "info/area/areaDesc") == "the city"
    assert text(nowhere, "info/area/circle") is None
    cap(message(alert(1), alert(2), total=37))
    cap(message(alert(title=NASTY, reason=NASTY, address=NASTY)))


def test_the_rules_for_cap_can_fail() -> None:
    body = document(message(), {option.name: option.default for option in Cap.OPTIONS} | {"sender": "a b"})
    assert not CAP_SCHEMA.is_valid(body.decode())


def feed(file: Path, **options: Any) -> GeoJson:
    return GeoJson(**{"file": file, "keep": DAY, "most": 1000, **options})


def features(file: Path) -> list[dict[str, Any]]:
    found = json.loads(file.read_text("utf-8"))
    assert found["type"] == "FeatureCollection"
    return list(found["features"])


def test_a_feed_has_each_alert_once_the_latest_first(tmp_path: Path) -> None:
    file = tmp_path / "feeds" / "alerts.geojson"
    for _ in range(2):
        feed(file).send(message(alert(1), alert(2, first_seen="2026-05-01T12:00:01.000000Z", count=3)))
    found = features(file)
    assert [(f["id"], f["properties"]["count"]) for f in found] == [(alert(2)["id"], 3), (alert(1)["id"], 1)]
    assert found[0]["geometry"] == {"type": "Point", "coordinates": [-73.9857, 40.7484]}


def test_a_feed_forgets_what_is_old_and_what_is_too_much(tmp_path: Path) -> None:
    file = tmp_path / "alerts.geojson"
    feed(file).send(message(alert(1), alert(2)))
    feed(file).send(message(alert(3, first_seen="2026-05-03T12:00:00.000000Z"), at=NOW + 2 * DAY))
    assert [f["id"] for f in features(file)] == [alert(3)["id"]]
    feed(file, most=5).send(message(*(alert(n) for n in range(9))))
    assert len(features(file)) == 5


def test_a_damaged_feed_is_begun_anew_and_an_alert_without_a_place_has_none(tmp_path: Path) -> None:
    file = tmp_path / "alerts.geojson"
    file.write_text('{"features": [{"id"')
    feed(file).send(message(alert(1, lat=None, lon=None)))
    assert [f["geometry"] for f in features(file)] == [None]


def test_a_feed_that_cannot_be_written_is_tried_again_later(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DeliveryError, match="cannot be written"):
        feed(tmp_path / "file" / "alerts.geojson").send(message())


def test_masked_alerts_show_no_plate_in_any_form(tmp_path: Path) -> None:
    told = message(masked(alert()))
    feed(tmp_path / "f").send(told)
    forms = [json.dumps(payload(told)), written(told, "a@b.org", "c@d.org").as_string(), (tmp_path / "f").read_text()]
    forms.append(ET.tostring(cap(told), encoding="unicode"))
    assert not [form for form in forms if "GZH7067" in form]
