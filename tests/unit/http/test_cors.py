"""Which pages of a browser may read replies."""

import pytest

from headrace.http.cors import CrossOrigin
from headrace.http.edge import Message, Receive, Scope, Send
from headrace.services.reply_headers import ROUTING_HEADERS

pytestmark = pytest.mark.anyio
HERE, THERE = b"https://console.example", b"https://evil.example"


class Browser:
    """Sends one request through the door and keeps what comes back."""

    def __init__(self, *origins: str) -> None:
        self.served: list[str] = []
        self.app = CrossOrigin(self.serve, origins)

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.served.append(scope["method"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    async def ask(self, method: str, *headers: tuple[bytes, bytes]) -> tuple[int, dict[bytes, bytes]]:
        sent: list[Message] = []

        async def receive() -> Message:
            raise AssertionError("nothing is read here")

        async def send(message: Message) -> None:
            sent.append(message)

        await self.app({"type": "http", "method": method, "headers": list(headers)}, receive, send)
        assert len(sent) == 2
        return sent[0]["status"], dict(sent[0]["headers"])


async def test_a_request_of_no_browser_passes_untouched() -> None:
    browser = Browser(HERE.decode())
    assert await browser.ask("POST") == (200, {})


async def test_an_allowed_origin_may_read_the_reply() -> None:
    status, headers = await Browser(HERE.decode()).ask("POST", (b"origin", HERE))
    assert (status, headers[b"access-control-allow-origin"], headers[b"vary"]) == (200, HERE, b"origin")
    exposed = headers[b"access-control-expose-headers"].decode().split(", ")
    assert {"x-request-id", "x-headrace-model", "x-headrace-provider", *ROUTING_HEADERS} <= set(exposed)
    assert b"access-control-allow-credentials" not in headers


@pytest.mark.parametrize("origin", [THERE, b"null", b"https://console.example.evil", b"HTTPS://CONSOLE.EXAMPLE", b""])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_another_origin_may_not(origin: bytes, method: str) -> None:
    browser = Browser(HERE.decode())
    status, headers = await browser.ask(method, (b"origin", origin))
    assert (status, headers) == (200, {b"vary": b"origin"})
    assert browser.served == [method]


async def test_two_origins_are_none() -> None:
    _, headers = await Browser(HERE.decode()).ask("GET", (b"origin", HERE), (b"origin", HERE))
    assert b"access-control-allow-origin" not in headers


async def test_a_preflight_is_answered_here() -> None:
    browser = Browser(HERE.decode())
    asked = ((b"access-control-request-method", b"POST"), (b"access-control-request-headers", b"authorization"))
    status, headers = await browser.ask("OPTIONS", (b"origin", HERE), *asked)
    assert (status, headers[b"access-control-allow-origin"]) == (204, HERE)
    assert headers[b"access-control-allow-headers"] == b"authorization"
    assert headers[b"access-control-allow-methods"] == b"GET, HEAD, POST, PUT, PATCH, DELETE"
    status, headers = await browser.ask("OPTIONS", (b"origin", THERE), *asked)
    assert (status, headers) == (403, {b"vary": b"origin", b"content-length": b"0"})
    assert browser.served == []
