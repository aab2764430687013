"""The Responses dialect by the official `openai` SDK: an embedded model, and providers of all three dialects.

Every response and every event of it is judged on its way to the client, by the SDK's types and the published schema.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import httpx2
import openai
import pytest
from openai import OpenAI
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

from headrace.testing.anthropic_replies import Message, messages_reply, messages_stream
from headrace.testing.obedient import obedient_answer
from headrace.testing.openai_replies import Chat, ToolCall, chat_reply, chat_stream
from headrace.testing.responses_replies import response_reply, response_stream
from headrace.testing.script import Reply
from headrace.testing.upstream import FakeUpstream, running_upstream
from tests.open_responses import JudgedTransport
from tests.running import RunningHeadrace

SMOLLM = "smollm2-135m"
CHAT, RESPONSES, MESSAGES = "fake-chat", "fake-responses", "fake-messages"
UPSTREAMS = (CHAT, RESPONSES, MESSAGES)
WEATHER: list[Any] = [
    {
        "type": "function",
        "name": "get_weather",
        "strict": True,
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    }
]
CALLS = (ToolCall("call_a", "get_weather", '{"city": "Oslo"}'), ToolCall("call_b", "get_weather", '{"city": "Rome"}'))
EVENTS: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


class Colour(BaseModel):
    """A shape that a small model cannot run on in for ever."""

    colour: Literal["red", "green", "blue"]


class Greeting(BaseModel):
    """What a structured answer is parsed into."""

    text: str
    loud: bool


@dataclass(frozen=True)
class World:
    """A running installation, the providers behind it and a client of it."""

    server: RunningHeadrace
    upstream: FakeUpstream
    client: OpenAI

    def sent(self) -> dict[str, Any]:
        """The body of the last request that left the process."""
        return dict(self.upstream.requests[-1].fields)

    def answer(self, model: str, chat: Chat, *, stream: bool = False) -> None:
        """Let the provider of a model answer with this chat, in its own dialect."""
        self.upstream.follow([in_dialect_of(model, chat, stream=stream)])


def in_dialect_of(model: str, chat: Chat, *, stream: bool) -> Reply:
    """Return a chat as the provider of a model answers with it."""
    if model == CHAT:
        return chat_stream(chat) if stream else chat_reply(chat)
    if model == RESPONSES:
        return response_stream(chat) if stream else response_reply(chat)
    message = Message(
        chat.text if not chat.tool_calls else "",
        input_tokens=chat.prompt_tokens,
        thinking=chat.reasoning,
        tool_uses=chat.tool_calls,
        stop_reason="tool_use" if chat.tool_calls else "max_tokens" if chat.finish_reason == "length" else "end_turn",
        error_at_frame=chat.error_at_frame,
    )
    return messages_stream(message) if stream else messages_reply(message)


def sdk(server: RunningHeadrace, token: str | None = None) -> OpenAI:
    judging = httpx2.Client(transport=JudgedTransport(), timeout=90)
    key = token or server.api_key
    return OpenAI(base_url=f"{server.base_url}/v1", api_key=key, max_retries=0, timeout=90, http_client=judging)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, weights_cache: Path, smollm_path: Path) -> Iterator[World]:
    server = RunningHeadrace(tmp_path_factory.mktemp("responses") / "home")
    server.take_weights(weights_cache)
    with running_upstream() as upstream:
        server.add_provider("fakechat", upstream.base_url, CHAT)
        server.add_provider("fakeresponses", upstream.base_url, RESPONSES, adapter="openai_responses")
        server.add_provider("fakemessages", upstream.base_url, MESSAGES, adapter="anthropic")
        with server, sdk(server) as client:
            yield World(server, upstream, client)


@pytest.fixture
def world(running: World) -> World:
    running.upstream.follow(obedient_answer)
    return running


def judged(events: list[Any]) -> list[str]:
    """Return the types of events, each judged strictly by the SDK's own types."""
    for number, event in enumerate(events):
        assert EVENTS.validate_python(event.to_dict(), strict=True)
        assert event.sequence_number == number
    return [event.type.removeprefix("response.") for event in events]


def test_an_embedded_model_answers_whole_and_streams_typed_events(world: World) -> None:
    whole = world.client.responses.create(model=SMOLLM, input="Say hello.", max_output_tokens=12)
    assert whole.output_text.strip() and whole.model == SMOLLM and whole.id.startswith("resp_")
    assert Response.model_validate(whole.to_dict(), strict=True)
    assert whole.usage is not None and 1 <= whole.usage.output_tokens <= 12
    with world.client.responses.create(model=SMOLLM, input="Say hello.", max_output_tokens=12, stream=True) as stream:
        request_id = stream.response.headers["x-request-id"]
        events: list[Any] = list(stream)
    types = judged(events)
    assert types[:4] == ["created", "in_progress", "output_item.added", "content_part.added"]
    assert types[-1] in {"completed", "incomplete"} and types.count("output_text.delta") > 1
    receipt = world.server.receipt(request_id)
    assert receipt["charge_nano_usd"] == events[-1].response.model_extra["headrace"]["cost_nano_usd"] > 0
    used = events[-1].response.usage
    assert receipt["attempts"][0]["usage"]["output_text"] == used.output_tokens


def test_an_embedded_model_goes_on_with_a_conversation_in_a_shape_and_with_logprobs(world: World) -> None:
    client = world.client.responses
    first = client.create(model=SMOLLM, input="Name a colour.", max_output_tokens=8, top_logprobs=2)
    part: Any = first.output[0]
    assert {len(token.top_logprobs) for token in part.content[0].logprobs} == {2}
    shaped = client.parse(
        model=SMOLLM, previous_response_id=first.id, input="Another.", text_format=Colour, max_output_tokens=60
    )
    assert shaped.usage is not None and first.usage is not None
    assert shaped.usage.input_tokens > first.usage.input_tokens
    assert isinstance(shaped.output_parsed, Colour)
    with pytest.raises(openai.BadRequestError, match="tools"):
        client.create(model=SMOLLM, input="Weather?", tools=WEATHER)


@pytest.mark.parametrize("model", UPSTREAMS)
def test_text_comes_whole_and_streamed_from_every_upstream(world: World, model: str) -> None:
    raw = world.client.responses.with_raw_response.create(
        model=model, input="Hi", instructions="Be brief.", metadata={"a": "b"}, temperature=0.5
    )
    answer = raw.parse()
    assert answer.output_text == "Hello from the fake upstream." and answer.model == model
    assert answer.status == "completed" and answer.usage is not None and answer.usage.output_tokens == 5
    assert raw.headers["x-headrace-model"] == model and "x-headrace-dropped" not in raw.headers
    assert world.sent()["model"] == f"{model}-upstream" and world.sent()["temperature"] == 0.5
    with world.client.responses.stream(model=model, input="Hi") as stream:
        events = list(stream)
        final = stream.get_final_response()
    assert [event.type for event in events][-1] == "response.completed"
    assert final.output_text == "Hello from the fake upstream." and final.model == model


@pytest.mark.parametrize("model", UPSTREAMS)
def test_every_event_of_every_kind_is_of_the_sdks_types(world: World, model: str) -> None:
    for chat in (
        Chat("one two"),
        Chat("", tool_calls=CALLS),
        Chat("yes", reasoning="hm hm"),
        Chat("one", finish_reason="length"),
    ):
        world.answer(model, chat, stream=True)
        types = judged(list(world.client.responses.create(model=model, input="Hi", tools=WEATHER, stream=True)))
        assert types[-1] == ("incomplete" if chat.finish_reason == "length" else "completed")
        assert sum(kind.endswith(".delta") for kind in types) == chat.completion_tokens


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("model", UPSTREAMS)
def test_parallel_tools_are_called_answered_and_continued_by_the_responses_id(
    world: World, model: str, streamed: bool
) -> None:
    world.answer(model, Chat("", tool_calls=CALLS), stream=streamed)
    client = world.client.responses
    if streamed:
        with client.stream(model=model, input="Weather?", tools=WEATHER) as stream:
            first: Any = stream.get_final_response()
    else:
        first = client.create(model=model, input="Weather?", tools=WEATHER)
    calls: list[Any] = [item for item in first.output if item.type == "function_call"]
    said = [(call.call_id, json.loads(call.arguments)) for call in calls]
    assert said == [(call.id, json.loads(call.arguments)) for call in CALLS]
    world.answer(model, Chat("Cold and warm."))
    results: list[Any] = [
        {"type": "function_call_output", "call_id": call.call_id, "output": f"result of {call.call_id}"}
        for call in calls
    ]
    second = client.create(model=model, previous_response_id=first.id, input=results, tools=WEATHER)
    assert second.output_text == "Cold and warm." and second.previous_response_id == first.id
    sent = world.sent()
    if model == CHAT:
        roles = [message["role"] for message in sent["messages"]]
        assert roles == ["user", "assistant", "tool", "tool"]
        assert [call["id"] for call in sent["messages"][1]["tool_calls"]] == ["call_a", "call_b"]
    elif model == MESSAGES:
        roles = [message["role"] for message in sent["messages"]]
        assert roles == ["user", "assistant", "user"]
        assert [block["tool_use_id"] for block in sent["messages"][2]["content"]] == ["call_a", "call_b"]
    else:
        kinds = [item.get("type") for item in sent["input"]]
        assert kinds == ["message", "function_call", "function_call", "function_call_output", "function_call_output"]
        assert "previous_response_id" not in sent and sent["store"] is False


@pytest.mark.parametrize("model", UPSTREAMS)
def test_a_structured_answer_is_parsed_into_its_pydantic_model(world: World, model: str) -> None:
    world.answer(model, Chat('{"text": "hello", "loud": true}'))
    parsed = world.client.responses.parse(model=model, input="Greet.", text_format=Greeting)
    assert parsed.output_parsed == Greeting(text="hello", loud=True)
    sent = world.sent()
    if model == MESSAGES:
        assert "loud" in sent["output_config"]["format"]["schema"]["properties"]
        return
    shape = sent["response_format"]["json_schema"] if model == CHAT else sent["text"]["format"]
    assert shape["name"] == "Greeting" and shape["strict"] is True and "loud" in shape["schema"]["properties"]


def test_a_conversation_goes_on_across_models_and_dialects(world: World) -> None:
    world.answer(RESPONSES, Chat("I am one.", reasoning="hm"))
    first = world.client.responses.create(model=RESPONSES, input="Who are you?", instructions="Be one.")
    world.answer(CHAT, Chat("I am two."))
    second = world.client.responses.create(model=CHAT, input="And you?", previous_response_id=first.id)
    assert [(message["role"], message["content"]) for message in world.sent()["messages"]] == [
        ("user", "Who are you?"),
        ("assistant", "I am one."),
        ("user", "And you?"),
    ]
    world.upstream.follow(obedient_answer)
    world.client.responses.create(model=RESPONSES, input="Both?", previous_response_id=second.id)
    assert [item["type"] for item in world.sent()["input"]] == [
        "message",
        "reasoning",
        "message",
        "message",
        "message",
        "message",
    ]
    said = world.client.responses.create(
        model=CHAT,
        input=[{"type": "item_reference", "id": second.output[0].id or ""}, {"role": "user", "content": "?"}],
    )
    assert said.output_text and world.sent()["messages"][0] == {"role": "assistant", "content": "I am two."}


def test_a_kept_response_is_read_listed_and_deleted_by_its_own_key_only(world: World) -> None:
    client = world.client.responses
    first = client.create(model=CHAT, input="Hi", metadata={"a": "b"})
    found = client.retrieve(first.id)
    assert found.to_dict() == first.to_dict()
    items = client.input_items.list(first.id)
    assert [item.type for item in items.data] == ["message"]
    second = client.create(model=CHAT, input="More", previous_response_id=first.id)
    listed = list(client.input_items.list(second.id, order="asc", limit=1))
    assert [item.type for item in listed] == ["message"] * 3
    with world.server.client(world.server.admin_token) as http:
        made = http.post("/v2/gen-ai/models/api_keys", json={"name": "other"})
    other = sdk(world.server, made.json()["api_key_info"]["secret_key"]).responses
    with pytest.raises(openai.NotFoundError) as foreign:
        other.retrieve(first.id)
    with pytest.raises(openai.NotFoundError) as unknown:
        other.retrieve("resp_unknown")
    assert blank(foreign, first.id) == blank(unknown, "resp_unknown")
    for call in (other.delete, other.cancel, other.input_items.list):
        with pytest.raises(openai.NotFoundError):
            call(first.id)
    with pytest.raises(openai.BadRequestError) as foreign_previous:
        other.create(model=CHAT, input="x", previous_response_id=first.id)
    with pytest.raises(openai.BadRequestError) as unknown_previous:
        other.create(model=CHAT, input="x", previous_response_id="resp_unknown")
    assert blank(foreign_previous, first.id) == blank(unknown_previous, "resp_unknown")
    with pytest.raises(openai.BadRequestError, match="background"):
        client.cancel(first.id)
    client.delete(first.id)
    for call in (client.retrieve, client.delete):
        with pytest.raises(openai.NotFoundError):
            call(first.id)
    assert client.create(model=CHAT, input="x", previous_response_id=second.id).output_text


def test_the_sdk_counts_a_prompt_with_what_it_continues_and_is_refused_a_compaction(world: World) -> None:
    client = world.client.responses
    asked = len(world.upstream.requests)
    alone = client.input_tokens.count(model=CHAT, input="Hi")
    assert (alone.object, alone.to_dict()["estimated"]) == ("response.input_tokens", True)
    first = client.create(model=CHAT, input="x" * 4000)
    more = client.input_tokens.count(model=CHAT, input="Hi", previous_response_id=first.id)
    assert more.input_tokens - alone.input_tokens > 1000
    assert len(world.upstream.requests) == asked + 1
    with pytest.raises(openai.BadRequestError, match="not compacted"):
        client.compact(model=CHAT, input="Hi")


def blank(caught: pytest.ExceptionInfo[Any], name: str) -> Any:
    """Return an error's body without what differs between two requests."""
    body = dict(caught.value.body)
    return {**body, "request_id": "", "message": body["message"].replace(name, "NAME")}


def test_what_is_not_to_be_stored_is_not_and_says_so(world: World) -> None:
    answer = world.client.responses.create(model=CHAT, input="Hi", store=False)
    assert (answer.model_extra or {})["store"] is False
    with pytest.raises(openai.NotFoundError):
        world.client.responses.retrieve(answer.id)


def test_an_operator_may_keep_nothing(world: World, tmp_path: Path) -> None:
    server = RunningHeadrace(tmp_path / "home")
    server.add_provider("fakechat", world.upstream.base_url, CHAT)
    (server.home / "headrace.toml").write_text("[limits]\nkeep_responses_days = 0\n")
    with server, sdk(server) as client:
        answer = client.responses.create(model=CHAT, input="Hi")
        assert (answer.model_extra or {})["store"] is False
        with pytest.raises(openai.BadRequestError) as caught:
            client.responses.create(model=CHAT, input="Hi", store=True)
        assert (caught.value.code, caught.value.param) == ("store_disabled", "store")
        with pytest.raises(openai.NotFoundError):
            client.responses.retrieve(answer.id)
        assert server.count("blob") == 0


def test_what_is_kept_is_sealed_in_the_store(world: World) -> None:
    word = "xylophonist"
    kept = world.client.responses.create(model=CHAT, input=f"Say {word}.")
    assert world.client.responses.retrieve(kept.id).id == kept.id
    files = list(world.server.home.glob("headrace.db*"))
    assert files and not any(word.encode() in file.read_bytes() for file in files)


@pytest.mark.parametrize("model", UPSTREAMS)
@pytest.mark.parametrize("fault", ["error event", "cut"])
def test_a_failure_in_a_stream_is_a_numbered_error_event_and_no_end(world: World, model: str, fault: str) -> None:
    at = {CHAT: 4, RESPONSES: 7, MESSAGES: 5}[model]
    whole = in_dialect_of(model, Chat("one two three four five six"), stream=True)
    failing = in_dialect_of(model, Chat("one two three four five six", error_at_frame=at), stream=True)
    world.upstream.follow([failing if fault == "error event" else whole.cut(whole.frame_starts[at] + 5)])
    events: list[Any] = []
    with (
        pytest.raises(openai.APIError) as caught,
        world.client.responses.create(model=model, input="Hi", stream=True) as stream,
    ):
        events.extend(each for each in stream)
    types = judged(events)
    assert "output_text.delta" in types and "completed" not in types and "output_text.done" not in types
    assert caught.value.code in {"upstream_unavailable", "upstream_truncated"}
    error: Any = caught.value.body
    receipt = world.server.receipt(error["request_id"])
    [attempt] = receipt["attempts"]
    assert (attempt["state"], attempt["ending"]) == ("settled", caught.value.code)
    assert attempt["usage"]["estimated"] is True and receipt["charge_nano_usd"] > 0


def test_what_has_no_place_upstream_is_refused_or_named(world: World) -> None:
    raw = world.client.responses.with_raw_response.create(
        model=CHAT,
        input="Hi",
        include=["reasoning.encrypted_content"],
        truncation="auto",
        reasoning={"summary": "auto"},
    )
    named = set(raw.headers["x-headrace-dropped"].split(", "))
    assert named == {"include.reasoning.encrypted_content", "truncation", "reasoning.summary"}
    refusals: list[tuple[dict[str, Any], str]] = [
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"background": True}, "background"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"input": [{"type": "function_call_output", "call_id": "x", "output": "y"}]}, "input[0].call_id"),
        ({"input": []}, "input"),
    ]
    create: Any = world.client.responses.create
    for fields, param in refusals:
        with pytest.raises(openai.BadRequestError) as caught:
            create(**{"model": CHAT, "input": "Hi", **fields})
        assert caught.value.param == param


@pytest.mark.parametrize("streamed", [True, False])
def test_a_chat_client_is_served_by_a_responses_upstream(world: World, streamed: bool) -> None:
    hello: list[Any] = [{"role": "user", "content": "Hi"}]
    chats: Any = world.client.chat.completions
    if streamed:
        chunks = list(
            chats.create(model=RESPONSES, messages=hello, stream=True, stream_options={"include_usage": True})
        )
        text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
        assert chunks[-1].usage.completion_tokens == 5
    else:
        answer = chats.create(model=RESPONSES, messages=hello, max_tokens=50)
        text = answer.choices[0].message.content
        assert world.sent()["max_output_tokens"] == 50 and answer.usage.completion_tokens == 5
    assert text == "Hello from the fake upstream." and world.upstream.requests[-1].path.endswith("/responses")


@pytest.mark.parametrize("streamed", [True, False])
def test_a_messages_client_is_served_by_a_responses_upstream(world: World, streamed: bool) -> None:
    world.answer(RESPONSES, Chat("", tool_calls=CALLS), stream=streamed)
    body = {
        "model": RESPONSES,
        "max_tokens": 50,
        "messages": [{"role": "user", "content": "Weather?"}],
        "tools": [{"name": "get_weather", "input_schema": {"type": "object"}}],
        "stream": streamed,
    }
    with world.server.client() as http:
        reply = http.post("/v1/messages", json=body, headers={"anthropic-version": "2023-06-01"})
    assert reply.status_code == 200, reply.text
    if streamed:
        assert "event: message_stop" in reply.text and reply.text.count('"tool_use"') >= 2
    else:
        assert [block["id"] for block in reply.json()["content"]] == ["call_a", "call_b"]
        assert reply.json()["stop_reason"] == "tool_use"
    assert world.sent()["max_output_tokens"] == 50 and world.sent()["tools"][0]["name"] == "get_weather"
