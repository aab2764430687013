"""Messages in, the Responses dialect upstream: the request's fields.

Turns and their blocks are messages_to_responses_items', the way back is messages_to_responses_reply's.
Source: Anthropic API reference, "Create a message"; OpenAI API reference, "Create a model response" (read 2026-11-24).
"""

from __future__ import annotations

from collections.abc import Mapping

from headrace.domain.call import Dialect
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire import messages_request
from headrace.wire.anthropic_messages import output_schema
from headrace.wire.dialect_fields import Fate, judge_fields
from headrace.wire.json_strict import is_object
from headrace.wire.messages_request import (
    dropped_config,
    dropped_thinking,
    function_fields,
    read_effort,
    read_turns,
    translate_account,
    translate_tools,
)
from headrace.wire.messages_to_responses_items import ResponseItems
from headrace.wire.messages_to_responses_reply import MessagesFromResponse, message_of_response
from headrace.wire.pair import StreamTranslator, Translated

# Responses differ from chat in one field: no sequence can stop them.
FATES: Mapping[str, Fate] = {**messages_request.FATES, "stop_sequences": Fate.REFUSED}
NEUTRAL: Mapping[str, JsonValue] = {**messages_request.NEUTRAL, "stop_sequences": []}
COPIED: Mapping[str, str] = {
    "model": "model",
    "max_tokens": "max_output_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
}
EFFORTS: Mapping[str, str] = {name: name for name in ("low", "medium", "high", "xhigh", "max")}


class MessagesToResponses:
    """Serves Messages by an upstream that speaks the Responses dialect."""

    client = Dialect.MESSAGES
    upstream = Dialect.RESPONSES

    def request(self, body: JsonObject) -> Translated:
        """Return the request as one for a response; raises InvalidRequest naming what that cannot express."""
        dropped = list(judge_fields(body, FATES, NEUTRAL))
        items = ResponseItems()
        items.read(body.get("system"), read_turns(body))
        asked: JsonObject = {name: body[own] for own, name in COPIED.items() if body.get(own) is not None}
        asked["input"] = items.entries
        if body.get("stream"):
            asked["stream"] = True
        dropped += translate_tools(body, asked, _function, _choice)
        dropped += _translate_output(body, asked)
        dropped += translate_account(body, asked)
        return Translated(asked, tuple(dict.fromkeys([*dropped, *items.dropped])))

    def reply(self, body: JsonObject, request: JsonObject) -> JsonObject:
        """Return a response as a message."""
        return message_of_response(body)

    def stream(self, request: JsonObject) -> StreamTranslator:
        """Return a translator of typed events to Messages events."""
        return MessagesFromResponse()


def _function(tool: JsonObject) -> JsonObject:
    # A schema of Messages need not be strict; here it would be strict unless that is said.
    return {"type": "function", **function_fields(tool), "strict": tool.get("strict") is True}


def _choice(name: JsonValue) -> JsonValue:
    return {"type": "function", "name": name}


def _translate_output(body: JsonObject, asked: JsonObject) -> list[str]:
    schema = output_schema(body)
    if schema is not None:
        shape: JsonObject = {"type": "json_schema", "name": "answer", "schema": schema[1]["schema"], "strict": True}
        asked["text"] = {"format": shape}
    thinking, effort = body.get("thinking"), read_effort(body, EFFORTS)
    reasoning: JsonObject = {} if effort is None else {"effort": effort}
    if is_object(thinking) and _shows_thinking(thinking):
        reasoning["summary"] = "auto"
    if reasoning:
        asked["reasoning"] = reasoning
    is_known = is_object(thinking) and thinking.get("display") in ("summarized", "omitted")
    return [*dropped_config(body), *dropped_thinking(body, effort, *(["display"] if is_known else []))]


def _shows_thinking(thinking: JsonObject) -> bool:
    kind, display = thinking.get("type"), thinking.get("display")
    return kind != "disabled" and (display == "summarized" or (display is None and kind == "enabled"))
