"""Chat calls as the turn makes them, for tests of the engine's adapter: prepare, open, feed, finish."""

import json
from pathlib import Path
from typing import cast

from headrace.domain.access import Caller, Role
from headrace.domain.call import Call, Operation
from headrace.domain.catalog import LocalRunning, Model, ModelKind, Provider, WeightsFile
from headrace.domain.deployment import DeploymentSpec, OwnerLoss
from headrace.domain.errors import HeadraceError
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.plan import Deadlines, Endpoint, Target
from headrace.domain.price import PriceVersion
from headrace.domain.usage import TokenClass, Usage
from headrace.drivers.engines.llamacpp_adapter import LlamaCppAdapter
from headrace.ports.upstream import Exchange, Reader, Transport
from headrace.wire.openai_chat import read_envelope
from tests.fakes.deployed import a_spec

CALLER = Caller("key_1", "test", "account", Role.KEY, None)
WEIGHTS = WeightsFile("toy.gguf", "0" * 64, 1, "Apache-2.0", ())


def chat_call(**body: JsonValue) -> Call:
    fields: JsonObject = {"model": "smollm2-135m", **body}
    fields.setdefault("messages", [{"role": "user", "content": "Hello"}])
    return Call("req_1", Operation.CHAT, CALLER, read_envelope(fields, len(json.dumps(fields))), fields, 0)


def local_target(model_id: str = "smollm2-135m") -> Target:
    price = PriceVersion("p", "local", model_id, "2026-01-01", "", dict.fromkeys(TokenClass, 1))
    model = Model(
        id=model_id,
        provider="local",
        upstream_name=model_id,
        display_name=model_id,
        owned_by="test",
        kind=ModelKind.CHAT,
        capabilities=frozenset(),
        context_length=512,
        max_output_tokens=256,
        default_output_tokens=64,
        released_on="2026-01-01",
        prices=(price,),
        source="",
        checked_on="2026-01-01",
        local=LocalRunning("llamacpp", (WEIGHTS,), 1),
    )
    provider = Provider("local", "Local", "llamacpp", "", "none", "", "", "2026-01-01")
    return Target(model, provider, price, model_id, "test")


def local_deployment(weights: Path, slots: int = 2, context_length: int = 1024) -> DeploymentSpec:
    """A small model as an embedded deployment."""
    return a_spec(
        id="smollm2-135m",
        model_id="smollm2-135m",
        engine="llamacpp",
        weights=(weights,),
        memory_bytes=400 * 1024**2,
        context_length=context_length,
        slots=slots,
        idle_seconds=600,
        on_owner_loss=OwnerLoss.STOP,
    )


def frames_of(stream: bytes) -> list[JsonObject]:
    """The chunks of a stream as the caller sees them; the terminator must be its end."""
    *frames, done = [frame for frame in stream.split(b"\n\n") if frame]
    assert done == b"data: [DONE]"
    return [cast("JsonObject", json.loads(frame.removeprefix(b"data: "))) for frame in frames]


def ended(reader: Reader) -> bytes:
    """The rest of the reply, settled at the engine's own usage."""
    reader.close()
    if reader.failure is not None:
        raise reader.failure
    assert reader.usage is not None
    return reader.finish(reader.usage, {})


async def answer(
    adapter: LlamaCppAdapter, transport: Transport, endpoint: Endpoint, target: Target, call: Call
) -> tuple[bytes, Usage]:
    """One whole call over a transport; raises what the adapter makes of a refusal."""
    exchange = await adapter.open(transport, endpoint, adapter.prepare(call, target), Deadlines())
    try:
        if exchange.status >= 400:
            raise await refusal(adapter, exchange)
        reader = adapter.reader(call, target)
        out = b""
        while (block := await exchange.read()) is not None:
            out += reader.feed(block)
        out += ended(reader)
        assert reader.usage is not None
        return out, reader.usage
    finally:
        await exchange.close()


async def refusal(adapter: LlamaCppAdapter, exchange: Exchange) -> HeadraceError:
    body = b""
    while (block := await exchange.read()) is not None:
        body += block
    return adapter.failure(exchange.status, exchange.headers, body)
