"""The published description turned towards one installation: names that exist in it, and fields that translators read.

What a description leaves open ("a part has a type, the rest goes by it") is where translators look, so that the odd
form fills it with the words of the three dialects and with values of every type.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

KINDS: Mapping[str, str] = {
    "one-chat": "chat",
    "texts": "chat",
    "vectors": "embedding",
    "order": "rerank",
    "pictures": "image",
    "voice": "speech",
}
CHATS = ("one-chat", "one-messages", "one-responses", "daily", "nobody", "vectors", "guarded")
MODELS_OF: Mapping[str, tuple[str, ...]] = {
    "ChatRequest": CHATS,
    "MessagesRequest": CHATS,
    "CountRequest": CHATS,
    "ResponseRequest": CHATS,
    "CompletionRequest": ("texts", "texts", "one-chat"),
    "EmbeddingRequest": ("vectors", "vectors", "one-chat"),
    "RerankRequest": ("order", "voice"),
    "ImageRequest": ("pictures", "order"),
    "SpeechRequest": ("voice", "pictures"),
}
SCALARS: list[dict[str, Any]] = [
    {"type": "null"},
    {"type": "boolean"},
    {"type": "integer"},
    {"type": "number"},
    {"type": "string", "maxLength": 20},
]
ANY: dict[str, Any] = {
    "anyOf": [
        *SCALARS,
        {"type": "array", "maxItems": 2, "items": {"anyOf": SCALARS}},
        {"type": "object", "maxProperties": 2, "additionalProperties": {"anyOf": SCALARS}},
    ]
}
TEXT: dict[str, Any] = {"type": "string", "maxLength": 20}


KNOWN_PARTS: Mapping[str, tuple[str, ...]] = {
    "aliases": ("daily", "team/fast", "one-chat", "-bad name-", "nobody"),
    "teams": ("crew", "spare", "nobody"),
    "providers": ("guarded", "fakechat", "nobody"),
    "models": ("far", "one-chat", "nobody"),
}


@dataclass(frozen=True)
class Names:
    """What exists in one installation."""

    keys: tuple[str, ...]
    requests: tuple[str, ...]
    responses: tuple[str, ...]
    budgets: tuple[str, ...]
    routers: tuple[str, ...]
    deployments: tuple[str, ...]
    tokens: tuple[str, ...]


def either(*schemas: dict[str, Any]) -> dict[str, Any]:
    """One of these, or anything at all."""
    return {"anyOf": [*schemas, ANY]}


def typed(kinds: Iterable[str], **fields: dict[str, Any]) -> dict[str, Any]:
    """An object with a type among these, and fields that may be there."""
    return {"type": "object", "properties": {"type": {"enum": [*kinds]}, **fields}, "required": ["type"]}


def listed(schema: dict[str, Any]) -> dict[str, Any]:
    """A short list."""
    return {"type": "array", "maxItems": 3, "items": schema}


def loose(*names: str) -> dict[str, dict[str, Any]]:
    """Fields with values of every type."""
    return dict.fromkeys(names, ANY)


PICTURE = {
    "type": "object",
    "properties": {"url": {"enum": ["data:image/png;base64,AAAA", "https://a.example/b", "x"]}},
}
PARTS = typed(
    ("text", "image_url", "input_audio", "file", "refusal", "input_text", "output_text", "input_image", "input_file"),
    text=either(TEXT),
    image_url=either(PICTURE),
    file=either({"type": "object", "properties": loose("file_data", "filename", "file_id")}),
    **loose("input_audio", "refusal", "annotations", "detail", "cache_control", "file_id", "file_data", "file_url"),
)
CALL = typed(
    ("function", "custom"),
    id=either(TEXT),
    function=either({"type": "object", "properties": {"name": TEXT, "arguments": either({"enum": ["{}", "{", "[]"]})}}),
    **loose("custom", "index"),
)
TOOL = typed(
    ("function", "custom", "web_search", "computer_20250124", "bash_20250124"),
    name=either(TEXT),
    function=either({"type": "object", "properties": loose("name", "description", "parameters", "strict")}),
    **loose("description", "parameters", "input_schema", "strict", "format", "custom", "cache_control"),
)
CHAT_TURN = {
    "type": "object",
    "properties": {
        "role": {"enum": ["system", "developer", "user", "assistant", "tool", "function"]},
        "content": {"anyOf": [TEXT, listed(PARTS), {"type": "null"}]},
        "tool_calls": either(listed(CALL)),
        "thinking_blocks": either(listed(typed(("thinking", "redacted_thinking"), **loose("thinking", "signature")))),
        **loose("tool_call_id", "name", "reasoning_content", "reasoning", "refusal", "function_call", "audio"),
    },
    "required": ["role"],
}
SOURCE = typed(("base64", "url", "text", "content", "file"), **loose("media_type", "data", "url", "file_id", "content"))
BLOCK = typed(
    ("text", "image", "document", "tool_use", "tool_result", "thinking", "redacted_thinking", "search_result"),
    text=either(TEXT),
    source=either(SOURCE),
    content=either(TEXT, listed(typed(("text", "image", "document"), text=TEXT, source=either(SOURCE)))),
    id=either(TEXT),
    tool_use_id=either(TEXT),
    input=either({"type": "object"}),
    **loose("name", "thinking", "signature", "data", "title", "context", "citations", "cache_control", "is_error"),
)
ITEM = typed(
    ("message", "function_call", "function_call_output", "reasoning", "custom_tool_call_output"),
    role={"enum": ["user", "assistant", "system", "developer"]},
    content={"anyOf": [TEXT, listed(PARTS), {"type": "null"}]},
    output=either(TEXT, listed(PARTS)),
    call_id=either(TEXT),
    arguments=either({"enum": ["{}", "{", "[]"]}),
    **loose("id", "name", "summary", "encrypted_content", "status", "input", "phase"),
)
ODD_FIELDS: Mapping[str, dict[str, Any]] = {
    "ChatRequest": {
        "messages": {**listed(CHAT_TURN), "minItems": 1},
        "tools": listed(TOOL),
        "response_format": typed(("text", "json_object", "json_schema", "grammar"), **loose("json_schema", "schema")),
        "stop": either(TEXT, listed(TEXT)),
        **loose("temperature", "reasoning_effort", "user", "logit_bias", "thinking", "metadata", "service_tier"),
        **loose("modalities", "prediction", "function_call", "parallel_tool_calls", "top_logprobs", "tool_choice"),
    },
    "MessagesRequest": {
        "messages": {
            "type": "array",
            "minItems": 1,
            "maxItems": 3,
            "items": {
                "type": "object",
                "properties": {"role": {"enum": ["user", "assistant"]}, "content": {**listed(BLOCK), "minItems": 1}},
                "required": ["role", "content"],
            },
        },
        "system": either(TEXT, listed(BLOCK)),
        "tools": listed(TOOL),
        "tool_choice": typed(("auto", "any", "tool", "none"), **loose("name", "disable_parallel_tool_use")),
        "thinking": typed(("enabled", "disabled", "adaptive"), **loose("budget_tokens", "display")),
        "output_config": either({"type": "object", "properties": loose("effort", "format")}),
        **loose("stop_sequences", "temperature", "top_k", "metadata", "service_tier", "output_format", "container"),
    },
    "ResponseRequest": {
        "input": {**listed({**ITEM, "required": ["type", "role", "content", "call_id"]}), "minItems": 1},
        "tools": listed(TOOL),
        "text": {"type": "object", "properties": {"format": typed(("text", "json_schema", "x"), **loose("schema"))}},
        "reasoning": {"type": "object", "properties": loose("effort", "summary")},
        **loose("temperature", "truncation", "user", "service_tier", "tool_choice", "prompt_cache_key", "include"),
    },
}
ODD_ALWAYS = frozenset({"model", "messages", "input", "max_tokens", "stream"})
ODD_EXTRAS = frozenset(name for fields in ODD_FIELDS.values() for name in fields) - ODD_ALWAYS
ODD_PATHS = ("/v1/chat/completions", "/v1/messages", "/v1/responses")


def localised(document: Mapping[str, Any], names: Names) -> dict[str, Any]:
    """Return the description with names that exist where a name is asked for."""
    found: dict[str, Any] = copy.deepcopy(dict(document))
    schemas = found["components"]["schemas"]
    for shape, models in MODELS_OF.items():
        properties = schemas[shape]["properties"]
        properties["model"] = {"enum": [*models]}
        if "models" in properties:
            properties["models"] = {"anyOf": [{"type": "null"}, {"type": "array", "minItems": 1, "maxItems": 2,
                                                                 "items": {"enum": [*models]}}]}  # fmt: skip
    known = {"enum": ["one-chat", "one-messages", "nobody"]}
    listed_models = {"type": "array", "minItems": 1, "maxItems": 2, "items": known}
    schemas["NewKeyBody"]["properties"]["models"] = listed_models
    for shape in ("AliasBody", "NewAliasBody"):
        schemas[shape]["properties"] |= {"points_to": known, "fallbacks": {**listed_models, "minItems": 0}}
    pool = {**listed_models, "items": {"enum": ["one-chat", "one-messages", "daily"]}, "uniqueItems": True}
    schemas["RouterPolicyBody"]["properties"] |= {"models": pool, "task_slug": {"enum": ["bug-fixing", "nothing"]}}
    schemas["RouterPolicyBody"]["oneOf"] = [{"required": [each]} for each in ("task_slug", "custom_task")]
    schemas["RouterBody"]["properties"]["fallback_models"] = pool
    schemas["RouterReplacement"]["properties"] |= {"fallback_models": pool, "uuid": {"enum": [*names.routers]}}
    for shape, schema in schemas.items():
        if shape.endswith("Body") and "scope" in schema["properties"]:
            schema["properties"]["scope"] = {"enum": [*_harmless(names)]}
    schemas["ResponseRequest"]["properties"]["previous_response_id"] = {"enum": [None, *names.responses, "resp_none"]}
    operations = [(path, operation) for path, item in found["paths"].items() for operation in item.values()]
    for path, operation in operations:
        for parameter in operation["parameters"]:
            if parameter.get("in") == "path":
                parameter["schema"] = {"enum": [*_parts(path, parameter["name"], names)]}
    return found


def odd(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the description with what it leaves open filled by fields that translators read."""
    found: dict[str, Any] = copy.deepcopy(dict(document))
    found["paths"] = {path: found["paths"][path] for path in ODD_PATHS}
    for shape, fields in ODD_FIELDS.items():
        schema = found["components"]["schemas"][shape]
        schema["properties"] |= {**fields, "model": {"enum": [*CHATS[:3]]}, "max_tokens": {"enum": [1, 64]}}
        schema["additionalProperties"] = False
    return found


def _harmless(names: Names) -> tuple[str, ...]:
    """Scopes whose limits stop no other request of the fuzz."""
    return (*(f"key:{each}" for each in names.keys), "key:nobody", "team:nobody", "model:nobody")


def _parts(path: str, name: str, names: Names) -> tuple[str, ...]:
    match path.split("/"):
        case [_, "v1", "responses", *_]:
            return (*names.responses, "resp_none", "ü")
        case [_, "v2", "requests", *_]:
            return (*names.requests, "req_none")
        case [_, "v2", "budgets", *_]:
            return (*names.budgets, "nobody")
        case [_, "dedicated", *_] if name == "deployment":
            return (*names.deployments, "nobody", "a/b:c")
        case [_, "dedicated", _, "v1", "responses", *_]:
            return (*names.responses, "resp_none", "ü")
        case [_, "v2", "dedicated-inferences", *_] if name in ("id", "token"):
            return (*(names.deployments if name == "id" else names.tokens), "nobody", "a/b:c")
        case [_, "v2", noun, *_] if noun in KNOWN_PARTS:
            return KNOWN_PARTS[noun]
        case _ if name == "scope":
            return (*_harmless(names), "nothing")
        case _ if name == "uuid":
            return (*(names.routers if "/routers/" in path else names.keys), "nobody")
        case _:
            return ("one-chat", "voice", "daily", "nobody", "a/b:c", "%2e%2e")
