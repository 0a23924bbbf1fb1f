"""Reaching receivers: what their answers mean, where messages may go, and that everything is over within a bound."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme

from citywatch.errors import DeliveryError, MessageRefusedError, TargetRefusedError
from citywatch.notify.address import permitted, resolve
from citywatch.notify.mail import Mail
from citywatch.notify.secret import Plain, Secret
from citywatch.notify.webhook import Webhook
from citywatch.settings import SECOND
from deploy.servers.server import free_port
from tests.unit.notify.alerts import message
from tests.unit.notify.receivers import HINTS, LOCAL, Mailbox, mail, silent, web

LOCALLY = (ipaddress.ip_network(LOCAL),)


def hook(url: str, **options: Any) -> Webhook:
    given = {"secret": (), "allow": LOCALLY, "ca_file": None, "timeout": 10 * SECOND, **options}
    return Webhook(url=Plain(url), **given)


def meaning(answer: Any, **options: Any) -> tuple[type[BaseException], DeliveryError]:
    with web(lambda _: answer) as server, pytest.raises(DeliveryError) as raised:
        hook(server.url, **options).send(message())
    return type(raised.value), raised.value


def test_what_is_taken_is_delivered_once() -> None:
    with web() as server:
        assert hook(server.url).send(message()) == "answered 204"
        (request,) = server.requests
    assert (request.method, request.path, request.json["type"]) == ("POST", "/hook", "alert.raised")


def test_informational_answers_are_not_taken_for_the_answer() -> None:
    with web() as server:
        server.before = HINTS * 3
        assert hook(server.url).send(message()) == "answered 204"
        server.answer = lambda _: (429, {"Retry-After": "7"})
        with pytest.raises(DeliveryError, match="429") as raised:
            hook(server.url).send(message())
        assert raised.value.retry_after == 7.0
        server.before = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: other\r\n\r\n"
        with pytest.raises(TargetRefusedError, match="101"):
            hook(server.url).send(message())


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_trouble_that_passes_is_tried_again(status: int) -> None:
    assert meaning(status)[0] is DeliveryError


@pytest.mark.parametrize("status", [400, 413, 415, 422])
def test_a_message_that_is_not_understood_is_not_tried_again(status: int) -> None:
    assert meaning(status)[0] is MessageRefusedError


@pytest.mark.parametrize("status", [401, 403, 404, 405, 410, 301, 307])
def test_a_receiver_that_wants_nothing_of_us_is_told_apart(status: int) -> None:
    assert meaning(status)[0] is TargetRefusedError


def test_redirects_are_not_followed_and_the_new_address_is_named() -> None:
    with web() as elsewhere:
        kind, error = meaning((302, {"Location": elsewhere.url}))
        assert (kind, elsewhere.requests) == (TargetRefusedError, [])
    assert elsewhere.url in str(error)


@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), ("999999", 3600.0), ("soon", None), ("-1", None)])
def test_a_receiver_may_ask_us_to_wait(header: str, seconds: float | None) -> None:
    assert meaning((429, {"Retry-After": header}))[1].retry_after == seconds


def test_a_date_to_wait_until_is_understood() -> None:
    assert meaning((503, {"Retry-After": "Wed, 01 Jan 2020 00:00:00 GMT"}))[1].retry_after == 0.0


@pytest.mark.parametrize("answer", ["hang", "drip", "hints"])
def test_a_receiver_that_never_ends_is_cut(answer: str) -> None:
    kind, error = meaning(answer, timeout=SECOND // 4)
    assert kind is DeliveryError
    assert "too long" in str(error) or "timed out" in str(error)


def test_what_is_no_answer_is_quoted_in_one_line_that_a_terminal_only_shows() -> None:
    kind, error = meaning("noise")
    assert kind is DeliveryError
    assert str(error).isprintable()


def test_a_receiver_that_cuts_or_is_not_there_is_tried_again() -> None:
    assert meaning("cut")[0] is DeliveryError
    with pytest.raises(DeliveryError, match="refused") as raised:
        hook(f"http://127.0.0.1:{free_port()}/").send(message())
    assert type(raised.value) is DeliveryError


@pytest.mark.parametrize(
    "inside",
    [
        *(
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",  # noqa: S104 - an address to be refused
            "100.64.0.1",
            "224.0.0.1",
        ),
        *("::1", "fe80::1%eth0", "fd00::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::"),
        *("ff02::1", "::", "::127.0.0.1", "::ffff:0:127.0.0.1", "64:ff9b:1::7f00:1", "fec0::1", "192.0.0.8"),
    ],
)
def test_an_address_inside_is_refused_however_it_is_written(inside: str) -> None:
    assert not permitted(inside)


@pytest.mark.parametrize("outside", ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "::ffff:93.184.216.34"])
def test_an_address_outside_is_fine(outside: str) -> None:
    assert permitted(outside)


def test_a_network_that_is_named_is_fine_and_no_other() -> None:
    allowed = [ipaddress.ip_network("10.1.0.0/16")]
    assert permitted("10.1.2.3", allowed)
    assert permitted("::ffff:10.1.2.3", allowed)
    assert not permitted("10.2.2.3", allowed)


@pytest.mark.parametrize("name", ["localhost", "127.1", "0x7f000001", "2130706433"])
def test_a_name_that_leads_inside_is_refused_before_anything_is_sent(name: str) -> None:
    with web() as server:
        with pytest.raises(DeliveryError):
            hook(f"http://{name}:{server.port}/", allow=()).send(message())
        assert server.requests == []


def test_it_is_connected_to_the_address_that_was_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that leads elsewhere when it is asked for the second time gains nothing by it."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def rebinding(host: str, port: int, *rest: Any, **more: Any) -> Any:
        asked.append(host)
        return real("127.0.0.1" if len(asked) == 1 else "127.0.0.2", port, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    with web() as server:
        hook(f"http://rebound.example:{server.port}/").send(message())
        assert server.requests[0].headers["host"] == f"rebound.example:{server.port}"
    assert asked == ["rebound.example"]


def test_a_name_that_nobody_knows_is_tried_again() -> None:
    with pytest.raises(DeliveryError, match="cannot be resolved"):
        resolve("nobody.invalid", 80)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def certificate(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path) -> Path:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return tmp_path / "ca.pem"


def test_tls_is_checked(certificate: ssl.SSLContext, trusted: Path) -> None:
    with web(certificate=certificate) as server:
        assert hook(server.url, ca_file=trusted).send(message()) == "answered 204"
        with pytest.raises(TargetRefusedError, match="not trusted"):
            hook(server.url).send(message())
        assert len(server.requests) == 1


def test_tls_that_hangs_is_cut() -> None:
    with silent() as server, pytest.raises(DeliveryError):
        hook(f"https://127.0.0.1:{server.getsockname()[1]}/", timeout=SECOND // 4).send(message())


def mailer(port: int, to: str = "duty@example.org", **options: Any) -> Mail:
    given = {"security": "none", "user": None, "password": None, "ca_file": None, "timeout": 10 * SECOND, **options}
    return Mail(server=f"127.0.0.1:{port}", sender="city@example.org", to=to, **given)


def test_a_mail_arrives() -> None:
    box = Mailbox()
    with mail(box) as port:
        mailer(port).send(message())
    assert (box.to, box.mails[0]["To"]) == (["duty@example.org"], "duty@example.org")


class Rude(Mailbox):
    """Takes mails, and says goodbye as no server should."""

    async def handle_QUIT(self, *_: object) -> str:  # noqa: N802 - the name that aiosmtpd calls
        return "500 not like this"


def test_a_mail_that_was_taken_is_told_however_the_server_says_goodbye() -> None:
    box = Rude()
    with mail(box) as port:
        assert "took it" in mailer(port).send(message())
    assert len(box.mails) == 1


def test_a_mail_goes_encrypted_with_a_password(
    certificate: ssl.SSLContext, trusted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAIL_PASSWORD", "right")
    box = Mailbox()
    options: dict[str, Any] = {
        "security": "starttls",
        "user": "city",
        "password": Secret(env="MAIL_PASSWORD"),
        "ca_file": trusted,
    }
    with mail(box, certificate=certificate, password="right") as port:
        mailer(port, **options).send(message())
        monkeypatch.setenv("MAIL_PASSWORD", "wrong")
        with pytest.raises(TargetRefusedError, match="535"):
            mailer(port, **options).send(message())
    assert (box.users, box.encrypted) == (["city"], [True])


def test_a_server_without_encryption_is_refused_where_it_is_wanted() -> None:
    with mail(Mailbox()) as port, pytest.raises(TargetRefusedError, match="STARTTLS"):
        mailer(port, security="starttls").send(message())


@pytest.mark.parametrize(
    ("box", "kind"),
    [
        (Mailbox(reply="451 try again"), DeliveryError),
        (Mailbox(reply="554 looks like spam"), MessageRefusedError),
        (Mailbox(refused={"duty@example.org": "450 greylisted"}), DeliveryError),
        (Mailbox(refused={"duty@example.org": "550 no such user"}), TargetRefusedError),
    ],
)
def test_codes_of_mail_servers_mean_now_or_never(box: Mailbox, kind: type[DeliveryError]) -> None:
    with mail(box) as port, pytest.raises(DeliveryError) as raised:
        mailer(port).send(message())
    assert type(raised.value) is kind


def test_a_mail_server_that_hangs_or_is_not_there_is_tried_again() -> None:
    with silent() as server, pytest.raises(DeliveryError):
        mailer(server.getsockname()[1], timeout=SECOND // 4).send(message())
    with pytest.raises(DeliveryError, match="refused"):
        mailer(free_port()).send(message())
