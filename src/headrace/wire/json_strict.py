"""Strict JSON in: no duplicate keys, no NaN, no infinities, no lone surrogates, bounded depth; and fast JSON out.

The standard decoder keeps the last of duplicate keys and takes NaN, so a pairs hook and two number hooks stand in
its one pass. Bodies are forwarded re-serialised from what was checked here, never as the caller's raw bytes.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from typing import NoReturn, TypeGuard, cast

import msgspec

from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject, JsonValue

MAX_DEPTH = 64
MAX_NUMBER_CHARS = 400
MAX_SHOWN_CHARS = 80
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def _no_duplicates(pairs: list[tuple[str, JsonValue]]) -> JsonObject:
    result = dict(pairs)
    if len(result) != len(pairs):
        [(name, _)] = Counter(name for name, _ in pairs).most_common(1)
        shown = name[:MAX_SHOWN_CHARS].encode("utf-8", "replace").decode()
        raise InvalidRequest(
            f'The key "{shown}" stands twice in one JSON object; send it once.', code="duplicate_key", param=shown
        )
    return result


def _no_constant(text: str) -> NoReturn:
    raise InvalidRequest(f"{text} is not JSON; send a finite number or null.", code="invalid_json")


def _finite(text: str) -> float:
    value = float(text) if len(text) <= MAX_NUMBER_CHARS else math.inf
    if not math.isfinite(value):
        raise InvalidRequest(f"The number {text[:40]} is too large.", code="invalid_json")
    return value


def _bounded_int(text: str) -> int:
    if len(text) > MAX_NUMBER_CHARS:
        raise InvalidRequest(f"The number {text[:40]}… has too many digits.", code="invalid_json")
    return int(text)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_no_duplicates, parse_constant=_no_constant, parse_float=_finite, parse_int=_bounded_int
)
_EXACT = json.JSONDecoder(object_pairs_hook=_no_duplicates, parse_constant=_no_constant, parse_float=str, parse_int=str)
_ENCODER = msgspec.json.Encoder()
_DECODE_ANY = msgspec.json.Decoder()


def is_object(value: object) -> TypeGuard[JsonObject]:
    """Whether a decoded value is a JSON object."""
    return isinstance(value, dict)


def decode_object(body: bytes) -> JsonObject:
    """Return the JSON object in `body`; raises InvalidRequest saying what is wrong and where."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidRequest(
            f"The body is not UTF-8: byte {error.start} is 0x{body[error.start]:02x}.", code="invalid_encoding"
        ) from None
    try:
        value = cast("JsonValue", _DECODER.decode(text))
    except json.JSONDecodeError as error:
        raise InvalidRequest(
            f"The body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}.", code="invalid_json"
        ) from None
    except RecursionError:
        raise _too_deep() from None
    if not is_object(value):
        raise InvalidRequest(f"The body must be a JSON object, not {_kind(value)}.", code="invalid_json")
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH:
        _check_depth(value)
    if _SURROGATE.search(body) is not None:
        _check_surrogates(value)
    return value


def decode_exact(text: str) -> JsonValue:
    """Return any JSON value with its numbers as the texts that they were written as; raises InvalidRequest."""
    try:
        value = cast("JsonValue", _EXACT.decode(text))
    except json.JSONDecodeError as error:
        raise InvalidRequest(
            f"This is not JSON: {error.msg} at line {error.lineno}, column {error.colno}.", code="invalid_json"
        ) from None
    except RecursionError:
        raise _too_deep() from None
    _check_depth(value)
    if "\\u" in text:
        _check_surrogates(value)
    return value


def encode(value: object) -> bytes:
    """Return compact JSON bytes."""
    return _ENCODER.encode(value)


def decode_trusted(body: bytes) -> JsonValue:
    """Return any JSON value from an upstream; raises msgspec.DecodeError when it is not JSON."""
    return cast("JsonValue", _DECODE_ANY.decode(body))


def _kind(value: JsonValue) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case str():
            return "a string"
        case list():
            return "an array"
        case _:
            return "a number"


def _too_deep() -> InvalidRequest:
    return InvalidRequest(f"The body nests deeper than {MAX_DEPTH} levels.", code="nesting_too_deep")


def _check_depth(value: JsonValue) -> None:
    level: list[JsonValue] = [value]
    for _ in range(MAX_DEPTH):
        deeper: list[JsonValue] = []
        for each in level:
            items = each.values() if isinstance(each, dict) else each if isinstance(each, list) else ()
            deeper.extend(item for item in items if isinstance(item, dict | list))
        if not deeper:
            return
        level = deeper
    raise _too_deep()


def _check_surrogates(value: JsonValue) -> None:
    try:
        encode(value)
    except UnicodeEncodeError:
        raise InvalidRequest(
            "The body holds half of a surrogate pair (\\ud800-\\udfff).", code="invalid_json"
        ) from None
