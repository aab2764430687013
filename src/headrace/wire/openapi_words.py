"""The fixed words of the published description: headers, credentials, what a status means, parts of paths."""

from __future__ import annotations

from collections.abc import Mapping

from headrace.domain.json_value import JsonObject
from headrace.wire.rate_headers import ANTHROPIC_NAMES, NAMES

DESCRIPTION = (
    "One listener serves both planes: /v1 calls models, /v2 administers the platform. An error on the connection "
    "itself (a head that is no HTTP, too large or too slow; too many connections) has the form of the data plane "
    "everywhere. A failure inside a stream comes as an event, and the transfer then ends broken."
)
TAGS: Mapping[str, str] = {
    "v1": "The data plane: calls models in the dialects of their makers.",
    "v2": "The control plane: administers the platform.",
    "operations": "For whoever runs the process.",
}
SECURITY: Mapping[str, JsonObject] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "A model access key or an admin token."},
    "x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "The same credential."},
}
REASONS: Mapping[int, str] = {
    200: "Done.",
    201: "Made.",
    304: "Nothing has changed since.",
    400: "The request is wrong; the message says what and how to fix it.",
    401: "No credential, or one that is not valid.",
    402: "The price is unknown or the money does not suffice.",
    403: "The credential is good but does not reach this.",
    404: "Nothing of that name, or nothing that this caller may see.",
    408: "The request came too slowly.",
    409: "The request contradicts the present state.",
    413: "The body is too large.",
    415: "The body is not plain JSON.",
    421: "This server does not answer for that host.",
    422: "The request contradicts an earlier one that it says it repeats.",
    429: "A rate limit is reached, or the provider asks to slow down.",
    431: "The head of the request is too large.",
    500: "A defect of the server.",
    502: "The provider failed.",
    503: "Not now; `retry-after` says when.",
    504: "The provider did not answer in time.",
}
ANSWER_HEADERS: Mapping[int, tuple[str, ...]] = {
    401: ("www-authenticate",),
    402: ("x-should-retry",),
    409: ("x-should-retry",),
    429: ("retry-after",),
    503: ("retry-after",),
}


def _text_header(says: str, *, always: bool = True) -> JsonObject:
    return {"description": says, "required": always, "schema": {"type": "string"}}


HEADERS: Mapping[str, JsonObject] = {
    "x-request-id": _text_header("The id of the request and of its receipt."),
    "request-id": _text_header("The same, under the name that other clients look for."),
    "etag": _text_header("Names this representation; send it back in If-None-Match or If-Match."),
    "www-authenticate": _text_header("How to send a credential."),
    "retry-after": _text_header("After how many seconds to ask again."),
    "x-should-retry": _text_header('"false" where a repeat is of no use.'),
    "x-headrace-model": _text_header("The model that served."),
    "x-headrace-provider": _text_header("The provider that served."),
    "x-headrace-attempts": _text_header("In which attempt."),
    "x-headrace-dropped": _text_header("Fields that the provider's dialect has no place for.", always=False),
    "x-headrace-cost-usd": _text_header("The charge of a whole reply in dollars.", always=False),
    "x-headrace-cost-nano-usd": _text_header("The same in nano-dollars.", always=False),
    "x-headrace-clamped": _text_header("The output cap that a budget shrank the call to.", always=False),
    "idempotency-replayed": _text_header('"true" when the reply is that of an earlier request.', always=False),
    "x-headrace-cache": _text_header('"hit", "miss" or "bypass", for a key that has a cache.', always=False),
    "x-headrace-cache-source": _text_header("The id of the request that a hit is the reply to.", always=False),
    "x-model-router-selected-route": _text_header("The task that a router matched, if one did.", always=False),
    "x-headrace-router": _text_header("The router that decided, if one was asked.", always=False),
    "x-headrace-route-score": _text_header("The probability that the likeliest task is right.", always=False),
    "x-headrace-route-basis": _text_header("Why the router decided so, in a word.", always=False),
    "x-headrace-session": _text_header("The session that a router found the request to belong to.", always=False),
    **{
        name: _text_header("Where a rate limit stands, if there is one.", always=False)
        for name in (*NAMES, *ANTHROPIC_NAMES)
    },
}


def _request_header(name: str, says: str, schema: JsonObject) -> JsonObject:
    return {"name": name, "in": "header", "required": False, "description": says, "schema": schema}


REQUEST_HEADERS: Mapping[str, JsonObject] = {
    "if-match": _request_header(
        "If-Match", "Change it only if it still has one of these tags.", {"type": "string", "pattern": "^[!-~]+$"}
    ),
    "if-none-match": _request_header(
        "If-None-Match", "Answer 304 if it still has one of these tags.", {"type": "string", "pattern": "^[!-~]+$"}
    ),
    "idempotency-key": _request_header(
        "Idempotency-Key",
        "The same key with the same body gets the reply of the first request.",
        {"type": "string", "pattern": "^[!-~]{1,255}$"},
    ),
    "cache-control": _request_header(
        "cache-control",
        '"no-cache" reads no kept reply, "no-store" keeps none either; for a key that has a cache.',
        {"type": "string"},
    ),
    "x-headrace-fallback": _request_header(
        "x-headrace-fallback",
        '"off" forbids every substitute for the model.',
        {"type": "string", "enum": ["on", "off"]},
    ),
    "x-headrace-tags": _request_header(
        "x-headrace-tags",
        "Dimensions of usage: NAME or NAME=VALUE, separated by commas.",
        {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}(=[!-+.-~-]{1,128})?$"},
    ),
    "x-model-affinity": _request_header(
        "X-Model-Affinity",
        'The session of a conversation with a router; "none" switches affinity off.',
        {"type": "string", "pattern": "^[!-~]([ -~]{0,254}[!-~])?$"},
    ),
    "x-routing-max-switch-spend-pct": _request_header(
        "x-routing-max-switch-spend-pct",
        "How many percent more than staying a session may spend on leaving warm prompt caches: 0 to 100.",
        {"type": "string", "pattern": "^([0-9]{1,2}([.][0-9]{1,4})?|100)$"},
    ),
    "anthropic-version": _request_header(
        "anthropic-version", "Sent, the reply has Anthropic's form.", {"type": "string", "pattern": "^[!-~]+$"}
    ),
    "anthropic-beta": _request_header(
        "anthropic-beta",
        "Betas, for a provider that speaks Messages; others are not told.",
        {"type": "string", "maxLength": 1024, "pattern": "^[A-Za-z0-9._, -]+$"},
    ),
}
