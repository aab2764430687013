"""Several streams of one engine merged into one: indexes, usage, endings and failures."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import pytest

from headrace.domain.errors import EngineFailed, HeadraceError, UpstreamTruncated
from headrace.domain.json_value import JsonObject
from headrace.drivers.engines.llamacpp_fanout import MergedExchange
from headrace.ports.upstream import Exchange


class ScriptedExchange:
    """Gives out its blocks, then a clean end or the failure that it was given."""

    def __init__(self, *blocks: bytes, status: int = 200, failure: HeadraceError | None = None) -> None:
        self.blocks = list(blocks)
        self.status = status
        self.headers: Mapping[str, str] = {"content-type": "text/event-stream"}
        self.failure = failure
        self.is_closed = False

    async def read(self) -> bytes | None:
        if self.blocks:
            return self.blocks.pop(0)
        if self.failure is not None:
            raise self.failure
        return None

    async def close(self) -> None:
        self.is_closed = True


def frame(**fields: Any) -> bytes:
    return b"data: " + json.dumps(fields).encode() + b"\n\n"


def stream(identity: str, *texts: str, prompt: int = 5, cached: int = 0, done: bool = True) -> bytes:
    frames = [frame(id=identity, choices=[{"index": 0, "delta": {"content": text}}]) for text in texts]
    frames.append(frame(id=identity, choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}]))
    usage = {
        "prompt_tokens": prompt,
        "completion_tokens": len(texts),
        "total_tokens": prompt + len(texts),
        "prompt_tokens_details": {"cached_tokens": cached},
    }
    frames.append(frame(id=identity, choices=[], usage=usage, timings={"prompt_ms": 1.5}))
    return b"".join(frames) + (b"data: [DONE]\n\n" if done else b"")


def opening(exchange: ScriptedExchange) -> Callable[[], Coroutine[Any, Any, Exchange]]:
    async def opened() -> Exchange:
        return exchange

    return opened


def named(status: int, headers: Mapping[str, str], body: bytes) -> HeadraceError:
    del headers
    return EngineFailed(f"{status}: {body.decode()}")


def merged(*exchanges: ScriptedExchange) -> MergedExchange:
    return MergedExchange(exchanges[0], [opening(each) for each in exchanges[1:]], named)


async def read_all(exchange: Exchange) -> bytes:
    out = b""
    while (block := await exchange.read()) is not None:
        out += block
    return out


def decoded(out: bytes) -> list[JsonObject]:
    frames = [each for each in out.split(b"\n\n") if each and each != b"data: [DONE]"]
    return [json.loads(each.removeprefix(b"data: ")) for each in frames]


@pytest.mark.parametrize("block_bytes", [1, 13, 10_000])
async def test_every_choice_has_its_index_and_usage_is_the_sum(block_bytes: int) -> None:
    streams = [stream("a", "x", "y", cached=1), stream("b", "z", cached=2), stream("c", "1", "2", "3", cached=4)]
    exchanges = [
        ScriptedExchange(*(whole[at : at + block_bytes] for at in range(0, len(whole), block_bytes)))
        for whole in streams
    ]
    exchange = merged(*exchanges)
    assert exchange.status == 200
    assert exchange.headers == exchanges[0].headers
    out = await read_all(exchange)
    assert out.endswith(b"data: [DONE]\n\n")
    assert out.count(b"[DONE]") == 1
    chunks = decoded(out)
    texts: dict[int, str] = {}
    for chunk in json.loads(json.dumps(chunks)):
        assert chunk["id"] == chunks[0]["id"]
        for choice in chunk["choices"]:
            texts[choice["index"]] = texts.get(choice["index"], "") + choice["delta"].get("content", "")
    assert texts == {0: "xy", 1: "z", 2: "123"}
    assert [chunk["usage"] for chunk in chunks if "usage" in chunk] == [
        {
            "prompt_tokens": 15,
            "completion_tokens": 6,
            "total_tokens": 21,
            "prompt_tokens_details": {"cached_tokens": 7},
        }
    ]
    await exchange.close()
    assert all(each.is_closed for each in exchanges)


async def test_one_stream_without_its_end_leaves_the_whole_without_one() -> None:
    out = await read_all(merged(ScriptedExchange(stream("a", "x")), ScriptedExchange(stream("b", "y", done=False))))
    assert b"[DONE]" not in out


async def test_a_failure_in_one_stream_is_the_whole_answers() -> None:
    broken = ScriptedExchange(frame(id="b", choices=[]), failure=UpstreamTruncated("cut"))
    exchange = merged(ScriptedExchange(stream("a", "x")), broken)
    with pytest.raises(UpstreamTruncated, match="cut"):
        await read_all(exchange)
    await exchange.close()
    assert broken.is_closed


async def test_a_later_refusal_is_named() -> None:
    exchange = merged(ScriptedExchange(stream("a", "x")), ScriptedExchange(b"no ", b"slot", status=503))
    with pytest.raises(EngineFailed, match="503: no slot"):
        await read_all(exchange)
    await exchange.close()


async def test_a_defect_of_our_own_is_not_waited_for_forever() -> None:
    async def defective() -> Exchange:
        raise ZeroDivisionError

    exchange = MergedExchange(ScriptedExchange(stream("a", "x")), [defective], named)
    with pytest.raises(ZeroDivisionError):
        await read_all(exchange)
    await exchange.close()


async def test_an_error_frame_and_foreign_bytes_pass_as_they_came() -> None:
    error = frame(error={"code": 500, "message": "broken"})
    out = await read_all(merged(ScriptedExchange(error, b": comment\n\n", b"data: {oops\n\n"), ScriptedExchange()))
    assert error in out
    assert b": comment\n\n" in out
    assert b"data: {oops\n\n" in out


async def test_closing_early_ends_every_stream_and_what_is_not_read_waits() -> None:
    long = [stream("a", *("x" * 1000)), stream("b", *("y" * 1000))]
    exchanges = [ScriptedExchange(*(whole[at : at + 100] for at in range(0, len(whole), 100))) for whole in long]
    exchange = merged(*exchanges)
    await exchange.read()
    assert all(each.blocks for each in exchanges)
    await exchange.close()
    assert all(each.is_closed for each in exchanges)
