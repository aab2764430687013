"""Embeddings by the common door: what is refused, what is asked of the encoder, what comes back."""

import asyncio
import base64
import json
import struct
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

import pytest

from headrace.domain.access import Caller, Role
from headrace.domain.call import Call, Envelope, Operation
from headrace.domain.catalog import Model, ModelKind, Provider
from headrace.domain.errors import EngineFailed, HeadraceError, InvalidRequest, UpstreamRefused, UpstreamTimeout
from headrace.domain.json_value import JsonValue
from headrace.domain.plan import Deadlines, Endpoint, Target
from headrace.domain.price import PriceVersion
from headrace.domain.usage import Usage
from headrace.drivers.encoders.adapter import EncoderAdapter
from headrace.ports.upstream import Exchange, Prepared

P = ParamSpec("P")
T = TypeVar("T")

PRICE = PriceVersion("v", "here", "here/small", "2026-01-01", "", {})
MODEL = Model(
    id="here/small",
    provider="here",
    upstream_name="small",
    display_name="Small",
    owned_by="maker",
    kind=ModelKind.EMBEDDING,
    capabilities=frozenset(),
    context_length=512,
    max_output_tokens=0,
    default_output_tokens=0,
    released_on="2021-01-01",
    prices=(PRICE,),
    source="",
    checked_on="2026-01-01",
    dimensions=2,
)
TARGET = Target(MODEL, Provider("here", "Here", "encoder", "", "none", "", "", "2026-01-01"), PRICE, None, "asked")
CALLER = Caller("key", "key", "account", Role.KEY, None)
ENVELOPE = Envelope("here/small", False, False, None, 1, frozenset(), 0)
ENDPOINT = Endpoint("")


class Inline:
    """Work done on the spot."""

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return work(*args, **kwargs)


class Lengths:
    """An encoder whose vectors tell the length of the text, or that fails."""

    def __init__(self, failure: HeadraceError | None = None, *, hangs: bool = False) -> None:
        self.dimensions = 2
        self.failure = failure
        self.hangs = hangs
        self.asked: list[list[str]] = []

    async def embed(self, texts: Sequence[str]) -> tuple[list[list[float]], int]:
        self.asked.append(list(texts))
        if self.hangs:
            await asyncio.Event().wait()
        if self.failure is not None:
            raise self.failure
        return [[float(len(text)), 0.5] for text in texts], sum(map(len, texts))

    async def count(self, texts: Sequence[str]) -> int:
        return sum(map(len, texts))


class NoTransport:
    """A transport that must not be used."""

    async def send(self, endpoint: Endpoint, prepared: Prepared, deadlines: Deadlines) -> Exchange:
        raise AssertionError("an encoder in this process needs no transport")


def call(**body: JsonValue) -> Call:
    return Call("req", Operation.EMBEDDINGS, CALLER, ENVELOPE, {"model": "here/small", **body}, 0)


def adapter(encoder: Lengths) -> EncoderAdapter:
    return EncoderAdapter({"small": encoder}, Inline())


async def answer(encoder: Lengths, call_: Call, deadlines: Deadlines | None = None) -> tuple[dict[str, Any], Usage]:
    door = adapter(encoder)
    prepared = door.prepare(call_, TARGET)
    exchange = await door.open(NoTransport(), ENDPOINT, prepared, deadlines or Deadlines())
    reader = door.reader(call_, TARGET)
    assert exchange.status == 200
    assert exchange.headers["content-type"] == "application/json"
    while (block := await exchange.read()) is not None:
        assert reader.feed(block) == b""
    await exchange.close()
    reader.close()
    assert reader.failure is None
    assert reader.usage is not None
    return json.loads(reader.finish(reader.usage, {})), reader.usage


@pytest.mark.anyio
async def test_a_prompt_is_counted_without_vectors() -> None:
    encoder = Lengths()
    door = adapter(encoder)
    prepared = door.prepare(call(input=["four", "five5"]), TARGET)
    assert await door.count_prompt(NoTransport(), ENDPOINT, prepared, Deadlines()) == 9
    assert encoder.asked == []


@pytest.mark.anyio
async def test_a_single_text_becomes_openais_answer_with_the_catalogue_id() -> None:
    encoder = Lengths()
    body, usage = await answer(encoder, call(input="four", user="kept out"))
    assert encoder.asked == [["four"]]
    assert body == {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": [4.0, 0.5]}],
        "model": "here/small",
        "usage": {"prompt_tokens": 4, "total_tokens": 4},
    }
    assert (usage.input_fresh, usage.output_total, usage.source) == (4, 0, "upstream")


@pytest.mark.anyio
async def test_many_texts_keep_their_order() -> None:
    body, _ = await answer(Lengths(), call(input=["a", "bbb", "cc"]))
    assert [(each["index"], each["embedding"][0]) for each in body["data"]] == [(0, 1.0), (1, 3.0), (2, 2.0)]


@pytest.mark.anyio
async def test_base64_holds_little_endian_float32() -> None:
    body, _ = await answer(Lengths(), call(input="four", encoding_format="base64", dimensions=2))
    assert struct.unpack("<2f", base64.b64decode(body["data"][0]["embedding"])) == (4.0, 0.5)


@pytest.mark.parametrize(
    ("body", "param", "words"),
    [
        ({}, "input", "non-empty string"),
        ({"input": ""}, "input", "non-empty string"),
        ({"input": []}, "input", "1 to 2048 texts, not 0"),
        ({"input": ["a"] * 2049}, "input", "not 2049"),
        ({"input": ["a", ""]}, "input", "non-empty string"),
        ({"input": {"text": "a"}}, "input", "non-empty string"),
        ({"input": [1, 2]}, "input", "token numbers"),
        ({"input": [[1, 2]]}, "input", "token numbers"),
        ({"input": "a", "encoding_format": "int8"}, "encoding_format", "base64"),
        ({"input": "a", "dimensions": 3}, "dimensions", "must be 2 or absent"),
        ({"input": "a", "dimensions": "2"}, "dimensions", "must be 2 or absent"),
    ],
)
def test_refuses_what_an_encoder_cannot_take(body: dict[str, JsonValue], param: str, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words) as caught:
        adapter(Lengths()).prepare(call(**body), TARGET)
    assert caught.value.param == param


@pytest.mark.anyio
async def test_a_text_that_is_too_long_is_the_callers_fault() -> None:
    too_long = InvalidRequest("600 tokens", code="context_length_exceeded", param="input[0]")
    with pytest.raises(UpstreamRefused, match="600 tokens") as caught:
        await answer(Lengths(too_long), call(input="a"))
    assert (caught.value.status, caught.value.fault) == (400, "caller")
    assert (caught.value.code, caught.value.param) == ("context_length_exceeded", "input[0]")


@pytest.mark.anyio
async def test_other_failures_pass_as_they_are() -> None:
    with pytest.raises(EngineFailed, match="no weights"):
        await answer(Lengths(EngineFailed("no weights")), call(input="a"))


@pytest.mark.anyio
async def test_the_total_deadline_holds() -> None:
    with pytest.raises(UpstreamTimeout, match="1 texts took more than 0 s"):
        await answer(Lengths(hangs=True), call(input="a"), Deadlines(total_seconds=0))


def test_a_status_is_named_like_any_other_upstreams() -> None:
    assert adapter(Lengths()).failure(503, {}, b"").code == "upstream_unavailable"
