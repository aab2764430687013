"""Reranking in the form that Jina, Cohere and vLLM share: the fields that we own, and where usage is found.

Source: Jina reranker API, Cohere "Rerank v2", vLLM "Re-rank API" (read 2026-11-24).
"""

from __future__ import annotations

from headrace.domain.call import Envelope
from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject
from headrace.domain.usage import Usage
from headrace.wire.json_strict import is_object
from headrace.wire.openai_chat import optional_int, required_text, show
from headrace.wire.openai_usage import MAX_COUNT

MAX_DOCUMENTS = 10_000


def read_envelope(body: JsonObject, body_bytes: int) -> Envelope:
    """Return what we must understand of a request to rerank; raises InvalidRequest naming the field."""
    query, documents = body.get("query"), body.get("documents")
    if not query or not isinstance(query, str | dict):
        raise InvalidRequest(f'"query" must be a non-empty text, not {show(query)}.', param="query")
    if not isinstance(documents, list) or not documents:
        raise InvalidRequest('"documents" must be a non-empty array.', param="documents")
    if len(documents) > MAX_DOCUMENTS:
        raise InvalidRequest(
            f'"documents" holds {len(documents)} items; at most {MAX_DOCUMENTS} are allowed.', param="documents"
        )
    if not all(isinstance(each, str | dict) for each in documents):
        raise InvalidRequest('"documents" must hold texts, or objects.', param="documents")
    optional_int(body, "top_n", 1, MAX_COUNT)
    return Envelope(
        model=required_text(body, "model"),
        stream=False,
        include_usage=False,
        output_cap=None,
        choices=1,
        needs=frozenset(),
        body_bytes=body_bytes,
    )


def read_usage(answer: JsonObject) -> Usage | None:
    """Return the tokens that were read, or None: searches that are counted as units are no tokens."""
    usage, meta = answer.get("usage"), answer.get("meta")
    tokens = meta.get("tokens") if is_object(meta) else None
    for block, name in ((usage, "prompt_tokens"), (usage, "total_tokens"), (tokens, "input_tokens")):
        count = block.get(name) if is_object(block) else None
        if isinstance(count, int) and not isinstance(count, bool) and 0 <= count <= MAX_COUNT:
            return Usage(input_fresh=count)
    return None
