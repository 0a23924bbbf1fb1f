"""Where a message may be sent: names are resolved once, judged, and connected to as judged.

An address that somebody can write into a setting must not become a way into the network behind citywatch (server-side
request forgery). Judging the name and connecting to it later would let the answer change in between.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable

from citywatch.errors import DeliveryError, TargetRefusedError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")
"""IPv6 addresses behind which a gateway reaches the IPv4 address in their last 32 bits."""

_PUBLIC = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("2000::/3"))
"""Of IPv6 the unicast space that is given out: outside of it are forms that hide an IPv4 address or lead inside."""

_KEPT = ipaddress.ip_network("192.0.0.0/24")
"""For protocols of the network itself (DS-Lite, dummies), which Python takes for public in part."""


def resolve(host: str, port: int, allowed: Iterable[Network] = ()) -> list[tuple[socket.AddressFamily, str]]:
    """(family, address) of a host that may be connected to, in the resolver's order.

    Raises DeliveryError when the name is not known now, TargetRefusedError when it leads nowhere that is allowed.
    """
    try:
        answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise DeliveryError(f"the name {host} cannot be resolved: {error}") from error
    found: list[tuple[socket.AddressFamily, str]] = []
    found += dict.fromkeys((answer[0], str(answer[4][0])) for answer in answers)
    networks = tuple(allowed)
    fine = [(family, address) for family, address in found if permitted(address, networks)]
    if not fine:
        raise TargetRefusedError(
            f"{found[0][1]}{'' if found[0][1] == host else f', to which {host} leads,'} is no public address",
            hint="if that is meant, name its network: allow: [10.1.0.0/16]",
        )
    return fine


def permitted(address: str, allowed: Iterable[Network] = ()) -> bool:
    """Whether it is a public address, or in a network that is allowed; an address inside of another counts."""
    all_of_it = _unwrapped(ipaddress.ip_address(address.split("%", 1)[0]))
    return all(_public(found) or any(_within(found, network) for network in allowed) for found in all_of_it)


def _public(address: Address) -> bool:
    if not address.is_global or address.is_multicast or _within(address, _KEPT):
        return False
    return any(_within(address, network) for network in _PUBLIC)


def _unwrapped(address: Address) -> list[Address]:
    """The address that is reached in the end: IPv4 may hide in IPv6."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    if address in _TRANSLATED:
        return [ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)]
    if address.sixtofour is not None:
        return [address, address.sixtofour]
    return [address, *(address.teredo or ())]


def _within(address: Address, network: Network) -> bool:
    return address.version == network.version and address in network
