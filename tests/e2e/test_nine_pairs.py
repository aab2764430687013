"""Every client's dialect over every upstream's: nine pairs by the official SDKs, each feature whole and streamed.

What the caller reads must be the same whatever the upstream speaks, and what left must be in the upstream's own words.
What a pair refuses stands in `REFUSALS` with the reason, and nothing else may be refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast

import anthropic
import httpx2
import openai
import pytest
from anthropic import Anthropic
from openai import OpenAI

from headrace.testing.anthropic_replies import Message, messages_reply, messages_stream
from headrace.testing.openai_replies import Chat, ToolCall, chat_reply, chat_stream
from headrace.testing.responses_replies import response_reply, response_stream
from headrace.testing.script import Reply
from headrace.testing.upstream import FakeUpstream, running_upstream
from tests.open_responses import JudgedTransport
from tests.running import RunningHeadrace

Name: TypeAlias = Literal["chat", "responses", "messages"]
CLIENTS: tuple[Name, ...] = ("chat", "responses", "messages")
UPSTREAMS: tuple[Name, ...] = ("chat", "responses", "messages")
ADAPTERS: Mapping[Name, str | None] = {"chat": None, "responses": "openai_responses", "messages": "anthropic"}
PATHS: Mapping[Name, str] = {"chat": "/chat/completions", "responses": "/responses", "messages": "/messages"}
CAPS: Mapping[Name, tuple[str, ...]] = {
    "chat": ("max_completion_tokens", "max_tokens"),
    "responses": ("max_output_tokens",),
    "messages": ("max_tokens",),
}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
PIXEL = "iVBORw0KGgo="
PICTURE = f"data:image/png;base64,{PIXEL}"
CALLS = (
    ToolCall("call_1", "get_weather", '{"city":"Zürich"}', piece_characters=3),
    ToolCall("call_2", "get_weather", '{"city":"Oslo"}', piece_characters=5),
)
INPUT_TOKENS = 23
# Client, upstream, feature: the field that is refused, and why. A field that the client's own dialect lacks is no cell.
REFUSALS: Mapping[tuple[Name, Name, str], tuple[str, str]] = {
    ("chat", "responses", "stop sequences"): ("stop", "Create a model response has no field for stop sequences."),
    ("messages", "responses", "stop sequences"): (
        "stop_sequences",
        "Create a model response has no field for stop sequences.",
    ),
    ("chat", "messages", "logprobs"): ("logprobs", "Create a message returns no log probabilities."),
    ("responses", "messages", "logprobs"): ("top_logprobs", "Create a message returns no log probabilities."),
    ("chat", "messages", "json without a schema"): (
        "response_format",
        "Create a message has json_schema as its only format.",
    ),
    ("responses", "messages", "json without a schema"): (
        "text.format",
        "Create a message has json_schema as its only format.",
    ),
}
ODD_FIELDS: Mapping[tuple[Name, str], dict[str, Any]] = {
    ("chat", "stop sequences"): {"stop": ["END"]},
    ("messages", "stop sequences"): {"stop_sequences": ["END"]},
    ("chat", "logprobs"): {"logprobs": True, "top_logprobs": 2},
    ("responses", "logprobs"): {"top_logprobs": 2},
    ("chat", "json without a schema"): {"response_format": {"type": "json_object"}},
    ("responses", "json without a schema"): {"text": {"format": {"type": "json_object"}}},
}


@dataclass(frozen=True)
class World:
    """A running installation, the providers of three dialects behind it, and the official clients."""

    server: RunningHeadrace
    upstream: FakeUpstream
    openai: OpenAI
    anthropic: Anthropic

    def sent(self, name: Name) -> dict[str, Any]:
        """The body of the last request, which went to where the upstream's dialect is spoken."""
        request = self.upstream.requests[-1]
        assert request.path.endswith(PATHS[name])
        return dict(request.fields)


@dataclass(frozen=True)
class Answer:
    """What a client read, in words that the three dialects share."""

    text: str
    calls: tuple[tuple[str, str, Any], ...]
    ended: str
    input_tokens: int
    output_tokens: int
    model: str
    reasoning: str = ""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    server = RunningHeadrace(tmp_path_factory.mktemp("pairs") / "home")
    with running_upstream() as upstream:
        for name in UPSTREAMS:
            server.add_provider(f"fake{name}", upstream.base_url, f"one-{name}", adapter=ADAPTERS[name])
            file = server.home / "catalog" / f"fake{name}.toml"
            more = '"streaming", "image_input", "file_input", "reasoning", '
            file.write_text(file.read_text().replace('"streaming", ', more))
        with (
            server,
            httpx2.Client(transport=JudgedTransport(), timeout=30) as judging,
            OpenAI(
                base_url=f"{server.base_url}/v1", api_key=server.api_key, max_retries=0, http_client=judging
            ) as chat,
            Anthropic(base_url=server.base_url, api_key=server.api_key, max_retries=0, timeout=30) as messages,
        ):
            yield World(server, upstream, chat, messages)


def reply_of(upstream: Name, chat: Chat, *, streamed: bool) -> Reply:
    """Return an answer as the upstream of a dialect gives it."""
    if upstream == "chat":
        return chat_stream(chat) if streamed else chat_reply(chat)
    if upstream == "responses":
        return response_stream(chat) if streamed else response_reply(chat)
    message = Message(
        chat.text,
        input_tokens=chat.prompt_tokens,
        thinking=chat.reasoning,
        signature="c2ln" if chat.reasoning else "",
        tool_uses=chat.tool_calls,
        stop_reason={"length": "max_tokens", "tool_calls": "tool_use"}.get(str(chat.finish_reason), "end_turn"),
    )
    return messages_stream(message) if streamed else messages_reply(message)


def ask_chat(world: World, streamed: bool, asked: dict[str, Any]) -> Answer:
    completions: Any = world.openai.chat.completions
    whole: Any
    if streamed:
        with completions.stream(stream_options={"include_usage": True}, **asked) as stream:
            try:
                whole = stream.get_final_completion()
            except openai.LengthFinishReasonError as cut:
                whole = cut.completion
    else:
        whole = completions.create(**asked)
    choice: Any = whole.choices[0]
    calls: list[Any] = choice.message.tool_calls or []
    more: dict[str, Any] = choice.message.model_extra or {}
    return Answer(
        choice.message.content or "",
        tuple((call.id, call.function.name, json.loads(call.function.arguments)) for call in calls),
        {"stop": "end", "length": "cap", "tool_calls": "tools"}[choice.finish_reason],
        whole.usage.prompt_tokens,
        whole.usage.completion_tokens,
        whole.model,
        more.get("reasoning_content") or "",
    )


def ask_responses(world: World, streamed: bool, asked: dict[str, Any]) -> Answer:
    responses: Any = world.openai.responses
    if streamed:
        with responses.stream(**asked) as stream:
            whole = [event for event in stream if event.type in ("response.completed", "response.incomplete")][-1]
            whole = whole.response
    else:
        whole = responses.create(**asked)
    calls = [item for item in whole.output if item.type == "function_call"]
    thoughts = [part.text for item in whole.output if item.type == "reasoning" for part in item.content or ()]
    reason = whole.incomplete_details.reason if whole.incomplete_details else "end"
    return Answer(
        whole.output_text,
        tuple((call.call_id, call.name, json.loads(call.arguments)) for call in calls),
        "tools" if calls else {"max_output_tokens": "cap"}.get(reason, reason),
        whole.usage.input_tokens,
        whole.usage.output_tokens,
        whole.model,
        "".join(thoughts),
    )


def ask_messages(world: World, streamed: bool, asked: dict[str, Any]) -> Answer:
    messages: Any = world.anthropic.messages
    asked = {"max_tokens": 99, **asked}
    if streamed:
        with messages.stream(**asked) as stream:
            whole = stream.get_final_message()
    else:
        whole = messages.create(**asked)
    return Answer(
        "".join(block.text for block in whole.content if block.type == "text"),
        tuple((block.id, block.name, block.input) for block in whole.content if block.type == "tool_use"),
        {"end_turn": "end", "max_tokens": "cap", "tool_use": "tools"}[whole.stop_reason],
        whole.usage.input_tokens + (whole.usage.cache_read_input_tokens or 0),
        whole.usage.output_tokens,
        whole.model,
        "".join(block.thinking for block in whole.content if block.type == "thinking"),
    )


ASK: Mapping[Name, Callable[[World, bool, dict[str, Any]], Answer]] = {
    "chat": ask_chat,
    "responses": ask_responses,
    "messages": ask_messages,
}


def said(client: Name, text: str, *, instructions: str | None = None, picture: bool = False) -> dict[str, Any]:
    """Return a request of one user's message in a client's dialect."""
    if client == "responses":
        parts: list[Any] = [{"type": "input_text", "text": text}]
        if picture:
            parts.append({"type": "input_image", "image_url": PICTURE, "detail": "auto"})
        asked: dict[str, Any] = {"input": [{"role": "user", "content": parts}]}
        return asked if instructions is None else {**asked, "instructions": instructions}
    parts = [{"type": "text", "text": text}]
    if picture and client == "chat":
        parts.append({"type": "image_url", "image_url": {"url": PICTURE}})
    elif picture:
        parts.append({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}})
    turns: list[Any] = [{"role": "user", "content": parts}]
    if instructions is None:
        return {"messages": turns}
    if client == "messages":
        return {"messages": turns, "system": instructions}
    return {"messages": [{"role": "system", "content": instructions}, *turns]}


def tools_of(client: Name) -> dict[str, Any]:
    """Return a tool in a dialect; upstreams are given the same."""
    if client == "messages":
        return {"tools": [{"name": "get_weather", "input_schema": SCHEMA}]}
    if client == "responses":
        return {"tools": [{"type": "function", "name": "get_weather", "parameters": SCHEMA, "strict": True}]}
    return {"tools": [{"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}]}


def shape_of(client: Name) -> dict[str, Any]:
    """Return how structured output is asked for in a dialect."""
    if client == "messages":
        return {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}}
    shape = {"name": "place", "schema": SCHEMA, "strict": True}
    if client == "responses":
        return {"text": {"format": {"type": "json_schema", **shape}}}
    return {"response_format": {"type": "json_schema", "json_schema": shape}}


def results_of(client: Name, asked: dict[str, Any]) -> dict[str, Any]:
    """Return the request after the tools of `CALLS` were run."""
    if client == "responses":
        made = [
            {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": call.arguments}
            for call in CALLS
        ]
        outputs = [{"type": "function_call_output", "call_id": call.id, "output": f"rain {call.id}"} for call in CALLS]
        return {**asked, "input": [*asked["input"], *made, *outputs]}
    if client == "chat":
        calls = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in CALLS
        ]
        told = [{"role": "tool", "tool_call_id": call.id, "content": f"rain {call.id}"} for call in CALLS]
        return {**asked, "messages": [*asked["messages"], {"role": "assistant", "tool_calls": calls}, *told]}
    uses = [
        {"type": "tool_use", "id": call.id, "name": call.name, "input": json.loads(call.arguments)} for call in CALLS
    ]
    blocks = [{"type": "tool_result", "tool_use_id": call.id, "content": f"rain {call.id}"} for call in CALLS]
    turns = [{"role": "assistant", "content": uses}, {"role": "user", "content": blocks}]
    return {**asked, "messages": [*asked["messages"], *turns]}


def spoken(value: Any) -> list[str]:
    """Return all strings of a request, however deep."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return spoken([*cast("dict[str, Any]", value).values()])
    return [text for each in cast("list[Any]", value) for text in spoken(each)] if isinstance(value, list) else []


def picture_as_sent(upstream: Name, sent: dict[str, Any]) -> Any:
    """Return the picture of a request as its upstream takes it."""
    content = sent["input" if upstream == "responses" else "messages"][-1]["content"]
    part = content[-1]
    if upstream == "messages":
        return f"data:{part['source']['media_type']};{part['source']['type']},{part['source']['data']}"
    return part["image_url"] if upstream == "responses" else part["image_url"]["url"]


def results_as_sent(upstream: Name, sent: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the tools' results of a request as its upstream takes them: id and text."""
    if upstream == "responses":
        found = [(item["call_id"], item["output"]) for item in sent["input"] if "call_id" in item and "output" in item]
    elif upstream == "chat":
        found = [(each["tool_call_id"], each["content"]) for each in sent["messages"] if each["role"] == "tool"]
    else:
        found = [(block["tool_use_id"], block["content"]) for block in sent["messages"][-1]["content"]]
    return [(call, text if isinstance(text, str) else "".join(part["text"] for part in text)) for call, text in found]


def schema_as_sent(upstream: Name, sent: dict[str, Any]) -> Any:
    """Return the schema that the upstream was told to keep to."""
    if upstream == "messages":
        return sent["output_config"]["format"]["schema"]
    return (sent["response_format"]["json_schema"] if upstream == "chat" else sent["text"]["format"])["schema"]


def tool_as_sent(upstream: Name, sent: dict[str, Any]) -> Any:
    """Return the name and schema of the tool that the upstream was given."""
    [tool] = sent["tools"]
    tool = tool["function"] if upstream == "chat" else tool
    return tool["name"], tool["input_schema" if upstream == "messages" else "parameters"]


CELLS = [(client, upstream) for client in CLIENTS for upstream in UPSTREAMS]
each_cell = pytest.mark.parametrize(("client", "upstream"), CELLS, ids=lambda name: str(name))
whole_and_streamed = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])


def ask(
    world: World, cell: tuple[Name, Name], chat: Chat, asked: dict[str, Any], *, streamed: bool
) -> tuple[Answer, dict[str, Any]]:
    """Ask by a client while an upstream answers so; returns what was read and what had left."""
    client, upstream = cell
    world.upstream.follow([reply_of(upstream, chat, streamed=streamed)])
    answer = ASK[client](world, streamed, {"model": f"one-{upstream}", **asked})
    sent = world.sent(upstream)
    assert answer.model == f"one-{upstream}" and sent["model"] == f"one-{upstream}-upstream"
    assert bool(sent.get("stream")) is streamed
    assert (answer.input_tokens, answer.output_tokens) == (INPUT_TOKENS, chat.completion_tokens)
    return answer, sent


@each_cell
@whole_and_streamed
def test_text_and_instructions(world: World, client: Name, upstream: Name, streamed: bool) -> None:
    asked = said(client, "Grüße, 世界", instructions="Be brief.")
    chat = Chat("Hallo, wie geht es?", prompt_tokens=INPUT_TOKENS)
    answer, sent = ask(world, (client, upstream), chat, asked, streamed=streamed)
    assert (answer.text, answer.ended, answer.calls) == ("Hallo, wie geht es?", "end", ())
    assert [text for text in spoken(sent) if text in ("Grüße, 世界", "Be brief.")] in (
        ["Be brief.", "Grüße, 世界"],
        ["Grüße, 世界", "Be brief."],
    )


@each_cell
@whole_and_streamed
def test_parallel_tool_calls(world: World, client: Name, upstream: Name, streamed: bool) -> None:
    chat = Chat("", prompt_tokens=INPUT_TOKENS, tool_calls=CALLS, finish_reason="tool_calls")
    asked = {**said(client, "Weather?"), **tools_of(client)}
    answer, sent = ask(world, (client, upstream), chat, asked, streamed=streamed)
    assert answer.calls == (
        ("call_1", "get_weather", {"city": "Zürich"}),
        ("call_2", "get_weather", {"city": "Oslo"}),
    )
    assert (answer.text, answer.ended) == ("", "tools")
    assert tool_as_sent(upstream, sent) == ("get_weather", SCHEMA)


@each_cell
@whole_and_streamed
def test_results_of_tools(world: World, client: Name, upstream: Name, streamed: bool) -> None:
    asked = results_of(client, {**said(client, "Weather?"), **tools_of(client)})
    answer, sent = ask(world, (client, upstream), Chat("Wet.", prompt_tokens=INPUT_TOKENS), asked, streamed=streamed)
    assert answer.text == "Wet."
    assert results_as_sent(upstream, sent) == [("call_1", "rain call_1"), ("call_2", "rain call_2")]


@each_cell
@whole_and_streamed
def test_images(world: World, client: Name, upstream: Name, streamed: bool) -> None:
    asked = said(client, "What is it?", picture=True)
    chat = Chat("A pixel.", prompt_tokens=INPUT_TOKENS)
    answer, sent = ask(world, (client, upstream), chat, asked, streamed=streamed)
    assert answer.text == "A pixel." and picture_as_sent(upstream, sent) == PICTURE


@each_cell
@whole_and_streamed
def test_structured_output(world: World, client: Name, upstream: Name, streamed: bool) -> None:
    asked = {**said(client, "Where?"), **shape_of(client)}
    chat = Chat('{"city":"Oslo"}', prompt_tokens=INPUT_TOKENS)
    answer, sent = ask(world, (client, upstream), chat, asked, streamed=streamed)
    assert json.loads(answer.text) == {"city": "Oslo"} and schema_as_sent(upstream, sent) == SCHEMA


@each_cell
@whole_and_streamed
def test_an_answer_at_its_cap(world: World, client: Name, upstream: Name, streamed: bool) -> None:
    asked = {**said(client, "Count."), CAPS[client][0]: 3}
    chat = Chat("one two three", prompt_tokens=INPUT_TOKENS, finish_reason="length")
    answer, sent = ask(world, (client, upstream), chat, asked, streamed=streamed)
    assert (answer.text, answer.ended) == ("one two three", "cap")
    assert [sent[name] for name in CAPS[upstream] if name in sent] == [3]


@each_cell
@whole_and_streamed
def test_reasoning(world: World, client: Name, upstream: Name, streamed: bool) -> None:
    chat = Chat("Yes.", prompt_tokens=INPUT_TOKENS, reasoning="Let me think.")
    answer, _ = ask(world, (client, upstream), chat, said(client, "Is it?"), streamed=streamed)
    assert answer.text == "Yes."
    # The helper of the SDK drops fields of a delta that it does not know, as `reasoning_content` is.
    assert answer.reasoning == "Let me think." or (client == "chat" and streamed)


@pytest.mark.parametrize(("client", "feature"), sorted(ODD_FIELDS), ids=str)
@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_only_what_the_list_names_is_refused(world: World, client: Name, upstream: Name, feature: str) -> None:
    asked = {**said(client, "{}"), **ODD_FIELDS[client, feature]}
    refusal = REFUSALS.get((client, upstream, feature))
    if refusal is None:
        answer, _ = ask(world, (client, upstream), Chat("{}", prompt_tokens=INPUT_TOKENS), asked, streamed=False)
        assert answer.text == "{}"
        return
    before = len(world.upstream.requests)
    with pytest.raises((openai.BadRequestError, anthropic.BadRequestError)) as caught:
        ASK[client](world, False, {"model": f"one-{upstream}", **asked})
    body: Any = caught.value.body
    error = body.get("error", body)
    assert (error["code"], error["param"]) == ("unsupported_field", refusal[0])
    assert len(world.upstream.requests) == before
