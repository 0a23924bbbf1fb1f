"""The properties of our client as Kafka's own client for Java spells them: Spark reads with that one."""

from __future__ import annotations

from collections.abc import Mapping

from citywatch.errors import UsageError

_SAME = frozenset("security.protocol client.dns.lookup client.id client.rack sasl.kerberos.service.name".split())
_PEM = {"ssl.ca.location": "ssl.truststore", "ssl.keystore.location": "ssl.keystore"}
_SIGN_IN = ("sasl.username", "sasl.password")
_MODULES = {
    "PLAIN": "org.apache.kafka.common.security.plain.PlainLoginModule",
    "SCRAM-SHA-256": "org.apache.kafka.common.security.scram.ScramLoginModule",
    "SCRAM-SHA-512": "org.apache.kafka.common.security.scram.ScramLoginModule",
}


def java_properties(given: Mapping[str, str]) -> dict[str, str]:
    """`configuration.properties` for Java. Raises UsageError for what it has no word for."""
    found: dict[str, str] = {}
    for name, value in given.items():
        if name in _SAME or name.startswith("java."):
            found[name.removeprefix("java.")] = value
        elif name in _PEM:
            found |= {f"{_PEM[name]}.location": value, f"{_PEM[name]}.type": "PEM"}
        elif name in ("sasl.mechanism", "sasl.mechanisms"):
            found["sasl.mechanism"] = value
        elif name not in _SIGN_IN:
            hint = f"write it in Java's words as java.NAME=VALUE; known: {', '.join(sorted({*_SAME, *_PEM}))}"
            raise UsageError(f"Kafka's client for Java has no property {name!r} that citywatch knows", hint=hint)
    if all(name in given for name in _SIGN_IN):
        found["sasl.jaas.config"] = _jaas(found.get("sasl.mechanism", "PLAIN"), *(given[name] for name in _SIGN_IN))
    return found


def _jaas(mechanism: str, user: str, password: str) -> str:
    if mechanism not in _MODULES:
        known = ", ".join(_MODULES)
        raise UsageError(
            f"sasl.mechanism={mechanism} is not known for Spark", hint=f"{known}, or java.sasl.jaas.config"
        )
    return f"{_MODULES[mechanism]} required username={_quoted(user)} password={_quoted(password)};"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
