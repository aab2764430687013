"""How the fake upstream answers without a script: each request as it asks, with words counted as tokens."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

from headrace.testing.anthropic_replies import obedient_messages
from headrace.testing.openai_replies import (
    Chat,
    chat_reply,
    chat_stream,
    embeddings_reply,
    error_reply,
    models_reply,
    words,
)
from headrace.testing.responses_replies import limited, response_reply, response_stream
from headrace.testing.script import Reply, UpstreamRequest

MODELS = ("fake-model", "fake-embedding")


def obedient_answer(request: UpstreamRequest) -> Reply:
    """Answer chat, responses, embeddings and models; 404 for other paths, 400 for a body that is not a JSON object."""
    if request.method == "GET" and request.path.endswith("/models"):
        return models_reply(MODELS)
    if not isinstance(request.json, dict):
        return error_reply(400, "The body is not a JSON object.", kind="invalid_request_error")
    if request.path.endswith("/chat/completions"):
        return obedient_chat(request, Chat())
    if request.path.endswith("/responses"):
        return obedient_response(request, Chat())
    if request.path.endswith("/messages"):
        return obedient_messages(request)
    if request.path.endswith("/embeddings"):
        return _embeddings(request)
    return error_reply(404, f"Nothing lives at {request.path}.", kind="invalid_request_error", code="not_found")


def obedient_chat(request: UpstreamRequest, chat: Chat) -> Reply:
    """Answer with that chat in the form asked for: stream or not, `n`, output cap, usage if asked for."""
    fields = request.fields
    cap = _whole_number(fields.get("max_completion_tokens")) or _whole_number(fields.get("max_tokens"))
    spoken = words(chat.text)
    if cap is not None and cap < len(spoken):
        chat = replace(chat, text="".join(spoken[:cap]), finish_reason="length")
    chat = replace(
        chat,
        model=request.model or chat.model,
        choices=_whole_number(fields.get("n")) or chat.choices,
        prompt_tokens=prompt_words(fields.get("messages")),
        id=f"chatcmpl-fake-{request.number}",
    )
    if fields.get("stream") is not True:
        return chat_reply(chat)
    options = fields.get("stream_options")
    asked = isinstance(options, dict) and cast("dict[str, object]", options).get("include_usage") is True
    return chat_stream(chat if asked or chat.usage != "final" else replace(chat, usage="absent"))


def obedient_response(request: UpstreamRequest, chat: Chat) -> Reply:
    """Answer with that chat in the Responses dialect, in the form asked for: stream or not, output cap."""
    fields = request.fields
    chat = replace(
        limited(chat, _whole_number(fields.get("max_output_tokens"))),
        model=request.model or chat.model,
        prompt_tokens=prompt_words(fields.get("input")),
        id=f"fake-{request.number}",
    )
    return response_stream(chat) if fields.get("stream") is True else response_reply(chat)


def prompt_words(value: object) -> int:
    """Count the words of a prompt: strings, and the `content`, `text` and `input` of anything nested."""
    if isinstance(value, str):
        return len(value.split())
    if isinstance(value, Mapping):
        members = cast("Mapping[str, object]", value)
        return sum(prompt_words(members.get(name)) for name in ("content", "text", "input"))
    if isinstance(value, Sequence):
        return sum(prompt_words(item) for item in cast("Sequence[object]", value))
    return 0


def _embeddings(request: UpstreamRequest) -> Reply:
    asked = request.fields.get("input")
    count = len(cast("list[object]", asked)) if isinstance(asked, list) else 1
    return embeddings_reply(
        count,
        dimensions=_whole_number(request.fields.get("dimensions")) or 8,
        model=request.model or "fake-embedding",
        prompt_tokens=prompt_words(request.fields.get("input")),
        encoding="base64" if request.fields.get("encoding_format") == "base64" else "float",
    )


def _whole_number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
