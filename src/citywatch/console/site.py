"""Setting Django up for one `Site`, and its ASGI application."""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from citywatch import __version__
from citywatch.console.port import Site

if TYPE_CHECKING:
    from asgiref.typing import ASGI3Application

_HERE = Path(__file__).parent

EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - how one asks for it; the default is this machine only

_LOCK = (0x63697479, -1)
"""Of making tables, among advisory locks."""

_installed: list[Site] = []


def current() -> Site:
    """The site that is served."""
    return _installed[-1]


def address() -> str:
    """Where the console is served, as one types it."""
    site = current()
    if site.address:
        return site.address
    host = socket.gethostname() if site.host in EVERYWHERE else site.host
    return f"http://{f'[{host}]' if ':' in host else host}:{site.port}"


def link(name: str) -> str:
    """The address of a new link that signs `name` in, once; with all rights, if they are new here."""
    from citywatch.console.models import make_link  # noqa: PLC0415 - needs Django set up

    return f"{address()}/sign-in/{make_link(name, all_rights=True)}"


def install(site: Site) -> None:
    """Serve `site`. The first call in a process sets Django up and brings the console's own tables up to date."""
    from django.conf import settings  # noqa: PLC0415 - Django is for those who serve pages

    _installed[:] = [site]
    if settings.configured:
        return
    settings.configure(**_django_settings(site))
    import django  # noqa: PLC0415 - after the settings

    django.setup()
    # Faults are told on the terminal, with their trace; a page that is not there is no fault.
    logging.getLogger("django").setLevel(logging.ERROR)
    # Who asks for another host name is answered; whoever scans the port is not to fill the terminal.
    logging.getLogger("django.security.DisallowedHost").setLevel(logging.CRITICAL)
    from django.core.management import call_command  # noqa: PLC0415 - after the settings

    with _alone(site):
        call_command("migrate", verbosity=0, interactive=False)


def leave() -> None:
    """Close the connections to a server that keeps people and sessions."""
    from django.db import connections  # noqa: PLC0415 - after the settings

    for connection in connections.all(initialized_only=True):
        connection.close()
        if close := getattr(connection, "close_pool", None):
            close()


@contextmanager
def _alone(site: Site) -> Iterator[None]:
    """On a server, other processes wait until this one has made the tables."""
    if site.database is None:
        yield
        return
    from django.db import connection  # noqa: PLC0415 - after the settings

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s, %s)", _LOCK)
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s, %s)", _LOCK)


def application() -> ASGI3Application:
    """The ASGI application with its static files."""
    from django.core.asgi import get_asgi_application  # noqa: PLC0415 - after the settings
    from django_htmx import __file__ as htmx  # noqa: PLC0415 - after the settings
    from servestatic import ServeStaticASGI  # noqa: PLC0415 - after the settings

    # A year: their addresses carry the version (`?v=`).
    from citywatch.console.bounded import Bounded  # noqa: PLC0415 - after the settings
    from citywatch.console.doors import Doors  # noqa: PLC0415 - after the settings

    served = ServeStaticASGI(get_asgi_application(), max_age=31_536_000, allow_all_origins=False)
    served.add_files(str(_HERE / "static"), prefix="static/")
    served.add_files(str(Path(htmx).parent / "static"), prefix="static/")
    return Doors(Bounded(served))


_TEMPLATES: dict[str, Any] = {
    "BACKEND": "django.template.backends.django.DjangoTemplates",
    "DIRS": [_HERE / "templates"],
    "OPTIONS": {
        "context_processors": [
            "django.template.context_processors.request",
            "django.contrib.auth.context_processors.auth",
            "citywatch.console.presentation.around",
        ],
        "builtins": ["citywatch.console.templatetags.console"],
        "loaders": [
            ("django.template.loaders.cached.Loader", ["django.template.loaders.filesystem.Loader"]),
        ],
    },
}


def _django_settings(site: Site) -> dict[str, Any]:
    database = site.database or {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": site.data / "console.sqlite",
        "OPTIONS": {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
        "TEST": {"NAME": site.data / "console-test.sqlite"},
    }
    return {
        "SECRET_KEY": site.secret or _secret(site.data / "console.secret"),
        "ALLOWED_HOSTS": sorted({"127.0.0.1", "localhost", "[::1]", *_own_names(site.host), *_name(site.address)}),
        "CSRF_TRUSTED_ORIGINS": [site.address] if site.address else [],
        "DATABASES": {"default": database},
        "TEMPLATES": [_TEMPLATES],
        "INSTALLED_APPS": [
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            "citywatch.console",
        ],
        "MIDDLEWARE": [
            "citywatch.console.api.problems.middleware",
            "citywatch.console.guard.headers",
            "django.middleware.common.CommonMiddleware",
            "citywatch.console.guard.same_origin",
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            # Every view asks for somebody signed in, unless it says otherwise.
            "django.contrib.auth.middleware.LoginRequiredMiddleware",
        ],
        "ROOT_URLCONF": "citywatch.console.urls",
        "AUTHENTICATION_BACKENDS": ["django.contrib.auth.backends.ModelBackend"],
        "LOGIN_URL": "/sign-in",
        "DEFAULT_AUTO_FIELD": "django.db.models.BigAutoField",
        "USE_TZ": True,
        "TIME_ZONE": site.zone,
        "USE_I18N": False,
        "SESSION_COOKIE_NAME": f"citywatch_{_own(site)}",
        "CSRF_COOKIE_NAME": f"citywatch_csrf_{_own(site)}",
        "SESSION_COOKIE_SECURE": site.address.startswith("https:"),
        "CSRF_COOKIE_SECURE": site.address.startswith("https:"),
        "CSRF_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_AGE": 60 * 60 * 24 * 14,
        "DATA_UPLOAD_MAX_MEMORY_SIZE": 1 << 20,
        "LOGGING_CONFIG": None,
        "CITYWATCH_VERSION": __version__,
    }


def _own(site: Site) -> str:
    """What tells this console's cookies from those of others on the machine, for cookies know no ports.

    Those who share a database share sessions, whatever port each of them has.
    """
    return hashlib.sha256(site.secret.encode()).hexdigest()[:8] if site.secret else str(site.port)


def _name(address: str) -> set[str]:
    """The name of the host in an address."""
    host = urlsplit(address).hostname
    return {f"[{host}]" if ":" in host else host} if host else set()


def _own_names(host: str) -> set[str]:
    """The names under which a browser may ask for this machine, when it listens on `host`."""
    if host not in EVERYWHERE:
        return {f"[{host}]" if ":" in host else host}
    name = socket.gethostname()
    return {name, socket.getfqdn(), *(str(found[4][0]) for found in socket.getaddrinfo(name, None))}


def _secret(file: Path) -> str:
    """The key that signs cookies; made once, readable only by the one who runs this."""
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return file.read_text("ascii")
    with os.fdopen(handle, "w", encoding="ascii") as out:
        out.write(secrets.token_urlsafe(50))
    return file.read_text("ascii")
