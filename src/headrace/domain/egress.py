"""Where requests may go whose address a user has set: only to public hosts, unless the operator names a private one.

Addresses are judged as they are connected to, so no spelling of a private one and no change of a name gets past.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

from headrace.domain.errors import InvalidRequest

MAX_URL_CHARS = 2048
DEFAULT_PORTS: Mapping[str, int] = {"http": 80, "https": 443}
# Globally routable unicast of version 6, and what lies in it all the same: Teredo and other assignments, documentation,
# and addresses that carry one of version 4.
UNICAST_6 = IPv6Network("2000::/3")
REFUSED_6 = tuple(IPv6Network(each) for each in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"))
REFUSED_4 = (IPv4Network("192.0.0.0/24"), IPv4Network("192.88.99.0/24"))


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a URL leads."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """The host and the port, as an operator names them."""
        return authority_of(self.host, self.port)

    @property
    def is_loopback(self) -> bool:
        """Whether the host is this machine by its own spelling."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def authority_of(host: str, port: int) -> str:
    """Return a host and port as one text, an address of version 6 in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_public(address: str) -> bool:
    """Whether a numeric address is reachable from everywhere: private, shared and special ones are not."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    match parsed:
        case IPv4Address():
            is_special = parsed.is_multicast or parsed.is_reserved or any(parsed in each for each in REFUSED_4)
            return parsed.is_global and not is_special
        case IPv6Address():
            return parsed in UNICAST_6 and not any(parsed in each for each in REFUSED_6)


def private_of(addresses: Iterable[str]) -> str | None:
    """Return the first address that is not public, or None."""
    return next((each for each in addresses if not is_public(each)), None)


def destination_of(url: str, allowed: frozenset[str], param: str = "url") -> Destination:
    """Return where a URL leads; raises InvalidRequest unless it is https, or http to a loopback host in `allowed`."""
    if not 1 <= len(url) <= MAX_URL_CHARS or any(not "!" <= each <= "~" or each in '\\"<>' for each in url):
        raise InvalidRequest(
            f'"{param}" must be a URL of 1 to {MAX_URL_CHARS} ASCII characters without spaces, quotes and backslashes,'
            f" not {url[:80]!r}.",
            param=param,
        )
    destination = _split(url, param)
    if destination.scheme == "https":
        return destination
    if destination.is_loopback and destination.authority in allowed:
        return destination
    raise InvalidRequest(
        f'"{url[:200]}" is not https. Write an https:// URL; plain http goes to this machine only, to a port that the'
        f" operator allows with --webhook-host {destination.authority}.",
        param=param,
    )


def _split(url: str, param: str) -> Destination:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidRequest(f'"{url[:200]}" is no URL ({error}).', param=param) from error
    if "@" in parts.netloc:
        raise InvalidRequest(
            f'"{param}" carries a user name or password before its host. Take it out: every message is signed instead.',
            param=param,
        )
    if parts.scheme not in DEFAULT_PORTS or not host or port == 0 or parts.fragment:
        raise InvalidRequest(
            f'"{param}" must be a URL like https://hooks.example.com/headrace, not "{url[:200]}".', param=param
        )
    return Destination(parts.scheme, host, DEFAULT_PORTS[parts.scheme] if port is None else port)
