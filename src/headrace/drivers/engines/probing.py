"""What engines are asked beside requests: one session for each question, and figures out of their metrics."""

from __future__ import annotations

from collections.abc import Mapping

import aiohttp

from headrace.domain.plan import Endpoint

PROBE_SECONDS = 30.0
CONNECT_SECONDS = 2.0
# A share of one cache: where several report it, the fullest counts; all other figures are added.
CACHE_USE = "cache_use"


def session(endpoint: Endpoint) -> aiohttp.ClientSession:
    """Return a session for one probe; probes are rare, and none leaves a connection open."""
    headers: dict[str, str] = {}
    if endpoint.auth_header is not None and endpoint.auth_value is not None:
        headers[endpoint.auth_header] = endpoint.auth_value.reveal()
    timeout = aiohttp.ClientTimeout(total=PROBE_SECONDS, connect=CONNECT_SECONDS)
    return aiohttp.ClientSession(headers=headers, timeout=timeout)


def figures_of(metrics: str, wanted: Mapping[str, str]) -> dict[str, float]:
    """Return our words for load with their figures; `wanted` maps each word to a metric's name.

    Source: https://prometheus.io/docs/instrumenting/exposition_formats/ (read 2026-11-28).
    """
    words: dict[str, list[str]] = {}
    for word, metric in wanted.items():
        words.setdefault(metric, []).append(word)
    figures: dict[str, float] = {}
    for line in metrics.splitlines():
        metric, rest = _split(line)
        for word in words.get(metric, ()):
            value = _number(rest)
            if value is not None:
                before = figures.get(word, 0.0)
                figures[word] = max(before, value) if word == CACHE_USE else before + value
    return figures


def _split(line: str) -> tuple[str, str]:
    name, brace, labelled = line.partition("{")
    if brace:
        return name, labelled.rpartition("}")[2]
    name, _, value = line.partition(" ")
    return name, value


def _number(text: str) -> float | None:
    words = text.split()
    try:
        return float(words[0]) if words else None
    except ValueError:
        return None
