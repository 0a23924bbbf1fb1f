"""The reference page of the HTTP API, from the OpenAPI document that the console serves.

Django is set up once a process, on one data directory: the document is made in a process of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from citywatch.console.access import Scope

_ALWAYS = ("400", "401", "403", "422")
"""Problems that every operation may answer with: said once."""

_ABOUT = """# The HTTP API

`citywatch up` and `citywatch console` serve it with the page, on one address; the OpenAPI document is at
`/api/v1/openapi.json`. [How to use it](../how-to/use-the-api.md).

## Who may

A program shows a key, `Authorization: Bearer KEY`, from `citywatch users keys add`. Inside the console its session
counts as well, with the rights of the person. Scopes of keys:

{scopes}

On the loopback default (`--host 127.0.0.1`) the doors for events and images need no key. A request that changes
something is refused when a page of another origin sends it (`Origin`, `Sec-Fetch-Site`), and every request that names
another host.

Plates, names and faces are dots. A caller with the right `reveal` who says why, with `?purpose=`, sees them; each
alert that is shown so is in the audit log before it is sent: `citywatch audit`, or the page `/audit` for auditors.

## Errors

Every error is [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457) problem details, `application/problem+json`: `type`
(`about:blank`), `title`, `status`, `detail` (what is wrong), often `hint` (what to do next), and with 422 `errors`,
each with `where` (`body.code`, `query.from`) and `message`. 429 and 503 come with `Retry-After`. Everything may
answer 400 (malformed, another host), 401 (no key, or no valid one), 403 (not with this scope, or from a page of
another origin) and 422 (an input that is not as described): below stand the other answers.

## `GET /api/v1/alerts/stream`

Live: server-sent events without end, `alert` for every alert that is new or has changed in any way, its data the
alert as JSON. Scope `alerts:read`. `rule`, `level` and `purpose` as in the list. The id of each event is a place in
the stream: with `Last-Event-ID` one gets all that changed since, without it what changes from now on. An alert may
come more than once for one change; its `id` tells which it is. It is not in the OpenAPI document, which has no words
for a stream.

## `GET /healthz`

Open to all: `{{"status":"ok","engine":"running","version":"…"}}`, `engine` is `stopped` when it has said nothing for
10 s.

## `GET /metrics`

Prometheus' text format: [what it says](metrics.md). Scope `metrics:read`, or a session.
"""


def lines() -> Iterator[str]:
    """The page."""
    scopes = _table(("scope", "for"), [(f"`{scope}`", scope.meaning) for scope in Scope])
    made = [sys.executable, "-m", "scripts.http_api"]
    document = json.loads(subprocess.run(made, check=True, capture_output=True, text=True).stdout)
    yield from _ABOUT.format(scopes="\n".join(scopes)).splitlines()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield from _operation(f"{method.upper()} {path}", operation, document)


def _operation(name: str, operation: dict[str, Any], document: dict[str, Any]) -> Iterator[str]:
    yield from ("", f"## `{name}`", "", operation.get("description", operation["summary"]), "")
    scopes = [scope for asked in operation.get("security", []) for scope in asked.get("ApiKey", [])]
    free = {} in operation.get("security", [])
    if scopes:
        yield from (f"Scope `{scopes[0]}`{'; none on the loopback default' if free else ''}.", "")
    rows: list[tuple[str, ...]] = [
        (f"`{parameter['name']}`", parameter["in"], _kind(parameter["schema"]), parameter.get("description", ""))
        for parameter in operation["parameters"]
    ]
    rows += list(_body(operation.get("requestBody", {}), document))
    if rows:
        yield from (*_table(("name", "in", "type", ""), rows), "")
    answers = [_answer(status, answer) for status, answer in operation["responses"].items() if status not in _ALWAYS]
    yield f"Answers: {', '.join(answers)}."


def _body(body: dict[str, Any], document: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """A row for each field of a body of ours; for others a row that says which media are taken."""
    content = body.get("content", {})
    schema = content.get("application/json", {}).get("schema", {})
    reference = next((part for part in (schema, *schema.get("anyOf", ())) if "$ref" in part), None)
    if content and reference is None:
        yield "", "body", ", ".join(f"`{media}`" for media in content), ""
    if reference is not None:
        found = _resolved(reference, document)
        for name, field in found["properties"].items():
            needed = "" if name in found.get("required", ()) else " (optional)"
            yield f"`{name}`", "body", _kind(field, document) + needed, field.get("description", "")


def _resolved(schema: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return found


def _kind(schema: dict[str, Any], document: dict[str, Any] | None = None) -> str:
    """A type in a word or two: `text`, `time`, one of a few names."""
    if "$ref" in schema and document:
        return _kind(_resolved(schema, document), document)
    if "properties" in schema:
        return "object of " + ", ".join(f"`{name}`" for name in schema["properties"])
    if "enum" in schema:
        return ", ".join(f"`{name}`" for name in schema["enum"] if name)
    if "items" in schema:
        return _kind(schema["items"], document)
    if "anyOf" in schema:
        return _kind(next(part for part in schema["anyOf"] if part.get("type") != "null"), document)
    named = {"string": "text", "integer": "whole number"}
    return "time, RFC 3339" if schema.get("format") == "date-time" else named.get(schema.get("type", ""), "anything")


def _answer(status: str, answer: dict[str, Any]) -> str:
    """The status, and the name of what comes with it."""
    schemas = [media["schema"] for media in answer.get("content", {}).values()]
    named = [name for schema in schemas if (name := schema.get("$ref", "").rpartition("/")[2]) not in ("", "Problem")]
    return f"{status} {named[0]}" if named else status


def _table(heading: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    written = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    return [f"| {' | '.join(row)} |".replace("|  |", "| |") for row in (heading, ["---"] * len(heading), *written)]


def _document() -> dict[str, Any]:
    """The document; only in the process of its own."""
    from citywatch.console import site  # noqa: PLC0415 - only in that process
    from citywatch.console.port import Site  # noqa: PLC0415 - only in that process
    from citywatch.stores.desk import Desk  # noqa: PLC0415 - only in that process

    with tempfile.TemporaryDirectory() as data:
        desk = Path(data) / "desk.sqlite"
        site.install(Site(data=Path(data), desk=lambda: Desk(desk)))
        from citywatch.console.api.application import api  # noqa: PLC0415 - after Django is set up

        return api.get_openapi_schema()


if __name__ == "__main__":
    print(json.dumps(_document()))
