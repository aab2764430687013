"""Every field of the official SDKs' types in each pair of dialects: translated, refused by name, or dropped and named.

`NEUTRAL` lists the values that ask for nothing there; nothing else may vanish, and nothing stands there for nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from headrace.domain.call import Envelope
from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject
from headrace.wire import anthropic_messages, openai_chat, openai_responses
from headrace.wire.chat_to_messages import ChatToMessages
from headrace.wire.chat_to_responses import ChatToResponses
from headrace.wire.messages_to_chat import MessagesToChat
from headrace.wire.messages_to_responses import MessagesToResponses
from headrace.wire.pair import Pair
from headrace.wire.responses_to_chat import ResponsesToChat
from headrace.wire.responses_to_messages import ResponsesToMessages
from tests.field_requests import Name, Outcome, cases, fate

READERS: Mapping[Name, Callable[[JsonObject, int], Envelope]] = {
    "chat": openai_chat.read_envelope,
    "responses": openai_responses.read_envelope,
    "messages": anthropic_messages.read_envelope,
}
PAIRS: Mapping[tuple[Name, Name], Pair] = {
    ("chat", "messages"): ChatToMessages(lambda: 0),
    ("chat", "responses"): ChatToResponses(),
    ("messages", "chat"): MessagesToChat(),
    ("messages", "responses"): MessagesToResponses(),
    ("responses", "chat"): ResponsesToChat(),
    ("responses", "messages"): ResponsesToMessages(lambda: 0),
}
OURS = "we serve it ourselves"
DEFAULT = "it is what happens anyway"
SAYS_NOTHING = "it has nothing in it"
SAID_OF_ITSELF = "an answer says it of itself, and a caller sends it back as it came"
CHAT: Mapping[str, str] = {
    'messages.0 = {"role": "assistant"}': SAYS_NOTHING,
    'messages.0.content.0.image_url.detail = "auto"': DEFAULT,
    "logprobs = false": DEFAULT,
    'modalities = ["text"]': DEFAULT,
    "store = false": DEFAULT,
    "stream_options.include_usage = true": OURS,
    "stream_options.include_usage = false": OURS,
}
MESSAGES: Mapping[str, str] = {
    'messages.0.content.0.caller = {"type": "direct"}': DEFAULT,
    "messages.0.content.0.citations.enabled = false": DEFAULT,
    "messages.0.content.0.content.0.citations.enabled = false": DEFAULT,
    "messages.0.content.0.is_error = false": DEFAULT,
    "metadata = {}": SAYS_NOTHING,
    "output_config = {}": SAYS_NOTHING,
    'speed = "standard"': DEFAULT,
    'thinking = {"type": "adaptive"}': "a model that reasons decides how much by itself",
    "tool_choice.disable_parallel_tool_use = false": DEFAULT,
    'tools.0.allowed_callers = ["direct"]': DEFAULT,
    "tools.0.defer_loading = false": DEFAULT,
    'tools.0.type = "custom"': DEFAULT,
}
RESPONSES: Mapping[str, str] = {
    "background = false": DEFAULT,
    'input.0.caller = {"type": "direct"}': DEFAULT,
    'input.0.content.0.annotations.0.canary_field = "canary"': SAID_OF_ITSELF,
    'input.0.content.0.detail = "auto"': DEFAULT,
    'input.0.content.0.logprobs = [{"token": "canary", "bytes": [3], "logprob": 0.5, "top_logp': SAID_OF_ITSELF,
    'input.0.content.0.logprobs.0.canary_field = "canary"': SAID_OF_ITSELF,
    'input.0.content.0.logprobs.0.top_logprobs.0.canary_field = "canary"': SAID_OF_ITSELF,
    'input.0.id = "call_1"': SAID_OF_ITSELF,
    'input.0.status = "completed"': SAID_OF_ITSELF,
    'input.0.status = "in_progress"': SAID_OF_ITSELF,
    'input.0.status = "incomplete"': SAID_OF_ITSELF,
    'input.0.type = "message"': DEFAULT,
    'metadata = {"canary": "canary"}': OURS,
    'model = "one"': "the least request has it already",
    'previous_response_id = "canary"': OURS,
    "reasoning = {}": SAYS_NOTHING,
    "store = false": OURS,
    "store = true": OURS,
    "text = {}": SAYS_NOTHING,
    'text.format = {"type": "text"}': DEFAULT,
    'truncation = "disabled"': DEFAULT,
}
ALWAYS_STRICT = "every schema is kept to"
NEUTRAL: Mapping[tuple[Name, Name], Mapping[str, str]] = {
    ("chat", "messages"): {
        **CHAT,
        'response_format = {"type": "text"}': DEFAULT,
        "response_format.json_schema.strict = false": ALWAYS_STRICT,
        "response_format.json_schema.strict = true": ALWAYS_STRICT,
    },
    ("chat", "responses"): {**CHAT, "tools.0.function.strict = false": DEFAULT},
    ("messages", "chat"): MESSAGES,
    ("messages", "responses"): {
        **MESSAGES,
        'thinking.display = "omitted"': DEFAULT,
        'thinking.display = "summarized"': "thinking with a budget is summarized anyway",
        "tools.0.strict = false": DEFAULT,
    },
    ("responses", "chat"): {
        **RESPONSES,
        'input.0.content = [{"text": "canary", "type": "reasoning_text"}]': "the summary beside it says the same",
        'input.0.content.0.canary_field = "canary"': SAID_OF_ITSELF,
        'input.0.summary.0.canary_field = "canary"': SAID_OF_ITSELF,
    },
    ("responses", "messages"): {
        **RESPONSES,
        'include = ["reasoning.encrypted_content"]': OURS,
        'input.0.output.0.detail = "auto"': DEFAULT,
        "text.format.strict = false": ALWAYS_STRICT,
        "text.format.strict = true": ALWAYS_STRICT,
    },
}


def outcome(client: Name, upstream: Name, body: dict[str, Any]) -> Outcome:
    """Return what a pair makes of a request that the edge has taken."""
    try:
        READERS[client](body, len(json.dumps(body)))
        translated = PAIRS[client, upstream].request(body)
    except InvalidRequest as error:
        return Outcome(refused=error.param or "", message=error.message)
    return Outcome(json.dumps(translated.body, sort_keys=True), translated.dropped)


CELLS = [(*pair, False) for pair in PAIRS] + [(*pair, True) for pair in PAIRS if pair[0] == "messages"]


@pytest.mark.parametrize(("client", "upstream", "beta"), CELLS, ids=str)
def test_every_field_has_a_fate(client: Name, upstream: Name, beta: bool) -> None:
    kept: dict[str, Outcome] = {}
    wrong: dict[str, str] = {}
    for case in cases(client, beta=beta):
        key = json.dumps(case.without)
        if key not in kept:
            kept[key] = outcome(client, upstream, case.without)
        found = fate(case, kept[key], outcome(client, upstream, case.having))
        if found not in ("translated", "refused", "dropped"):
            wrong[case.name] = found
    assert wrong == dict.fromkeys(NEUTRAL[client, upstream], "vanished")
