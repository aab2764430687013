"""Messages in, chat completions upstream: the request's fields.

Turns and their blocks are messages_to_chat_content's, the way back is messages_to_chat_reply's.
Source: Anthropic API reference, "Create a message"; OpenAI API reference, "Create chat completion" (read 2026-11-24).
"""

from __future__ import annotations

from collections.abc import Mapping

from headrace.domain.call import Dialect
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.anthropic_messages import output_schema
from headrace.wire.dialect_fields import judge_fields
from headrace.wire.messages_request import (
    FATES,
    NEUTRAL,
    dropped_config,
    dropped_thinking,
    function_fields,
    read_effort,
    read_turns,
    translate_account,
    translate_tools,
)
from headrace.wire.messages_to_chat_content import ChatMessages
from headrace.wire.messages_to_chat_reply import MessagesFromChat, messages_reply
from headrace.wire.pair import StreamTranslator, Translated

COPIED: Mapping[str, str] = {
    "model": "model",
    "max_tokens": "max_tokens",
    "stop_sequences": "stop",
    "temperature": "temperature",
    "top_p": "top_p",
}
# "max" has no equal; the next lower one is the most that can be asked for.
EFFORTS: Mapping[str, str] = {"low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "xhigh"}


class MessagesToChat:
    """Serves Messages by an upstream that speaks chat completions."""

    client = Dialect.MESSAGES
    upstream = Dialect.CHAT

    def request(self, body: JsonObject) -> Translated:
        """Return the request as a chat completion; raises InvalidRequest naming what chat cannot express."""
        dropped = list(judge_fields(body, FATES, NEUTRAL))
        messages = ChatMessages()
        messages.read(body.get("system"), read_turns(body))
        chat: JsonObject = {name: body[own] for own, name in COPIED.items() if body.get(own) is not None}
        chat["messages"] = messages.entries
        if body.get("stream"):
            chat["stream"] = True
            chat["stream_options"] = {"include_usage": True}
        dropped += translate_tools(body, chat, _function, _choice)
        dropped += _translate_output(body, chat)
        dropped += translate_account(body, chat)
        return Translated(chat, tuple(dict.fromkeys([*dropped, *messages.dropped])))

    def reply(self, body: JsonObject, request: JsonObject) -> JsonObject:
        """Return a chat completion as a message."""
        return messages_reply(body, request)

    def stream(self, request: JsonObject) -> StreamTranslator:
        """Return a translator of chat chunks to Messages events."""
        return MessagesFromChat(request)


def _function(tool: JsonObject) -> JsonObject:
    function = function_fields(tool)
    if tool.get("strict") is not None:
        function["strict"] = tool["strict"]
    return {"type": "function", "function": function}


def _choice(name: JsonValue) -> JsonValue:
    return {"type": "function", "function": {"name": name}}


def _translate_output(body: JsonObject, chat: JsonObject) -> list[str]:
    schema = output_schema(body)
    if schema is not None:
        shape: JsonObject = {"name": "answer", "schema": schema[1]["schema"], "strict": True}
        chat["response_format"] = {"type": "json_schema", "json_schema": shape}
    effort = read_effort(body, EFFORTS)
    if effort is not None:
        chat["reasoning_effort"] = effort
    return [*dropped_config(body), *dropped_thinking(body, effort)]
