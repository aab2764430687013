"""The request headers of a caller that may pass to an upstream of the same dialect: named here, checked, never others.

Source: Anthropic API reference, "Versions" and "Beta headers"; "Fast mode" and "Context windows" for what betas cost
(read 2026-11-25).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TypeAlias

from headrace.domain.call import Dialect
from headrace.domain.errors import InvalidRequest

Headers: TypeAlias = tuple[tuple[str, str], ...]
ValuesOf: TypeAlias = Callable[[bytes], list[bytes]]

VERSION, BETA = "anthropic-version", "anthropic-beta"
MAX_VALUE_CHARS = 1_024
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
# These betas multiply the price of a request: an operator who has priced that sends them as headers of the provider.
_PRICED_BETAS = ("fast-mode-", "context-1m-")
# A translation says in its own words what these ask for.
_IMPLIED = frozenset({VERSION})
_PASSED: Mapping[Dialect, tuple[str, ...]] = {Dialect.MESSAGES: (VERSION, BETA)}


def passed_headers(dialect: Dialect, values_of: ValuesOf) -> Headers:
    """Return the headers that this dialect lets pass; raises InvalidRequest for a value that is none of theirs."""
    names = _PASSED.get(dialect, ())
    found = ((name, _words(name, values_of(name.encode()))) for name in names)
    return tuple((name, ",".join(words)) for name, words in found if words)


def upstream_headers(default: Headers, fixed: Headers, passed: Headers) -> tuple[Headers, tuple[str, ...]]:
    """Return an upstream's headers, and what of the caller's was dropped.

    What the caller sent replaces a default, what the provider fixes replaces both; betas of all are joined.
    """
    asked = [word for name, value in passed if name == BETA for word in value.split(",")]
    priced = [word for word in asked if word.startswith(_PRICED_BETAS)]
    fixed_betas = [word.strip() for name, value in fixed if name == BETA for word in value.split(",")]
    betas = dict.fromkeys([*fixed_betas, *(word for word in asked if word not in priced)])
    headers = {**dict(default), **dict(passed), **dict(fixed)}
    headers.pop(BETA, None)
    if betas:
        headers[BETA] = ",".join(betas)
    return tuple(headers.items()), tuple(f"{BETA}.{word}" for word in priced)


def untranslated_headers(passed: Headers) -> tuple[str, ...]:
    """Return the names of the caller's headers that an upstream of another dialect is not told."""
    return tuple(name for name, _ in passed if name not in _IMPLIED)


def _words(name: str, values: list[bytes]) -> list[str]:
    text = ",".join(value.decode("latin-1") for value in values)
    words = [word.strip() for word in text.split(",") if word.strip()]
    is_single = name == VERSION
    if len(text) > MAX_VALUE_CHARS or (is_single and len(set(words)) > 1) or not all(map(_WORD.fullmatch, words)):
        what = "one version, such as 2023-06-01" if is_single else "names of betas, separated by commas"
        raise InvalidRequest(f'The header "{name}" must hold {what}, not "{text[:80]}".', param=name)
    return words[:1] if is_single else words
