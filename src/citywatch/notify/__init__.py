"""Ways to tell people about an alert. One file each, and one line here."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, cast

from citywatch.errors import SettingError

if TYPE_CHECKING:
    from citywatch.delivery import Follow
    from citywatch.notify.message import Message
    from citywatch.notify.options import Option


class Notifier(Protocol):
    """Tells somebody about alerts.

    `OPTIONS` are the keys that it takes in the file of routes, and the arguments it is made with. `RATE` is how many
    messages it sends at most unless a route says otherwise (None: any number; then a message carries up to `BUNDLE`
    alerts). `FOLLOWS` is what it is told of an alert afterwards, unless a route says otherwise; `TOGETHER`, whether it
    takes such changes of several alerts in one message; one that has no word for them says `once`. A notifier with
    several receivers names the option that lists them in `EACH`: it is made once for each.
    """

    OPTIONS: ClassVar[tuple[Option, ...]]
    RATE: ClassVar[str | None]
    BUNDLE: ClassVar[int]
    FOLLOWS: ClassVar[Follow]
    TOGETHER: ClassVar[bool]

    def send(self, message: Message) -> str:
        """Pass the message on; returns in words what became of it.

        Raises
        ------
        DeliveryError
            It did not arrive, or may not have: the same message is sent again later.
        MessageRefusedError
            This one will never be taken.
        TargetRefusedError
            Nothing will be taken until somebody changes something.
        """
        ...


# name -> (module below citywatch.notify, class)
NOTIFIERS: dict[str, tuple[str, str]] = {
    "terminal": ("terminal", "Terminal"),
    "webhook": ("webhook", "Webhook"),
    "email": ("mail", "Mail"),
    "cap": ("cap", "Cap"),
    "geojson": ("feed", "GeoJson"),
    "kafka": ("kafka", "Kafka"),
    "heartbeat": ("heartbeat", "Heartbeat"),
}

UNROUTED = ("terminal",)
"""Notifiers that routes do not name: the terminal shows all that is notified, where it is wanted."""


def notifier(name: str) -> type[Notifier]:
    """The class of that name; raises SettingError for an unknown one."""
    if name not in NOTIFIERS:
        raise SettingError(f"there is no notifier {name!r}", hint=f"known: {', '.join(NOTIFIERS)}")
    module, attribute = NOTIFIERS[name]
    return cast(type[Notifier], getattr(importlib.import_module(f"citywatch.notify.{module}"), attribute))


def open_notifier(name: str, **options: Any) -> Any:
    """A notifier of that name; raises SettingError for an unknown one."""
    return notifier(name)(**options)
