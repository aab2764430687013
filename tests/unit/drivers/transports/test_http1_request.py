"""The sending side: where a URL leads, and the head that is sent there."""

import pytest

from headrace.domain.errors import UpstreamUnavailable
from headrace.domain.plan import Endpoint
from headrace.domain.secret import Secret
from headrace.drivers.transports.http1_request import Origin, request_head, route_to
from headrace.ports.upstream import Prepared


@pytest.mark.parametrize(
    ("url", "origin", "host", "target"),
    [
        ("http://a.example/v1/chat", Origin("a.example", 80, False), "a.example", "/v1/chat"),
        ("https://A.Example:443/v1", Origin("a.example", 443, True), "a.example", "/v1"),
        ("http://a.example:443", Origin("a.example", 443, False), "a.example:443", "/"),
        ("https://[::1]:8443/v1", Origin("::1", 8443, True), "[::1]:8443", "/v1"),
        ("https://bücher.example/v1", Origin("xn--bcher-kva.example", 443, True), "xn--bcher-kva.example", "/v1"),
        ("http://a.example?v=1", Origin("a.example", 80, False), "a.example", "/?v=1"),
        ("http://a/m/x y#z%20/ü?a=b&c", Origin("a", 80, False), "a", "/m/x%20y%23z%20/%C3%BC?a=b&c"),
    ],
)
def test_where_a_url_leads(url: str, origin: Origin, host: str, target: str) -> None:
    route = route_to(url, "agent")
    assert route.origin == origin
    assert route.lines["host"] == f"Host: {host}"
    assert route.request_line == f"POST {target} HTTP/1.1"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "local:",
        "a.example/v1",
        "ftp://a.example",
        "http://",
        "http:///v1",
        "http://:80",
        "http://a:0",
        "http://a:65536",
        "http://a:b",
        "http://[::1",
        "http://a@b",
        "http://a..b",
        "http://" + "a" * 64,
    ],
)
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(UpstreamUnavailable) as caught:
        route_to(url, "agent")
    assert caught.value.code == "upstream_unreachable"
    assert repr(url) in str(caught.value.detail)


def head_of(*headers: tuple[str, str], auth: tuple[str, str] | None = None) -> list[str]:
    endpoint = Endpoint("http://a") if auth is None else Endpoint("http://a", auth[0], Secret(auth[1]))
    prepared = Prepared("/", b"12", stream=True, headers=headers)
    *lines, last, end = request_head(route_to("http://a/", "agent"), endpoint, prepared).decode("latin-1").split("\r\n")
    assert (last, end) == ("", "")
    return lines


def test_a_head_without_anything_special() -> None:
    assert head_of() == [
        "POST / HTTP/1.1",
        "Host: a",
        "User-Agent: agent",
        "Accept: */*",
        "Accept-Encoding: identity",
        "Content-Type: application/json",
        "Content-Length: 2",
    ]


def test_a_later_header_replaces_an_earlier_one_and_the_credential_all() -> None:
    lines = head_of(("x-a", "1"), ("content-type", "text/é"), ("X-A", "2"), ("X-Key", "no"), auth=("x-key", "yes"))
    assert lines[5:] == ["content-type: text/é", "X-A: 2", "x-key: yes", "Content-Length: 2"]


def test_nobody_else_says_how_long_the_body_is() -> None:
    assert head_of(("content-length", "7"))[-1] == "Content-Length: 2"
    with pytest.raises(UpstreamUnavailable):
        head_of(("Transfer-Encoding", "chunked"))


@pytest.mark.parametrize("value", ["a\r\nb: c", "a\n", "\r", "a\0", "水", "a\r\n"])
def test_a_header_that_would_end_early_is_refused_without_showing_it(value: str) -> None:
    for headers, auth in [((("x-a", value),), None), ((), ("authorization", f"Bearer {value}"))]:
        with pytest.raises(UpstreamUnavailable) as caught:
            head_of(*headers, auth=auth)
        error = caught.value
        assert value not in f"{error.message} {error.detail} {error.__cause__!r}"
        assert error.__suppress_context__ or error.__context__ is None
