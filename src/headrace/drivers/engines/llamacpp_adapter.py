"""The dialect of the embedded llama.cpp server: OpenAI's, with its defects repaired on the way in and out."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import msgspec

from headrace.domain.call import Call
from headrace.domain.errors import EngineFailed, HeadraceError, InvalidRequest, UpstreamError, UpstreamRefused
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.plan import Deadlines, Endpoint, Target
from headrace.drivers.engines.llamacpp_fanout import MergedExchange
from headrace.drivers.engines.llamacpp_reader import ToolReader
from headrace.drivers.engines.llamacpp_tools import ToolMode, apply_tool_use, read_tool_use
from headrace.ports.ambient import Ids
from headrace.ports.upstream import Exchange, Prepared, Reader, Transport
from headrace.wire.json_strict import decode_trusted, encode, is_object
from headrace.wire.openai_chat import show, upstream_fields
from headrace.wire.openai_chat_assembler import ChatAssembler
from headrace.wire.openai_chat_stream import ChatStreamReader
from headrace.wire.openai_failure import failure_from_status

PATH = "/v1/chat/completions"
MAX_CHOICES = 16
# The server drops the connection after a stream although it announces keep-alive, so none is used twice.
ONE_REQUEST = (("Connection", "close"),)
_TEXT_PARTS = ("text", "refusal")


class LlamaCppAdapter:
    """Asks the engine for streams only, for text only, one choice each, and for tool calls by grammar."""

    def __init__(self, ids: Ids) -> None:
        self._ids = ids

    def prepare(self, call: Call, target: Target) -> Prepared:
        """Return the engine's request; raises InvalidRequest naming what the engine cannot do."""
        model = target.model
        _check_messages(call.body.get("messages"), model.id)
        _check_ignored_types(call.body)
        if call.envelope.choices > MAX_CHOICES:
            raise InvalidRequest(f'"n" may be at most {MAX_CHOICES} for local models.', param="n")
        if call.envelope.output_cap is not None and call.envelope.output_cap < 1:
            raise InvalidRequest('"max_tokens" must be at least 1.', param="max_tokens")
        fields = upstream_fields(call, model.upstream_name, model.default_output_tokens, "max_tokens")
        fields["stream"] = True
        options = fields.get("stream_options")
        fields["stream_options"] = {**(options if is_object(options) else {}), "include_usage": True}
        apply_tool_use(fields, read_tool_use(fields))
        return Prepared(PATH, encode(fields), stream=True, headers=ONE_REQUEST)

    async def open(
        self, transport: Transport, endpoint: Endpoint, prepared: Prepared, deadlines: Deadlines
    ) -> Exchange:
        """Send the request, once for each choice that it asks for."""
        bodies = _one_choice_each(prepared.body)
        send = functools.partial(transport.send, endpoint)
        openings = [
            functools.partial(send, Prepared(prepared.path, body, prepared.stream, prepared.headers), deadlines)
            for body in bodies
        ]
        first = await openings[0]()
        if len(openings) == 1 or first.status >= 400:
            return first
        return MergedExchange(first, openings[1:], self.failure)

    async def count_prompt(
        self, transport: Transport, endpoint: Endpoint, prepared: Prepared, deadlines: Deadlines
    ) -> int | None:
        """Have the engine write the prompt out and count it; None when it cannot."""
        ask = functools.partial(_asked, transport, endpoint, deadlines)
        prompt = (await ask("/apply-template", prepared.body)).get("prompt")
        body: JsonObject = {"content": prompt, "add_special": True, "parse_special": True}
        tokens = (await ask("/tokenize", encode(body))).get("tokens") if isinstance(prompt, str) else None
        return len(tokens) if isinstance(tokens, list) else None

    def reader(self, call: Call, target: Target) -> Reader:
        """Return a reader of the engine's stream that answers as the caller asked."""
        envelope, model_id = call.envelope, target.model.id
        inner: Reader
        if envelope.stream:
            inner = ChatStreamReader(model_id, show_usage=envelope.include_usage, choices=envelope.choices)
        else:
            inner = ChatAssembler(model_id, choices=envelope.choices)
        use = read_tool_use(dict(call.body))
        if use.mode is ToolMode.NONE:
            return inner
        return ToolReader(inner, use, functools.partial(self._ids.new, "call"))

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> HeadraceError:
        """Name the engine's refusal: too long a prompt, a bad request, or a defect of its own."""
        error = _error(body)
        message = error.get("message")
        text = message if isinstance(message, str) else f"status {status}"
        if error.get("type") == "exceed_context_size_error":
            return _too_long(error, text)
        if status in (400, 422):
            return UpstreamRefused(f"The engine refused the request: {text}")
        if status == 404 or status >= 500 or status in (401, 403):
            return EngineFailed("The local engine failed to answer. Retry in a moment.", detail=f"{status}: {text}")
        return failure_from_status(status, headers, body)


async def _asked(transport: Transport, endpoint: Endpoint, deadlines: Deadlines, path: str, body: bytes) -> JsonObject:
    """Return what another route of the engine answers, empty when it fails."""
    answer = bytearray()
    try:
        exchange = await transport.send(endpoint, Prepared(path, body, stream=False, headers=ONE_REQUEST), deadlines)
        try:
            while (block := await exchange.read()) is not None:
                answer += block
        finally:
            await exchange.close()
        value = decode_trusted(bytes(answer))
    except (UpstreamError, msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return value if exchange.status == 200 and is_object(value) else {}


def _too_long(error: JsonObject, text: str) -> UpstreamRefused:
    prompt, context = error.get("n_prompt_tokens"), error.get("n_ctx")
    message = text
    if isinstance(prompt, int) and isinstance(context, int):
        message = f"The prompt has {prompt} tokens; the model's context is {context}. Shorten the messages."
    return UpstreamRefused(message, code="context_length_exceeded", param="messages")


def _error(body: bytes) -> JsonObject:
    try:
        value = decode_trusted(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    error = value.get("error") if is_object(value) else None
    return error if is_object(error) else {}


def _one_choice_each(body: bytes) -> list[bytes]:
    fields = decode_trusted(body)
    if not is_object(fields) or "n" not in fields:
        return [body]
    count, seed = fields.pop("n"), fields.get("seed")
    bodies: list[bytes] = []
    for index in range(count if isinstance(count, int) else 1):
        if isinstance(seed, int):
            fields["seed"] = seed + index
        bodies.append(encode(fields))
    return bodies


def _check_ignored_types(body: Mapping[str, JsonValue]) -> None:
    """The engine takes these two in a wrong form without a word and answers as if they were absent."""
    stop = body.get("stop")
    words = stop if isinstance(stop, list) else [stop]
    if stop is not None and not all(isinstance(word, str) for word in words):
        raise InvalidRequest(f'"stop" must be a string or an array of strings, not {show(stop)}.', param="stop")
    shape = body.get("response_format")
    if not is_object(shape) or shape.get("type") != "json_schema":
        return
    given = shape.get("json_schema")
    if not is_object(given) or not is_object(given.get("schema")):
        raise InvalidRequest(
            '"response_format.json_schema" must be an object with a "schema" that is an object.',
            param="response_format.json_schema",
        )


def _check_messages(messages: JsonValue, model_id: str) -> None:
    if not isinstance(messages, list) or not messages:
        raise InvalidRequest('"messages" must be a non-empty array of messages.', param="messages")
    for index, message in enumerate(messages):
        if not is_object(message) or not isinstance(message.get("role"), str):
            raise InvalidRequest(f'"messages[{index}]" must be an object with a "role".', param="messages")
        content = message.get("content")
        for part in content if isinstance(content, list) else ():
            kind = part.get("type") if is_object(part) else None
            if is_object(part) and kind == "text" and not isinstance(part.get("text"), str):
                raise InvalidRequest(
                    f'The text of a part of "messages[{index}]" must be a string, not {show(part.get("text"))}.',
                    param=f"messages[{index}].content",
                )
            if kind not in _TEXT_PARTS:
                raise InvalidRequest(
                    f'The model "{model_id}" reads text only; "messages[{index}]" has a part of type "{kind}".',
                    param="messages",
                )
