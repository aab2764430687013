"""Which addresses may be sent to: no spelling of a private one, and nothing but https beyond this machine."""

from __future__ import annotations

import pytest

from headrace.domain.egress import Destination, destination_of, is_public, private_of
from headrace.domain.errors import InvalidRequest

NOBODY = frozenset[str]()
PUBLIC = ("93.184.216.34", "8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "2a00:1450:4001:80b::200e")
PRIVATE = (
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.0.9",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "64:ff9b::a00:1",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "3fff::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "localhost",
    "",
)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", PRIVATE)
def test_special_addresses_are_not(address: str) -> None:
    assert not is_public(address)


def test_one_private_address_among_public_ones_is_found() -> None:
    assert private_of([*PUBLIC, "10.0.0.1", "::1"]) == "10.0.0.1"
    assert private_of(PUBLIC) is None


def test_where_urls_lead() -> None:
    assert destination_of("https://hooks.example.com/a?b=c", NOBODY) == Destination("https", "hooks.example.com", 443)
    assert destination_of("https://HOOKS.example.com:8443", NOBODY).authority == "hooks.example.com:8443"
    assert destination_of("https://[2606:4700::1]/x", NOBODY).authority == "[2606:4700::1]:443"


@pytest.mark.parametrize("url", ["http://127.0.0.1:9000/x", "http://localhost:9000", "http://[::1]:9000/"])
def test_plain_http_goes_to_this_machine_where_it_is_allowed(url: str) -> None:
    allowed = frozenset({"127.0.0.1:9000", "localhost:9000", "[::1]:9000"})
    assert destination_of(url, allowed).is_loopback
    with pytest.raises(InvalidRequest, match="is not https"):
        destination_of(url, NOBODY)
    with pytest.raises(InvalidRequest, match="--webhook-host"):
        destination_of(url.replace("9000", "9001"), allowed)


def test_plain_http_goes_to_no_other_machine_even_if_it_is_allowed() -> None:
    with pytest.raises(InvalidRequest, match="is not https"):
        destination_of("http://10.0.0.7:9000/", frozenset({"10.0.0.7:9000"}))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hooks.example.com",
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:6379/_x",
        "javascript:alert(1)",
        "https://",
        "https:///path",
        "https://exa mple.com/",
        "https://example.com\\@127.0.0.1/",
        "https://example.com/\r\nx: y",
        "https://example.com/\x00",
        "https://example.com/#part",
        "https://ex\u00e4mple.com/",
        "https://\u2488\u2488\u2488/",
        "https://example.com:0/",
        "https://example.com:99999/",
        "https://example.com:abc/",
        "https://[::1/",
        "https://user@example.com/",
        "https://user:secret@example.com/",
        "https://@example.com/",
        "https://example.com/" + "a" * 2048,
    ],
)
def test_what_is_no_url_for_us_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        destination_of(url, NOBODY)
    assert caught.value.param == "url"
    assert "secret" not in caught.value.message
