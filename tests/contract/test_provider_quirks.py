"""Each recording in tests/golden/providers through the real adapter, transport and reader: what leaves and comes back.

The recordings are written from public documents, or assumed where none was read; none was taken from a provider.
"""

import datetime
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import pytest

from headrace.app.adapters import PROVIDERS
from headrace.domain.call import Call, Dialect, Operation
from headrace.domain.catalog import Model, Quirks
from headrace.domain.credential import Credential
from headrace.domain.errors import HeadraceError
from headrace.domain.json_value import JsonObject
from headrace.domain.plan import Deadlines, Target
from headrace.domain.price import PriceVersion
from headrace.domain.secret import Secret
from headrace.domain.usage import Usage
from headrace.drivers.catalogs.files import shipped_files
from headrace.drivers.providers.anthropic import AnthropicAdapter
from headrace.drivers.providers.openai import OpenAiAdapter
from headrace.drivers.transports.http1_transport import Http1Transport
from headrace.ports.fleet import Compute
from headrace.ports.upstream import Adapter, Exchange, Reader
from headrace.services.catalog import Catalog, build_catalog
from headrace.services.fleet import TargetFleet
from headrace.testing.clock import FakeClock
from headrace.testing.script import Frame, Reply, UpstreamRequest, json_reply
from headrace.testing.upstream import FakeUpstream
from headrace.wire import anthropic_messages, openai_chat, openai_embeddings, rerank
from headrace.wire.catalog_file import CatalogText
from tests.contract.raw_upstream import trusting_nobody
from tests.fakes.nouns import CALLER

FOLDER = Path(__file__).parents[1] / "golden/providers"
EXAMPLES = Path(__file__).parents[2] / "src/headrace/catalog/examples"
CASES = sorted(FOLDER.glob("*/*.json"))
SECRET = "sk-recorded"
FIELDS = {
    "evidence",
    "source",
    "read_on",
    "about",
    "model",
    "dialect",
    "operation",
    "call",
    "sent",
    "reply",
    "expected",
}
OLLAMA = b"""
[provider]
name = "ollama"
[[models]]
id = "llama3.2:1b"
context_length = 131072
max_output_tokens = 8192
[[models.prices]]
effective = 2026-11-01
source = "our own machine"
input = "0"
output = "0"
"""


def catalog() -> Catalog:
    own = [CatalogText(path.name, path.stem, "operator", path.read_bytes()) for path in sorted(EXAMPLES.glob("*.toml"))]
    return build_catalog((*shipped_files(), *own, CatalogText("ollama.toml", "ollama", "operator", OLLAMA)))


CATALOG = catalog()


def read_case(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def adapter_named(name: str) -> Adapter:
    clock = FakeClock()
    if name == "anthropic":
        return AnthropicAdapter(clock)
    if name in PROVIDERS:
        return PROVIDERS[name](clock)
    return OpenAiAdapter(clock, {"openai": "max_tokens", "openai_platform": "max_completion_tokens"}[name])


def target_at(provider_name: str, model_id: str, origin: str) -> Target:
    provider = CATALOG.providers[provider_name]
    [model] = [each for each in CATALOG.models[model_id] if each.provider == provider_name]
    here = origin + urlsplit(provider.base_url).path
    credential = Credential("default", Secret(SECRET)) if provider.needs_credential else None
    provider = replace(provider, base_url=here)
    return Target(model, provider, price_of(model), None, "recorded", credential)


def price_of(model: Model) -> PriceVersion:
    price = model.price_on("2026-11-25")
    assert price is not None
    return price


def call_of(case: Mapping[str, Any]) -> Call:
    body = cast("JsonObject", case["call"])
    dialect = Dialect(case["dialect"])
    operation = Operation(case["operation"])
    read = openai_chat.read_envelope if dialect is Dialect.CHAT else anthropic_messages.read_envelope
    if operation is Operation.RERANK:
        read = rerank.read_envelope
    envelope = read(body, len(json.dumps(body)))
    return Call("req-1", operation, CALLER, envelope, body, 0, dialect)


def reply_of(case: Mapping[str, Any]) -> Reply:
    recorded = case["reply"]
    if "events" in recorded:
        frames = tuple(Frame(each.encode()) for each in recorded["events"])
        return Reply(headers=recorded["headers"], frames=frames, framing="chunked")
    reply = json_reply(recorded["json"], status=recorded["status"])
    return replace(reply, headers={**reply.headers, **recorded["headers"]})


async def body_of(exchange: Exchange) -> bytes:
    blocks: list[bytes] = []
    try:
        while (block := await exchange.read()) is not None:
            blocks.append(block)
    finally:
        await exchange.close()
    return b"".join(blocks)


async def answer_of(adapter: Adapter, call: Call, target: Target, exchange: Exchange) -> tuple[Reader, bytes]:
    """Read as a turn does; raises what the provider's answer means."""
    body = await body_of(exchange)
    if exchange.status >= 400:
        raise adapter.failure(exchange.status, exchange.headers, body)
    reader = adapter.reader(call, target)
    shown = reader.feed(body)
    reader.close()
    if reader.failure is not None:
        raise reader.failure
    assert reader.ended
    usage = reader.usage
    assert usage is not None
    return reader, shown + reader.finish(usage, {})


def events_in(stream: bytes) -> list[dict[str, Any]]:
    lines = (line for line in stream.decode().splitlines() if line.startswith("data: {"))
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def said(call: Call, shown: bytes) -> tuple[str, list[str], set[str]]:
    """The text, the arguments of the tool calls and the names of models in what the caller sees."""
    if call.dialect is Dialect.MESSAGES:
        return said_by_messages(events_in(shown))
    parts = events_in(shown) if call.envelope.stream else [json.loads(shown)]
    texts: list[str] = []
    arguments: dict[int, str] = {}
    for part in parts:
        for choice in part.get("choices", ()):
            piece: dict[str, Any] = choice.get("delta") or choice.get("message") or {}
            texts.append(piece.get("content") or "")
            for place, each in enumerate(piece.get("tool_calls") or ()):
                number = each.get("index", place)
                arguments[number] = arguments.get(number, "") + each["function"].get("arguments", "")
    return "".join(texts), list(arguments.values()), {part["model"] for part in parts}


def said_by_messages(events: Sequence[Mapping[str, Any]]) -> tuple[str, list[str], set[str]]:
    deltas = [event["delta"] for event in events if event["type"] == "content_block_delta"]
    pieces = "".join(delta.get("partial_json", "") for delta in deltas)
    models = {event["message"]["model"] for event in events if event["type"] == "message_start"}
    return "".join(delta.get("text", "") for delta in deltas), [pieces] if pieces else [], models


def check_sent(case: Mapping[str, Any], request: UpstreamRequest) -> None:
    sent = case["sent"]
    assert (request.method, request.path, request.query) == ("POST", sent["path"], sent.get("query", ""))
    assert request.json == sent["body"]
    for name, value in sent["headers"].items():
        assert request.header(name) == value
    assert sum(SECRET in value for _, value in request.headers) == bool(sent["headers"])


def check_usage(usage: Usage | None, expected: Mapping[str, int]) -> None:
    assert usage is not None
    counts = {each.value: quantity for each, quantity in usage.quantities()}
    assert {name: counts.get(name, 0) for name in expected} == expected
    assert not usage.estimated
    assert usage.anomaly is None


def check_error(error: HeadraceError, expected: Mapping[str, Any]) -> None:
    assert (error.code, error.status) == (expected["code"], expected["status"])
    assert getattr(error, "retry_after_seconds", None) == expected.get("retry_after_seconds")
    assert expected.get("says", "") in error.message
    assert getattr(error, "param", None) == expected.get("param")


@pytest.mark.anyio
@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}-{path.stem}")
async def test_a_recording(path: Path) -> None:
    case = read_case(path)
    call, expected = call_of(case), case["expected"]
    script = reply_of(case) if case["sent"] else ()
    own = Http1Transport("headrace/test", tls=trusting_nobody())
    async with FakeUpstream(script) as upstream, own as transport:
        target = target_at(path.parent.name, case["model"], upstream.origin)
        adapter = adapter_named(target.adapter)
        lease = await TargetFleet(cast("Compute", None)).acquire(target, 1.0)
        try:
            prepared = adapter.prepare(call, target)
            exchange = await adapter.open(transport, lease.endpoint, prepared, Deadlines())
            reader, shown = await answer_of(adapter, call, target, exchange)
        except HeadraceError as error:
            check_error(error, expected["error"])
        else:
            text, arguments, models = said(call, shown)
            assert "error" not in expected
            assert (text, arguments) == (expected.get("text", ""), expected.get("tool_arguments", []))
            assert models == {case["model"]}
            assert list(prepared.dropped) == expected.get("dropped", [])
            check_usage(reader.usage, expected["usage"])
        assert len(upstream.requests) == (1 if case["sent"] else 0)
        for request in upstream.requests:
            check_sent(case, request)


def test_embeddings_go_to_the_deployments_path_with_the_providers_headers() -> None:
    quirks = Quirks(embeddings_path="/deployments/{model}/embeddings?v=1", headers=(("x-title", "Headrace"),))
    plain = target_at("mistral", "mistral-embed", "http://127.0.0.1:1")
    target = replace(plain, provider=replace(plain.provider, quirks=quirks))
    body: JsonObject = {"model": "mistral-embed", "input": "water"}
    envelope = openai_embeddings.read_envelope(body, 10)
    call = Call("req-1", Operation.EMBEDDINGS, CALLER, envelope, body, 0)
    prepared = adapter_named(target.adapter).prepare(call, target)
    assert (prepared.path, prepared.headers) == ("/deployments/mistral-embed/embeddings?v=1", quirks.headers)
    assert json.loads(prepared.body) == body


def test_every_recording_says_where_it_is_from() -> None:
    for path in CASES:
        case = read_case(path)
        assert case.keys() == FIELDS, path
        assert case["evidence"] in ("documented", "assumed"), "nothing here was taken from a provider"
        assert case["source"].startswith("https://"), path
        assert datetime.date.fromisoformat(case["read_on"]) <= datetime.date(2026, 11, 25), path
        assert case["about"].endswith("."), path


def test_every_provider_but_the_embedded_has_recordings() -> None:
    recorded = {path.parent.name for path in CASES}
    assert recorded == CATALOG.providers.keys() - {"embedded"}
    for name in recorded - {"vllm", "sglang", "llamacpp", "ollama"}:
        cases = {path.stem for path in CASES if path.parent.name == name}
        answer = "rerank" if name == "cohere" else "stream"
        assert {answer, "error_401", "error_429"} <= cases or name in ("google",), name
        assert cases & {"error_500", "error_503", "error_529", "error_404"}, name
