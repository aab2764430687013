"""The official `openai` SDK, unmodified, against the real server: embedded models and a scriptable provider."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import OpenAI

from headrace.testing.obedient import obedient_answer
from headrace.testing.openai_replies import Chat, ToolCall, chat_reply, chat_stream, error_reply
from headrace.testing.upstream import FakeUpstream, running_upstream
from headrace.testing.waiting import Gate
from tests.running import RunningHeadrace, eventually

SMOLLM = "smollm2-135m"
MINILM = "all-minilm-l6-v2"
FAKE = "fake-chat"
HELLO: list[Any] = [{"role": "user", "content": "Say hello."}]
WEATHER: list[Any] = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "strict": True,
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
]
FORMAT: Any = {
    "type": "json_schema",
    "json_schema": {"name": "greeting", "strict": True, "schema": {"type": "object", "x-vendor": [1, 2.5, None]}},
}
REFUSALS = [
    (error_reply(429, "slow down", retry_after=7), openai.RateLimitError, 429, "upstream_rate_limited"),
    (error_reply(401, "bad key"), openai.APIStatusError, 502, "upstream_auth_failed"),
    (error_reply(400, "no such thing", code="bad_thing"), openai.BadRequestError, 400, "bad_thing"),
    (error_reply(500, "oops"), openai.InternalServerError, 502, "upstream_unavailable"),
    (error_reply(402, "no money"), openai.InternalServerError, 502, "upstream_quota_exhausted"),
]


@dataclass(frozen=True)
class World:
    """A running installation, the provider behind it and a client of it."""

    server: RunningHeadrace
    upstream: FakeUpstream
    client: OpenAI

    def sent(self) -> dict[str, Any]:
        """The body of the last request that left the process."""
        return dict(self.upstream.requests[-1].fields)


def sdk(server: RunningHeadrace, token: str | None = None) -> OpenAI:
    """The SDK as a user makes it, without the retries that would hide an answer."""
    return OpenAI(base_url=f"{server.base_url}/v1", api_key=token or server.api_key, max_retries=0, timeout=90)


def dot(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory,
    weights_cache: Path,
    smollm_path: Path,
    minilm_paths: tuple[Path, Path],
) -> Iterator[World]:
    server = RunningHeadrace(tmp_path_factory.mktemp("sdk") / "home")
    server.take_weights(weights_cache)
    with running_upstream() as upstream:
        server.add_provider("fake", upstream.base_url, FAKE)
        for *_, code in REFUSALS:
            server.add_provider(f"fails-{code}".replace("_", "-"), upstream.base_url, f"fails-{code}")
        # Faults come in a row here, and each is looked at: the breaker would leave the provider alone.
        (server.home / "headrace.toml").write_text("[limits]\nbreaker_failures = 0\n")
        with server, sdk(server) as client:
            yield World(server, upstream, client)


@pytest.fixture
def world(running: World) -> World:
    running.upstream.follow(obedient_answer)
    return running


def test_a_chat_streams_from_an_embedded_model_with_usage_in_the_last_chunk(world: World) -> None:
    stream = world.client.chat.completions.create(
        model=SMOLLM, messages=HELLO, stream=True, stream_options={"include_usage": True}, max_tokens=12, seed=7
    )
    chunks = list(stream)
    assert {chunk.model for chunk in chunks} == {SMOLLM}
    assert "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices).strip()
    assert [chunk.usage is not None for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    usage = chunks[-1].usage
    assert usage is not None and chunks[-1].choices == []
    assert usage.prompt_tokens > 0 and 1 <= usage.completion_tokens <= 12
    money: dict[str, Any] = (chunks[-1].model_extra or {})["headrace"]
    receipt = world.server.receipt(money["request_id"])
    [attempt] = receipt["attempts"]
    used = attempt["usage"]
    assert used["input_fresh"] + used["input_cache_read"] == usage.prompt_tokens
    assert used["output_text"] == usage.completion_tokens
    assert receipt["charge_nano_usd"] == money["cost_nano_usd"] > 0
    assert receipt["charge_nano_usd"] == sum(line["charge_nano_usd"] for line in attempt["lines"])
    assert attempt["price"]["version"].startswith(f"embedded/{SMOLLM}@2026-11-01")


def test_a_whole_chat_comes_from_an_embedded_model_with_its_cost_in_the_headers(world: World) -> None:
    raw = world.client.chat.completions.with_raw_response.create(model=SMOLLM, messages=HELLO, max_tokens=8)
    answer = raw.parse()
    assert answer.model == SMOLLM and answer.object == "chat.completion"
    assert (answer.choices[0].message.content or "").strip()
    assert answer.usage is not None and 1 <= answer.usage.completion_tokens <= 8
    assert raw.headers["x-headrace-model"] == SMOLLM
    receipt = world.server.receipt(raw.headers["x-request-id"])
    assert receipt["charge_nano_usd"] == int(raw.headers["x-headrace-cost-nano-usd"]) > 0
    assert receipt["charge_usd"] == raw.headers["x-headrace-cost-usd"]


def test_embeddings_come_as_the_sdks_own_base64_and_as_floats_and_agree(world: World) -> None:
    texts = ["the river turns the wheel", "a stream drives the mill", "quarterly tax report"]
    default = world.client.embeddings.create(model=MINILM, input=texts)
    floats = world.client.embeddings.create(model=MINILM, input=texts, encoding_format="float")
    assert default.model == floats.model == MINILM
    assert default.usage.prompt_tokens == floats.usage.prompt_tokens > len(texts)
    assert [each.index for each in floats.data] == [0, 1, 2]
    vectors = [each.embedding for each in floats.data]
    for packed, plain in zip((each.embedding for each in default.data), vectors, strict=True):
        assert packed == pytest.approx(plain, abs=1e-6)
        assert len(plain) == 384 and dot(plain, plain) == pytest.approx(1.0, abs=1e-3)
    assert dot(vectors[0], vectors[1]) > dot(vectors[0], vectors[2]) + 0.1


def test_the_models_that_can_be_called_are_listed_and_found(world: World) -> None:
    listed = {each.id: each for each in world.client.models.list()}
    assert {SMOLLM, MINILM, FAKE} <= listed.keys()
    assert "gpt-5.4-mini" not in listed, "its provider has no key"
    found = world.client.models.retrieve(SMOLLM)
    extra = found.model_extra or {}
    assert (found.id, found.object, found.owned_by) == (SMOLLM, "model", "HuggingFaceTB")
    assert (extra["type"], extra["context_length"], extra["max_output_tokens"]) == ("chat", 4096, 2048)
    assert extra["prices_usd_per_mtok"]["output_text"] == "0.018" and "json_schema" in extra["capabilities"]
    assert (world.client.models.retrieve(MINILM).model_extra or {})["type"] == "embedding"
    unavailable = world.client.models.retrieve("gpt-5.4-mini").model_extra or {}
    assert unavailable["available"] is False and "headrace providers set-key openai" in unavailable["unavailable_fix"]
    with pytest.raises(openai.NotFoundError) as caught:
        world.client.models.retrieve("smollm2-136m")
    assert 'Did you mean "smollm2-135m"?' in str(caught.value)


def test_callers_faults_become_the_sdks_own_errors(world: World) -> None:
    client = world.client
    with pytest.raises(openai.AuthenticationError) as unknown:
        sdk(world.server, "hr_nobody").models.list()
    assert unknown.value.code == "invalid_api_key"
    with pytest.raises(openai.NotFoundError) as missing:
        client.chat.completions.create(model="smolm2-135m", messages=HELLO)
    assert (missing.value.code, missing.value.param) == ("model_not_found", "model")
    assert missing.value.type == "invalid_request_error" and missing.value.request_id
    with pytest.raises(openai.BadRequestError) as wrong:
        client.chat.completions.create(model=SMOLLM, messages=HELLO, max_tokens=0)
    assert (wrong.value.code, wrong.value.param) == ("invalid_request", "max_tokens")
    with pytest.raises(openai.BadRequestError) as kind:
        client.chat.completions.create(model=MINILM, messages=HELLO)
    assert kind.value.code == "wrong_model_kind"
    with pytest.raises(openai.NotFoundError) as keyless:
        client.chat.completions.create(model="gpt-5", messages=HELLO)
    assert keyless.value.code == "model_unavailable" and "headrace providers set-key openai" in str(keyless.value)


def test_a_key_that_may_not_call_a_model_raises_permission_denied(world: World) -> None:
    with world.server.client(world.server.admin_token) as admin:
        made = admin.post("/v2/gen-ai/models/api_keys", json={"name": "narrow", "models": [FAKE]}).json()
    narrow = sdk(world.server, made["api_key_info"]["secret_key"])
    assert [each.id for each in narrow.models.list()] == [FAKE, "inference-router"]
    assert narrow.chat.completions.create(model=FAKE, messages=HELLO).choices
    with pytest.raises(openai.PermissionDeniedError) as caught:
        narrow.chat.completions.create(model=SMOLLM, messages=HELLO)
    assert caught.value.code == "model_forbidden"


def test_a_model_whose_price_lies_in_the_future_raises_402(world: World) -> None:
    file = world.server.home / "catalog" / "later.toml"
    world.server.add_provider("later", world.upstream.base_url, "later-chat")
    file.write_text(file.read_text().replace("effective = 2026-01-01", "effective = 2999-01-01"))
    with world.server.client(world.server.admin_token) as admin:
        assert admin.post("/v2/config/reload").status_code == 200
    before = len(world.upstream.requests)
    with pytest.raises(openai.APIStatusError) as caught:
        world.client.chat.completions.create(model="later-chat", messages=HELLO)
    assert (caught.value.status_code, caught.value.code) == (402, "model_unpriced")
    assert "later.toml" in str(caught.value) and len(world.upstream.requests) == before


@pytest.mark.parametrize(("reply", "kind", "status", "code"), REFUSALS, ids=[each[3] for each in REFUSALS])
def test_upstream_faults_become_the_sdks_own_errors(
    world: World, reply: Any, kind: type[openai.APIStatusError], status: int, code: str
) -> None:
    world.upstream.follow([reply])
    with pytest.raises(kind) as caught:
        world.client.chat.completions.create(model=f"fails-{code}", messages=HELLO)
    assert (caught.value.status_code, caught.value.code) == (status, code)
    if status == 429:
        assert caught.value.response.headers["retry-after"] == "7"
    receipt = world.server.receipt(caught.value.request_id or "")
    assert (receipt["attempts"][0]["state"], receipt["charge_nano_usd"]) == ("voided", 0)


def test_what_the_caller_asks_for_leaves_the_process_unchanged(world: World) -> None:
    asked: dict[str, Any] = {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "Grüße, 世界"}], "name": "ada"},
        ],
        "tools": WEATHER,
        "tool_choice": {"type": "function", "function": {"name": "get_weather"}},
        "response_format": FORMAT,
        "logprobs": True,
        "top_logprobs": 3,
        "n": 2,
        "stop": ["\n\n", "END"],
        "seed": 20261124,
        "temperature": 0.25,
        "max_completion_tokens": 77,
        "user": "user-1",
    }
    vendor = {"min_p": 0.05, "reasoning": {"effort": "low", "x": [None, True]}, "top_k": 40}
    world.upstream.follow(chat_reply(Chat('{"city": "Oslo", "celsius": 3}', choices=2)))
    world.client.chat.completions.create(model=FAKE, extra_body=vendor, **asked)
    sent = world.sent()
    assert sent.pop("model") == f"{FAKE}-upstream"
    asked["max_tokens"] = asked.pop("max_completion_tokens")
    assert sent == {**asked, **vendor}


@pytest.mark.parametrize("asks_for_usage", [True, False])
def test_usage_is_always_asked_for_upstream_and_hidden_unless_the_caller_asked(
    world: World, asks_for_usage: bool
) -> None:
    options: Any = {"include_usage": True} if asks_for_usage else openai.omit
    stream = world.client.chat.completions.create(model=FAKE, messages=HELLO, stream=True, stream_options=options)
    chunks = list(stream)
    assert world.sent()["stream_options"] == {"include_usage": True}
    assert any(chunk.usage is not None for chunk in chunks) is asks_for_usage
    assert {chunk.model for chunk in chunks} == {FAKE}
    receipt = world.server.receipt(stream.response.headers["x-request-id"])
    [attempt] = receipt["attempts"]
    assert (attempt["usage"]["source"], attempt["usage"]["output_text"]) == ("upstream", 5)
    assert (attempt["model"], attempt["identity"]) == (FAKE, f"{FAKE}-upstream")


@pytest.mark.parametrize("streamed", [True, False])
def test_tool_calls_of_the_provider_arrive_whole(world: World, streamed: bool) -> None:
    call = ToolCall("call_1", "get_weather", '{"city":"Zürich"}', piece_characters=3)
    chat = Chat("", tool_calls=(call,), finish_reason="tool_calls")
    world.upstream.follow(chat_stream(chat) if streamed else chat_reply(chat))
    if streamed:
        with world.client.chat.completions.stream(model=FAKE, messages=HELLO, tools=WEATHER) as stream:
            answer: Any = stream.get_final_completion()
    else:
        answer = world.client.chat.completions.create(model=FAKE, messages=HELLO, tools=WEATHER)
    [got] = answer.choices[0].message.tool_calls
    assert (got.id, got.function.name, got.function.arguments) == ("call_1", "get_weather", '{"city":"Zürich"}')
    assert (answer.model, answer.choices[0].finish_reason) == (FAKE, "tool_calls")


@pytest.mark.parametrize("fault", ["error event", "cut", "reset"])
def test_a_failure_in_mid_stream_raises_and_never_looks_complete(world: World, fault: str) -> None:
    whole = chat_stream(Chat("one two three four five six"))
    cut_after = whole.frame_starts[4]
    replies = {
        "error event": chat_stream(Chat("one two three four five six", error_at_frame=4)),
        "cut": whole.cut(cut_after),
        "reset": whole.reset(cut_after),
    }
    world.upstream.follow([replies[fault]])
    stream = world.client.chat.completions.create(model=FAKE, messages=HELLO, stream=True)
    text, endings = "", set[str | None]()
    with pytest.raises(openai.APIError) as caught:
        for chunk in stream:
            text += "".join(choice.delta.content or "" for choice in chunk.choices)
            endings |= {choice.finish_reason for choice in chunk.choices}
    assert endings == {None}
    # A reset may overtake bytes that were on their way.
    assert text == "one two three" if fault != "reset" else "one two three".startswith(text)
    body: Any = caught.value.body
    assert body["code"] in {"upstream_unavailable", "upstream_truncated"}
    assert body["request_id"] == stream.response.headers["x-request-id"]
    receipt = world.server.receipt(body["request_id"])
    [attempt] = receipt["attempts"]
    assert (attempt["state"], attempt["ending"]) == ("settled", body["code"])
    assert attempt["usage"]["estimated"] is True and receipt["charge_nano_usd"] > 0


def test_the_sdks_retries_are_separate_requests_with_separate_receipts(world: World) -> None:
    world.upstream.follow([error_reply(503, "restarting", retry_after=0), chat_reply("Back again.")])
    first = len(world.upstream.requests)
    raw = world.client.with_options(max_retries=1).chat.completions.with_raw_response.create(model=FAKE, messages=HELLO)
    assert raw.parse().choices[0].message.content == "Back again."
    assert len(world.upstream.requests) == first + 2
    with world.server.client() as client:
        newest, before = client.get("/v2/requests", params={"limit": 2}).json()["requests"]
    assert newest["id"] == raw.headers["x-request-id"]
    assert (newest["status"], before["status"]) == (200, 502)
    assert newest["charge_nano_usd"] > before["charge_nano_usd"] == 0


@pytest.mark.parametrize("streamed", [True, False])
def test_a_caller_that_leaves_is_followed_by_the_upstream_being_dropped(world: World, streamed: bool) -> None:
    gate = Gate()
    number = len(world.upstream.requests) + 1
    reply = chat_stream("one two three").hold(gate, before_frame=3) if streamed else chat_reply().hold_headers(gate)
    world.upstream.follow([reply])
    if streamed:
        with world.client.chat.completions.create(model=FAKE, messages=HELLO, stream=True) as stream:
            next(iter(stream))
            gate.wait_reached()
        request_id = stream.response.headers["x-request-id"]
    else:
        with pytest.raises(openai.APITimeoutError):
            world.client.with_options(timeout=0.5).chat.completions.create(model=FAKE, messages=HELLO)
        gate.wait_reached()
        request_id = world.upstream.requests[-1].header("x-request-id") or ""
    ended = world.upstream.log.wait_end_of(number)
    assert ended.ending == "client_left"
    gate.release()
    eventually(lambda: world.server.count("hold") == 0, "the books are closed")
    receipt = world.server.receipt(request_id)
    [attempt] = receipt["attempts"]
    assert (attempt["state"], attempt["ending"], receipt["status"]) == ("settled", "client_closed", 499)
    assert attempt["usage"]["estimated"] and attempt["charge_nano_usd"] > 0
