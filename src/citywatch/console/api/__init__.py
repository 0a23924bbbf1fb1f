"""The HTTP API: alerts to read and to work on, live; tickets; the doors for events and images.

One `ninja.NinjaAPI` (`application.api`) holds all of it, mounted at the root of the console's addresses, so that one
OpenAPI document at `/api/v1/openapi.json` covers every door, wherever it has to stand.

access        who asks: an API key or a session of the console, and the scopes that each has
problems      every error as RFC 9457 problem details
application   the API: its routers, its document
alerts        /api/v1/alerts: list, one, and what people do with it
changes       /api/v1/alerts/stream: what changes, as it changes
feeds         /api/v1/feeds/alerts.geojson
tickets       /api/v1/tickets: proposals, decisions about them, export
ingest        /api/v1/events, /api/v1/ingest/MAPPING, /polls/receive_msg
media         /api/v1/media/IMAGE_ID

A router says which scope each of its operations needs, and which problems it answers with beside those that all have::

    router = Router(tags=["events"])

    @router.post("/events", auth=needs(Scope.EVENTS_WRITE), response={202: Receipt, **documented(413, 429, 507)})
    def receive(request: HttpRequest) -> ...:
        who = caller(request)          # .name for logs, .may(Scope.REVEAL)
        raise CapacityError(...)       # 429; errors of the tree become problems by themselves, see `problems.STATUS`

`application.ROUTERS` names each with its prefix. On the loopback default `needs` lets writers of events and images in
without a key (`access.LOCAL`); hosts and origins are checked before any of this, in `console.guard`.
"""
