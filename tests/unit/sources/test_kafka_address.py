"""What a `kafka://` address says, and where a client's properties come from."""

from __future__ import annotations

from pathlib import Path

import pytest

from citywatch.connections.kafka.address import parse
from citywatch.connections.kafka.configuration import client, properties
from citywatch.errors import UsageError


def test_an_address_names_brokers_and_topics() -> None:
    address = parse("kafka://a,b:9093,[::1]:9094/users,csv_topic")
    assert address.servers == "a:9092,b:9093,[::1]:9094"
    assert address.topics == ("users", "csv_topic")
    assert (address.mappings, address.group, address.start, address.configuration) == ({}, None, "beginning", None)


def test_options_say_what_messages_are_where_to_begin_and_for_whom() -> None:
    address = parse("kafka://a/t,u?mapping=prestacop&group=g&from=latest&config=/etc/k.properties")
    assert address.mappings == {"t": "prestacop", "u": "prestacop"}
    assert (address.group, address.start, address.configuration) == ("g", "latest", Path("/etc/k.properties"))
    assert parse("kafka://a/t,u?mapping=u:safety-watcher").mappings == {"u": "safety-watcher"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kafka://", "names no topic"),
        ("kafka:///t", "names no host"),
        ("kafka://a", "names no topic"),
        ("kafka://a/t?", None),
        ("kafka://a:x/t", "'a:x' is no host:port"),
        ("kafka://a:70000/t", "is no host:port"),
        ("kafka://a/t t", "'t t' is no name of a topic"),
        ("kafka://a/t?form=latest", "unknown option 'form'"),
        ("kafka://a/t?from=", "from has no value"),
        ("kafka://a/t?from=newest", "from=newest is not possible"),
        ("kafka://a/t?mapping=u:prestacop", "'u' that is read"),
    ],
)
def test_what_is_wrong_is_said(text: str, words: str | None) -> None:
    if words is None:
        assert parse(text).topics == ("t",)
        return
    with pytest.raises(UsageError) as wrong:
        parse(text)
    assert words in str(wrong.value)


def test_a_password_in_an_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(UsageError) as wrong:
        parse("kafka://me:s3cret@a/t")
    assert "s3cret" not in str(wrong.value)
    assert "kafka://a/t" in str(wrong.value)


def test_properties_come_from_a_file_and_the_environment_over_it(tmp_path: Path) -> None:
    file, secret = tmp_path / "k.properties", tmp_path / "secret"
    file.write_text("# who\nsecurity.protocol = SASL_SSL\n\nsasl.username=me\n")
    secret.write_text("s=3 cret\n")
    environment = {
        "CITYWATCH_KAFKA_CONFIG": str(file),
        "CITYWATCH_KAFKA_SASL_USERNAME": "you",
        "CITYWATCH_KAFKA_SASL_PASSWORD_FILE": str(secret),
        "CITYWATCH_LATENESS": "60s",
    }
    found = properties(None, environment)
    assert found == {"security.protocol": "SASL_SSL", "sasl.username": "you", "sasl.password": "s=3 cret"}
    assert client("a:1", found)["bootstrap.servers"] == "a:1"


@pytest.mark.parametrize("line", ["group.id=x", "enable.auto.commit=true", "bootstrap.servers=a"])
def test_properties_on_which_exactness_rests_are_refused_with_their_line(tmp_path: Path, line: str) -> None:
    file = tmp_path / "k.properties"
    file.write_text(f"sasl.username=me\n{line}\n")
    with pytest.raises(UsageError, match=r"k\.properties:2: .* is decided by citywatch"):
        properties(file, {})


def test_a_line_without_a_value_and_a_file_that_is_not_there_are_errors(tmp_path: Path) -> None:
    file = tmp_path / "k.properties"
    file.write_text("sasl.password\n")
    with pytest.raises(UsageError, match="no property=value"):
        properties(file, {})
    with pytest.raises(UsageError, match="cannot read"):
        properties(tmp_path / "nowhere", {})
    with pytest.raises(UsageError, match="CITYWATCH_KAFKA_SASL_PASSWORD_FILE names"):
        properties(None, {"CITYWATCH_KAFKA_SASL_PASSWORD_FILE": str(tmp_path / "nowhere")})
