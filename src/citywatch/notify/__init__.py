"""Ways to tell people about an alert. One file each, and one line here."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, Protocol, cast

from citywatch.errors import SettingError


class Notifier(Protocol):
    """Tells somebody about alerts."""

    def notify(self, alert: Mapping[str, Any], *, alarm: bool) -> None:
        """Pass on an alert in the contract's form. `alarm`: it is new and live, somebody should look up.

        Raises OSError when it did not arrive but may do so later.
        """


# name -> (module below citywatch.notify, class)
NOTIFIERS: dict[str, tuple[str, str]] = {
    "terminal": ("terminal", "Terminal"),
}


def open_notifier(name: str, **options: Any) -> Notifier:
    """The notifier of that name; raises SettingError for an unknown one."""
    if name not in NOTIFIERS:
        raise SettingError(f"there is no notifier {name!r}", hint=f"known: {', '.join(NOTIFIERS)}")
    module, attribute = NOTIFIERS[name]
    return cast(Notifier, getattr(importlib.import_module(f"citywatch.notify.{module}"), attribute)(**options))
