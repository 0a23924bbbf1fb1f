"""The API as a whole: its routers, and the document that describes them."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, cast

from django.urls import URLPattern
from ninja import NinjaAPI, Router
from ninja.openapi.schema import REF_TEMPLATE, OpenAPISchema
from ninja.operation import Operation
from ninja.types import DictStrAny

from citywatch import __version__
from citywatch.console.api import alerts, changes, feeds, ingest, media, problems, tickets
from citywatch.console.api.access import LOCAL, Needs, served_to_this_machine_only

ROUTERS: dict[str, tuple[Router, ...]] = {
    "/api/v1/alerts": (changes.router, alerts.router),
    "/api/v1/feeds": (feeds.router,),
    "/api/v1/media": (media.router,),
    "/api/v1/tickets": (tickets.router,),
    "/api/v1": (ingest.router,),
    "/polls": (ingest.older,),
}
"""Routers by prefix. Where two addresses fit, the router named first has it."""

OPENAPI = "/api/v1/openapi.json"

ABOUT = """Events in, alerts and tickets out. Every error is RFC 9457 problem details.

Send an API key (`citywatch users keys add`) as `Authorization: Bearer KEY`. Inside the console its session counts too.
Plates, names and faces are dots unless the caller has the right `reveal` and says why with `?purpose=`; each such read
is recorded.

`GET /api/v1/alerts/stream?rule=&level=&purpose=` is not described below, for OpenAPI has no words for a stream: it
sends every alert that is new or has changed as a server-sent event `alert`, without end, and goes on after
`Last-Event-ID`."""


class Document(OpenAPISchema):
    """The OpenAPI document: ninja's, with scopes and problems."""

    def operation_security(self, operation: Operation) -> list[DictStrAny] | None:
        """The scope as OpenAPI 3.1 writes roles; `{}` is nobody in particular."""
        scopes = [auth.scope for auth in operation.auth_callbacks if isinstance(auth, Needs)]
        free = any(scope in LOCAL for scope in scopes) and served_to_this_machine_only()
        return [*({"ApiKey": [scope]} for scope in scopes), *([{}] if free else [])] or None

    def responses(self, operation: Operation) -> dict[int, DictStrAny]:
        """What the operation says, and the problems that all have."""
        found = super().responses(operation)
        asked_for = 404 if "{" in operation.path else 400
        for status in (400, asked_for, 422, *((401, 403) if operation.auth_callbacks else ())):
            found.setdefault(status, {"description": HTTPStatus(status).phrase})
        for status, details in found.items():
            if status >= HTTPStatus.BAD_REQUEST:
                details["content"] = {problems.MEDIA_TYPE: {"schema": {"$ref": REF_TEMPLATE.format(model="Problem")}}}
        return dict(sorted(found.items()))

    def operation_parameters(self, operation: Operation) -> list[DictStrAny]:
        """Examples stand in the schemas: beside them OpenAPI wants them in another form than ninja gives."""
        return [
            {name: value for name, value in parameter.items() if name != "examples"}
            for parameter in super().operation_parameters(operation)
        ]

    def get_components(self) -> DictStrAny:
        """Schemas and how one shows who one is."""
        schema = problems.Problem.model_json_schema(ref_template=REF_TEMPLATE)
        self.add_schema_definitions({**schema.pop("$defs"), "Problem": schema})
        self.securitySchemes["ApiKey"] = {"type": "http", "scheme": "bearer"}
        return super().get_components()


class Api(NinjaAPI):
    """ninja's API with this document."""

    def get_openapi_schema(
        self,
        *,
        path_prefix: str | None = None,  # noqa: ARG002 - ninja's signature
        path_params: DictStrAny | None = None,  # noqa: ARG002 - ninja's signature
    ) -> OpenAPISchema:
        """The document; the addresses in it are whole."""
        return Document(self, "")

    def get_openapi_operation_id(self, operation: Operation) -> str:
        """`alerts_close`: module and function."""
        return f"{operation.view_func.__module__.rpartition('.')[2]}_{operation.view_func.__name__}"


def _made() -> Api:
    made = Api(title="citywatch", version=__version__, description=ABOUT, docs_url=None, openapi_url=OPENAPI)
    problems.handle(made)
    for prefix, routers in ROUTERS.items():
        for router in routers:
            made.add_router(prefix, router)
    return made


api = _made()


def urls() -> list[URLPattern]:
    """The addresses. Each operation asks by itself who asks: Django's own asking for a session is not for them."""
    found = [pattern for pattern in api.urls[0] if isinstance(pattern, URLPattern) and pattern.name != "api-root"]
    for pattern in found:
        cast(Any, pattern.callback).login_required = False
    return found
