"""Names of upstreams: looked up once for all, kept, and survived when the name server fails, hangs or flaps."""

from __future__ import annotations

import asyncio

import pytest

from headrace.drivers.transports import addresses as module
from headrace.drivers.transports.addresses import Addresses

pytestmark = pytest.mark.anyio


class NameServer:
    """Answers as it is told to, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.answer: list[str] | Exception | None = ["192.0.2.1"]

    async def look_up(self, host: str, port: int) -> list[str]:
        self.asked += 1
        if self.answer is None:
            await asyncio.Event().wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return list(self.answer or ())


async def test_all_who_ask_at_once_share_one_look_up_and_its_answer_is_kept() -> None:
    server = NameServer()
    found = Addresses(server.look_up)
    assert await asyncio.gather(*(found.of("a.example", 443) for _ in range(50))) == [["192.0.2.1"]] * 50
    assert (await found.of("a.example", 443), server.asked) == (["192.0.2.1"], 1)
    await found.of("a.example", 80)
    assert server.asked == 2


async def test_an_address_is_not_looked_up() -> None:
    server = NameServer()
    found = Addresses(server.look_up)
    assert (await found.of("127.0.0.1", 1), await found.of("::1", 1), server.asked) == (["127.0.0.1"], ["::1"], 0)


@pytest.mark.parametrize("answer", [OSError("SERVFAIL"), UnicodeError("label"), None], ids=["failing", "odd", "silent"])
async def test_the_last_good_addresses_serve_while_the_name_server_does_not(answer: Exception | None) -> None:
    server = NameServer()
    found = Addresses(server.look_up, fresh_seconds=0, patience_seconds=0.01)
    await found.of("a.example", 443)
    server.answer = answer
    asking = [found.of("a.example", 443) for _ in range(20)]
    assert await asyncio.gather(*asking) == [["192.0.2.1"]] * 20
    assert server.asked == 2
    if answer is not None:
        server.answer = ["192.0.2.9"]
        assert await found.of("a.example", 443) == ["192.0.2.9"]
    found.close()
    await asyncio.sleep(0)


async def test_what_was_never_found_or_is_too_old_is_not_made_up() -> None:
    server = NameServer()
    found = Addresses(server.look_up, fresh_seconds=0, stale_seconds=0)
    await found.of("a.example", 443)
    server.answer = OSError("NXDOMAIN")
    for _ in range(2):
        with pytest.raises(OSError, match="NXDOMAIN"):
            await found.of("a.example", 443)
    assert server.asked == 3


async def test_a_caller_who_gives_up_leaves_the_look_up_to_the_others() -> None:
    server = NameServer()
    server.answer = None
    found = Addresses(server.look_up)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await found.of("a.example", 443)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await found.of("a.example", 443)
    assert server.asked == 1
    found.close()
    await asyncio.sleep(0)


async def test_the_names_that_are_kept_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_NAMES", 2)
    server = NameServer()
    found = Addresses(server.look_up)
    for name in ("a", "b", "c", "a"):
        await found.of(name, 1)
    assert server.asked == 4
