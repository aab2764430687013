"""The official `anthropic` SDK, unmodified, on the real server; and `openai` on a provider that speaks Messages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from anthropic import Anthropic
from openai import OpenAI

from headrace.testing.anthropic_replies import Message, messages_error, messages_reply, messages_stream
from headrace.testing.obedient import obedient_answer
from headrace.testing.openai_replies import Chat, ToolCall, chat_reply, chat_stream, error_reply
from headrace.testing.upstream import FakeUpstream, running_upstream
from tests.running import RunningHeadrace

SMOLLM = "smollm2-135m"
CHAT = "fake-chat"
CLAUDE = "fake-claude"
# A provider that failed is rested for a while, so every fault has one of its own.
FAULTS = (400, 401, 429, 529)
HELLO: list[Any] = [{"role": "user", "content": "Say hello."}]
WEATHER: list[Any] = [
    {
        "name": "get_weather",
        "description": "The weather in a city.",
        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    }
]
CHAT_WEATHER: list[Any] = [
    {"type": "function", "function": {"name": "get_weather", "parameters": WEATHER[0]["input_schema"]}}
]
PIXEL = "iVBORw0KGgo="
CALLS = (
    ToolCall("call_1", "get_weather", '{"city":"Zürich"}', piece_characters=3),
    ToolCall("call_2", "get_weather", '{"city":"Oslo"}', piece_characters=5),
)


@dataclass(frozen=True)
class World:
    """A running installation, the provider behind it, and a client of each vendor's."""

    server: RunningHeadrace
    upstream: FakeUpstream
    client: Anthropic
    chat: OpenAI

    def sent(self) -> dict[str, Any]:
        """The body of the last request that left the process."""
        return dict(self.upstream.requests[-1].fields)


def sdk(server: RunningHeadrace, token: str | None = None) -> Anthropic:
    """The SDK as a user makes it, without the retries that would hide an answer."""
    return Anthropic(base_url=server.base_url, api_key=token or server.api_key, max_retries=0, timeout=90)


def message_of(client: Anthropic, asked: dict[str, Any], *, streamed: bool) -> Any:
    """One message, by the streaming helper or at once."""
    if not streamed:
        create: Any = client.messages.create
        return create(**asked)
    with client.messages.stream(**asked) as stream:
        return stream.get_final_message()


def completion_of(client: OpenAI, asked: dict[str, Any], *, streamed: bool) -> Any:
    """One chat completion, by the streaming helper or at once."""
    if not streamed:
        create: Any = client.chat.completions.create
        return create(**asked)
    with client.chat.completions.stream(stream_options={"include_usage": True}, **asked) as stream:
        return stream.get_final_completion()


def add_messages_provider(server: RunningHeadrace, base_url: str, name: str, model: str) -> None:
    """Add a provider that speaks Messages and takes its key, which the environment has, in `x-api-key`."""
    server.add_provider(name, base_url, model)
    file = server.home / "catalog" / f"{name}.toml"
    text = file.read_text().replace('wire_format = "openai"', 'wire_format = "anthropic"')
    text = text.replace('auth = "none"', 'auth = "header"\nauth_header = "x-api-key"\nkey_variable = "CLAUDE_API_KEY"')
    text = text.replace('"streaming", ', '"streaming", "image_input", "file_input", "reasoning", "prompt_cache", ')
    file.write_text(text)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, weights_cache: Path, smollm_path: Path) -> Iterator[World]:
    home = tmp_path_factory.mktemp("messages") / "home"
    server = RunningHeadrace(home, environment={"CLAUDE_API_KEY": "sk-upstream"})
    server.take_weights(weights_cache)
    with running_upstream() as upstream:
        server.add_provider("fake", upstream.base_url, CHAT)
        chat_file = server.home / "catalog" / "fake.toml"
        chat_file.write_text(
            chat_file.read_text().replace('"streaming", ', '"streaming", "image_input", "reasoning", ')
        )
        add_messages_provider(server, upstream.base_url, "claude", CLAUDE)
        for status in FAULTS:
            add_messages_provider(server, upstream.base_url, f"claude-{status}", f"{CLAUDE}-{status}")
        (server.home / "catalog" / "embedded.toml").write_text(
            f'[provider]\nname = "embedded"\n[[models]]\nid = "{SMOLLM}"\nbest_effort = ["tools", "tool_choice"]\n'
        )
        with (
            server,
            sdk(server) as client,
            OpenAI(base_url=f"{server.base_url}/v1", api_key=server.api_key, max_retries=0, timeout=90) as chat,
        ):
            yield World(server, upstream, client, chat)


@pytest.fixture
def world(running: World) -> World:
    running.upstream.follow(obedient_answer)
    return running


def test_the_streaming_helper_reads_an_embedded_model(world: World) -> None:
    with world.client.messages.stream(model=SMOLLM, max_tokens=12, messages=HELLO, system="Be brief.") as stream:
        text = "".join(stream.text_stream)
        message = stream.get_final_message()
    assert text.strip() and text == message.content[0].to_dict()["text"]
    assert (message.model, message.role, message.type) == (SMOLLM, "assistant", "message")
    assert message.stop_reason in {"end_turn", "max_tokens"}
    assert message.usage.input_tokens + (message.usage.cache_read_input_tokens or 0) > 0
    assert 1 <= message.usage.output_tokens <= 12
    receipt = world.server.receipt(stream.response.headers["request-id"])
    [attempt] = receipt["attempts"]
    assert attempt["usage"]["output_text"] == message.usage.output_tokens and receipt["charge_nano_usd"] > 0
    assert attempt["identity"].startswith("sha256:")


def test_a_whole_message_comes_from_an_embedded_model(world: World) -> None:
    raw = world.client.messages.with_raw_response.create(model=SMOLLM, max_tokens=8, messages=HELLO)
    message = raw.parse()
    assert message.model == SMOLLM and message.id.startswith("msg_")
    assert message.content[0].type == "text" and message.content[0].text.strip()
    assert raw.headers["x-headrace-model"] == SMOLLM
    receipt = world.server.receipt(raw.headers["request-id"])
    assert receipt["charge_nano_usd"] == int(raw.headers["x-headrace-cost-nano-usd"]) > 0


@pytest.mark.parametrize("streamed", [True, False])
def test_an_embedded_model_is_made_to_call_a_tool(world: World, streamed: bool) -> None:
    """By grammar any model calls a tool; the operator of this installation says so of the smallest one."""
    asked: dict[str, Any] = {
        "model": SMOLLM,
        "max_tokens": 120,
        "messages": [{"role": "user", "content": "What is the weather in Paris?"}],
        "tools": WEATHER,
        "tool_choice": {"type": "tool", "name": "get_weather"},
    }
    message = message_of(world.client, asked, streamed=streamed)
    [use] = message.content
    assert use.type == "tool_use" and (use.name, message.stop_reason) == ("get_weather", "tool_use")
    assert use.id and isinstance(use.input["city"], str)


@pytest.mark.parametrize("model", [CHAT, CLAUDE])
@pytest.mark.parametrize("streamed", [True, False])
def test_parallel_tool_calls_and_their_results_travel_both_ways(world: World, model: str, streamed: bool) -> None:
    if model == CHAT:
        chat = Chat("", tool_calls=CALLS, finish_reason="tool_calls")
        world.upstream.follow(chat_stream(chat) if streamed else chat_reply(chat))
    else:
        given = Message("", tool_uses=CALLS, stop_reason="tool_use")
        world.upstream.follow(messages_stream(given) if streamed else messages_reply(given))
    asked: dict[str, Any] = {"model": model, "max_tokens": 99, "messages": HELLO, "tools": WEATHER}
    message = message_of(world.client, asked, streamed=streamed)
    assert message.stop_reason == "tool_use" and message.model == model
    uses = [block for block in message.content if block.type == "tool_use"]
    assert [(use.id, use.name, use.input) for use in uses] == [
        ("call_1", "get_weather", {"city": "Zürich"}),
        ("call_2", "get_weather", {"city": "Oslo"}),
    ]
    world.upstream.follow(obedient_answer)
    results: list[Any] = [{"type": "tool_result", "tool_use_id": use.id, "content": "rain"} for use in uses]
    turns: list[Any] = [*HELLO, message.to_param(), {"role": "user", "content": results}]
    answer = world.client.messages.create(model=model, max_tokens=99, messages=turns, tools=WEATHER)
    assert answer.content[0].to_dict()["text"] == "Hello from the fake upstream."
    if model == CHAT:
        assert [each["role"] for each in world.sent()["messages"]] == ["user", "assistant", "tool", "tool"]
        assert world.sent()["messages"][2] == {"role": "tool", "tool_call_id": "call_1", "content": "rain"}
    else:
        assert world.sent()["messages"] == [
            *HELLO,
            {"role": "assistant", "content": [use.to_dict() for use in uses]},
            {"role": "user", "content": results},
        ]


def test_images_thinking_and_structured_output_reach_a_chat_provider(world: World) -> None:
    schema: Any = {"type": "object", "properties": {"colour": {"type": "string"}}}
    world.upstream.follow(chat_stream(Chat('{"colour":"red"}', reasoning="It looks red.")))
    image: Any = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
    with world.client.messages.stream(
        model=CHAT,
        max_tokens=50,
        messages=[{"role": "user", "content": [image, {"type": "text", "text": "Which colour?"}]}],
        thinking={"type": "enabled", "budget_tokens": 1024},
        output_config={"format": {"type": "json_schema", "schema": schema}},
    ) as stream:
        message = stream.get_final_message()
    assert [block.type for block in message.content] == ["thinking", "text"]
    assert message.content[0].to_dict()["thinking"] == "It looks red."
    sent = world.sent()
    assert sent["messages"][0]["content"][0] == {
        "type": "image_url",
        "image_url": {"url": f"data:image/png;base64,{PIXEL}"},
    }
    assert sent["response_format"]["json_schema"]["schema"] == schema and sent["reasoning_effort"] == "low"
    assert message.usage.output_tokens == 4 and message.usage.input_tokens == 7


def test_what_chat_has_no_place_for_is_named_or_refused(world: World) -> None:
    raw = world.client.messages.with_raw_response.create(
        model=CHAT,
        max_tokens=50,
        system=[{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        messages=HELLO,
        extra_body={"top_k": 5},
    )
    assert set(raw.headers["x-headrace-dropped"].replace(" ", "").split(",")) == {"top_k", "cache_control"}
    with pytest.raises(anthropic.BadRequestError) as caught:
        world.client.messages.create(model=CHAT, max_tokens=50, messages=HELLO, container={"id": "container_1"})
    body: Any = caught.value.body
    message = body["error"].pop("message")
    assert message.startswith('"container" cannot be served by this model')
    error = {"type": "invalid_request_error", "code": "unsupported_field", "param": "container"}
    assert body == {"type": "error", "error": error, "request_id": caught.value.request_id}


def test_a_messages_provider_gets_the_body_as_it_came_and_its_own_credential(world: World) -> None:
    asked: dict[str, Any] = {
        "max_tokens": 77,
        "system": [{"type": "text", "text": "Grüße", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
        "tools": [{"type": "web_search_20260318", "name": "web_search", "max_uses": 2}],
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "metadata": {"user_id": "u1"},
    }
    usage = {
        "cache_creation_input_tokens": 30,
        "cache_read_input_tokens": 200,
        "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
    }
    world.upstream.follow(messages_stream(Message("Hello there.", usage=usage, thinking="Hm.", signature="c2ln")))
    with world.client.messages.stream(model=CLAUDE, extra_body={"vendor": [1, None]}, **asked) as stream:
        message = stream.get_final_message()
    sent = world.sent()
    assert sent.pop("model") == f"{CLAUDE}-upstream"
    assert sent == {**asked, "stream": True, "vendor": [1, None]}
    request = world.upstream.requests[-1]
    assert request.path == "/v1/messages"
    version = world.client.default_headers["anthropic-version"]
    assert (request.header("x-api-key"), request.header("anthropic-version")) == ("sk-upstream", version)
    assert request.header("authorization") is None
    assert message.model == CLAUDE and message.content[0].to_dict()["signature"] == "c2ln"
    used = world.server.receipt(stream.response.headers["request-id"])["attempts"][0]["usage"]
    assert (used["input_fresh"], used["input_cache_read"]) == (7, 200)
    assert (used["input_cache_write_5m"], used["input_cache_write_1h"], used["output_text"]) == (10, 20, 3)


def test_betas_reach_a_messages_provider_and_no_other_header_does(world: World) -> None:
    world.upstream.follow(messages_reply(Message("Hi.")))
    asked: Any = {
        "model": CLAUDE,
        "max_tokens": 9,
        "messages": HELLO,
        "betas": ["b1-2026-01-01", "fast-mode-2026-02-01"],
    }
    client = world.client.with_options(default_headers={"anthropic-dangerous-direct-browser-access": "true"})
    messages: Any = client.beta.messages
    reply = messages.with_raw_response.create(**asked)
    request = world.upstream.requests[-1]
    assert request.header("anthropic-beta") == "b1-2026-01-01"
    assert [name for name, _ in request.headers if name.startswith(("anthropic", "x-stainless"))] == [
        "anthropic-version",
        "anthropic-beta",
    ]
    assert reply.headers["x-headrace-dropped"] == "anthropic-beta.fast-mode-2026-02-01"
    world.upstream.follow(chat_reply("Hi."))
    reply = messages.with_raw_response.create(**{**asked, "model": CHAT})
    assert world.upstream.requests[-1].header("anthropic-beta") is None
    assert reply.headers["x-headrace-dropped"] == "anthropic-beta"
    with pytest.raises(anthropic.BadRequestError, match="names of betas"):
        messages.create(**{**asked, "betas": ["not a beta"]})


@pytest.mark.parametrize("streamed", [True, False])
def test_the_openai_sdk_is_served_by_a_messages_provider(world: World, streamed: bool) -> None:
    given = Message("Fine.", thinking="Let me see.", signature="c2ln", tool_uses=CALLS, stop_reason="tool_use")
    world.upstream.follow(messages_stream(given) if streamed else messages_reply(given))
    asked: dict[str, Any] = {
        "model": CLAUDE,
        "messages": [{"role": "system", "content": "Be brief."}, *HELLO],
        "tools": CHAT_WEATHER,
        "stop": "END",
    }
    answer = completion_of(world.chat, asked, streamed=streamed)
    choice = answer.choices[0]
    assert (answer.model, choice.message.content, choice.finish_reason) == (CLAUDE, "Fine.", "tool_calls")
    assert [(call.id, call.function.arguments) for call in choice.message.tool_calls] == [
        ("call_1", '{"city":"Zürich"}'),
        ("call_2", '{"city":"Oslo"}'),
    ]
    assert answer.usage.prompt_tokens == 7 and answer.usage.completion_tokens == given.output_tokens
    sent = world.sent()
    assert sent["system"] == [{"type": "text", "text": "Be brief."}] and sent["stop_sequences"] == ["END"]
    assert sent["max_tokens"] == 4096 and sent["tools"][0]["input_schema"] == WEATHER[0]["input_schema"]
    if not streamed:
        assert choice.message.reasoning_content == "Let me see."
        world.upstream.follow(messages_reply("Done."))
        results = [{"role": "tool", "tool_call_id": call.id, "content": "rain"} for call in choice.message.tool_calls]
        turns: Any = [*asked["messages"], choice.message.to_dict(), *results]
        world.chat.chat.completions.create(model=CLAUDE, messages=turns, tools=CHAT_WEATHER)
        turn = world.sent()["messages"][1]["content"]
        assert turn[0] == {"type": "thinking", "thinking": "Let me see.", "signature": "c2ln"}
        assert [block["type"] for block in turn] == ["thinking", "text", "tool_use", "tool_use"]
        assert [block["type"] for block in world.sent()["messages"][2]["content"]] == ["tool_result", "tool_result"]


def test_what_messages_cannot_do_is_refused_to_chat_clients(world: World) -> None:
    before = len(world.upstream.requests)
    with pytest.raises(openai.BadRequestError) as caught:
        world.chat.chat.completions.create(model=CLAUDE, messages=HELLO, logprobs=True)
    assert (caught.value.code, caught.value.param) == ("unsupported_field", "logprobs")
    assert len(world.upstream.requests) == before
    raw = world.chat.chat.completions.with_raw_response.create(model=CLAUDE, messages=HELLO, seed=7)
    assert raw.headers["x-headrace-dropped"] == "seed"


def test_models_are_listed_in_anthropics_shape(world: World) -> None:
    listed = {each.id: each for each in world.client.models.list(limit=1)}
    assert {SMOLLM, CHAT, CLAUDE} <= listed.keys()
    assert all(each.type == "model" and each.display_name for each in listed.values())
    found = world.client.models.retrieve(SMOLLM)
    assert (found.id, found.max_tokens, found.lifecycle) == (SMOLLM, 2048, "active")
    assert found.created_at.year >= 2024
    with pytest.raises(anthropic.NotFoundError) as missing:
        world.client.models.retrieve("smollm2-136m")
    assert 'Did you mean "smollm2-135m"?' in str(missing.value) and missing.value.type == "not_found_error"


def test_tokens_are_estimated_and_the_answer_says_so(world: World) -> None:
    counted = world.client.messages.count_tokens(model=SMOLLM, messages=HELLO, system="Be brief.", tools=WEATHER)
    assert 40 <= counted.input_tokens <= 120
    assert (counted.model_extra or {})["estimated"] is True
    with pytest.raises(anthropic.NotFoundError):
        world.client.messages.count_tokens(model="nobody", messages=HELLO)


def test_callers_faults_become_the_sdks_own_errors(world: World) -> None:
    with pytest.raises(anthropic.AuthenticationError) as unknown:
        sdk(world.server, "hr_nobody").messages.create(model=SMOLLM, max_tokens=5, messages=HELLO)
    assert unknown.value.type == "authentication_error" and unknown.value.request_id
    with pytest.raises(anthropic.NotFoundError) as missing:
        world.client.messages.create(model="smolm2-135m", max_tokens=5, messages=HELLO)
    assert missing.value.type == "not_found_error" and 'Did you mean "smollm2-135m"?' in str(missing.value)
    with world.server.client() as plain:
        reply = plain.post("/v1/messages", json={"model": SMOLLM, "messages": HELLO})
    assert reply.status_code == 400 and reply.json()["error"]["param"] == "max_tokens"
    assert reply.json()["type"] == "error" and reply.headers["request-id"] == reply.json()["request_id"]


@pytest.mark.parametrize(
    ("sent", "fault", "kind", "status"),
    [
        (400, "invalid_request_error", anthropic.BadRequestError, 400),
        (401, "authentication_error", anthropic.InternalServerError, 502),
        (429, "rate_limit_error", anthropic.RateLimitError, 429),
        (529, "overloaded_error", anthropic.InternalServerError, 502),
    ],
)
def test_upstream_faults_become_the_sdks_own_errors(
    world: World, sent: int, fault: str, kind: type[anthropic.APIStatusError], status: int
) -> None:
    world.upstream.follow(messages_error(sent, kind=fault, retry_after=7 if sent == 429 else None))
    with pytest.raises(kind) as caught:
        world.client.messages.create(model=f"{CLAUDE}-{sent}", max_tokens=5, messages=HELLO)
    assert caught.value.status_code == status
    if status == 429:
        assert caught.value.response.headers["retry-after"] == "7"
    receipt = world.server.receipt(caught.value.request_id or "")
    assert receipt["charge_nano_usd"] == 0


@pytest.mark.parametrize("model", [CHAT, CLAUDE])
@pytest.mark.parametrize("fault", ["error event", "cut"])
def test_a_failure_in_mid_stream_raises_and_never_looks_complete(world: World, model: str, fault: str) -> None:
    text = "one two three four five six"
    if model == CHAT:
        whole, broken = chat_stream(Chat(text)), chat_stream(Chat(text, error_at_frame=4))
    else:
        whole, broken = messages_stream(Message(text)), messages_stream(Message(text, error_at_frame=6))
    places = whole.frame_starts
    world.upstream.follow(broken if fault == "error event" else whole.cut(places[4 if model == CHAT else 6]))
    seen, kinds = "", list[str]()
    with pytest.raises(anthropic.APIError):
        for event in world.client.messages.create(model=model, max_tokens=50, messages=HELLO, stream=True):
            kinds.append(event.type)
            if event.type == "content_block_delta" and event.delta.type == "text_delta":
                seen += event.delta.text
    assert seen == "one two three" and "message_stop" not in kinds and "message_delta" not in kinds


def test_a_chat_providers_refusal_keeps_its_words(world: World) -> None:
    world.upstream.follow(error_reply(400, "no such thing", code="bad_thing"))
    with pytest.raises(anthropic.BadRequestError) as caught:
        world.client.messages.create(model=CHAT, max_tokens=5, messages=HELLO)
    assert "no such thing" in str(caught.value)
