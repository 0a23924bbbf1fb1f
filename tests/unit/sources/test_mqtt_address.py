"""What an `mqtt://` address says, and what is wrong with one."""

from __future__ import annotations

from pathlib import Path

import pytest

from citywatch.errors import SourceError, UsageError
from citywatch.sources.mqtt.address import parse


def test_an_address_names_broker_topic_and_session() -> None:
    text = (
        "mqtts://anna@broker.example:8884/frigate/+/events?client=gate&mapping=frigate-events&expiry=2h&ca=/etc/ca.pem"
    )
    address = parse(text, {"CITYWATCH_MQTT_PASSWORD": "secret"})
    assert (address.host, address.port, address.tls, address.user) == ("broker.example", 8884, True, "anna")
    assert (address.topic, address.client, address.mapping) == ("frigate/+/events", "gate", "frigate-events")
    assert (address.expiry, address.ca, address.password) == (7200, Path("/etc/ca.pem"), "secret")
    assert address.name == text
    assert "secret" not in repr(address)


@pytest.mark.parametrize(
    ("text", "topic"),
    [
        ("mqtt://h/#", "#"),
        ("mqtt://h/a/#?client=c", "a/#"),
        ("mqtt://h//a", "/a"),
        ("mqtt://h/$share/group/a", "$share/group/a"),
        ("mqtt://h/a%3Fb/%C3%A9", "a?b/é"),
    ],
)
def test_a_topic_stands_as_it_is(text: str, topic: str) -> None:
    assert parse(text, {}).topic == topic


def test_ports_and_names_are_those_that_one_expects() -> None:
    plain, encrypted = parse("mqtt://h/t", {}), parse("mqtts://[::1]/t", {})
    assert (plain.port, encrypted.port, encrypted.host) == (1883, 8883, "::1")
    assert plain.client == parse("mqtt://h/t?mapping=m", {}).client
    assert plain.client != parse("mqtt://h/u", {}).client
    assert plain.client.startswith("citywatch-")


def test_a_password_on_the_command_line_is_refused_and_not_repeated() -> None:
    with pytest.raises(UsageError) as refused:
        parse("mqtt://anna:secret@h/t", {})
    assert "secret" not in str(refused.value)
    assert "'mqtt://anna@h/t'" in str(refused.value)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("mqtt://h", "no topic is named"),
        ("mqtt:///t", "names no host"),
        ("mqtt://h:port/t", "[Pp]ort"),
        ("mqtt://h/a/#/b", "# stands for all levels that follow"),
        ("mqtt://h/a+", r"\+ stands for one whole level"),
        ("mqtt://h/t?qos=2", "unknown option 'qos'"),
        ("mqtt://h/t?client=", "client has no value"),
        ("mqtt://h/t?expiry=3", "expiry: '3' is no duration"),
        ("mqtt://h/t?ca=x", "ca needs an encrypted connection"),
    ],
)
def test_what_is_wrong_with_an_address_is_said(text: str, what: str) -> None:
    with pytest.raises(UsageError, match=what):
        parse(text, {})


def test_a_password_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"cannot read the password in .*none"):
        parse(f"mqtt://anna@h/t?password-file={tmp_path}/none", {})
