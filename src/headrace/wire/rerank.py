"""Reranking in the form that Jina, Cohere and vLLM share: the fields that we own, and where usage is found.

Source: Jina reranker API, Cohere "Rerank v2", vLLM "Re-rank API" (read 2026-11-24).
"""

from __future__ import annotations

from headrace.domain.call import Envelope
from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.usage import UnitClass, Usage, rare
from headrace.wire.json_strict import is_object
from headrace.wire.media_usage import MAX_COUNT, count_in
from headrace.wire.openai_chat import optional_int, show, whole_envelope

MAX_DOCUMENTS = 10_000
DOCUMENTS_PER_SEARCH = 100
BYTES_PER_PIECE = 500


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
    return whole_envelope(body, body_bytes, units=((UnitClass.SEARCH, _searches(body_bytes, len(documents))),))


def read_usage(answer: JsonObject) -> Usage | None:
    """Return the tokens that were read and the searches that are billed, or None when the answer counts neither."""
    usage, meta = answer.get("usage"), answer.get("meta")
    counted, billed = (meta.get("tokens"), meta.get("billed_units")) if is_object(meta) else (None, None)
    places = ((usage, "prompt_tokens"), (usage, "total_tokens"), (counted, "input_tokens"))
    tokens = next((count for block, name in places if (count := _count(block, name)) is not None), None)
    searches = _count(billed, "search_units") or _count(usage, "search_units")
    if tokens is None and searches is None:
        return None
    return Usage(input_fresh=tokens or 0, more=rare({UnitClass.SEARCH: searches or 0}))


def _count(block: JsonValue, name: str) -> int | None:
    return count_in(block, name) if is_object(block) else None


def _searches(body_bytes: int, documents: int) -> int:
    """Return the most searches that a request is billed as: every 100 documents, long ones counting as several.

    Source: Cohere, "Rerank", "How does pricing work?" (documents are split at 500 tokens with the query in each).
    """
    pieces = documents + body_bytes // BYTES_PER_PIECE
    return -(-pieces // DOCUMENTS_PER_SEARCH)
