"""The compatibility page: what counts as a failure, and that the committed page is that of the committed results."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from urllib.parse import urlsplit

import pytest

from tests.compatibility import environments, matrix, probe
from tests.compatibility.matrix import UPSTREAMS, Cell, Refusal, Results
from tests.compatibility.provider import chat_for

REFUSAL = Refusal(("image",), ("embedded",), "cannot", "It cannot see.", "https://its.card", date(2026, 11, 24))
SERVED = tuple(Cell("a client", "image", upstream, "served", "") for upstream in UPSTREAMS)
GOOD = Results(
    "2026-11-24", {"a client": "1.0"}, (replace(SERVED[0], outcome="refused", detail="it cannot"), *SERVED[1:])
)


def test_served_cells_and_listed_refusals_are_no_complaint() -> None:
    assert matrix.complaints(GOOD, (REFUSAL,)) == []
    assert "| image | refused (1) | ✓ | ✓ | ✓ |" in matrix.page(GOOD, (REFUSAL,))


@pytest.mark.parametrize(
    ("cells", "complaint"),
    [
        ((*GOOD.cells[:3], replace(GOOD.cells[3], outcome="failed", detail="boom")), "messages: failed: boom"),
        (
            (GOOD.cells[0], replace(GOOD.cells[1], outcome="refused", detail="it cannot"), *GOOD.cells[2:]),
            "chat: refused",
        ),
        ((replace(GOOD.cells[0], detail="other words"), *GOOD.cells[1:]), "embedded: refused: other words"),
        (GOOD.cells[:3], "cells for"),
        (SERVED, "refusal 1 (cannot) covers nothing"),
    ],
)
def test_whatever_else_is_a_complaint(cells: tuple[Cell, ...], complaint: str) -> None:
    found = matrix.complaints(replace(GOOD, cells=cells), (REFUSAL,))
    assert any(complaint in each for each in found), found


def test_the_committed_page_is_made_from_the_committed_results_without_a_complaint() -> None:
    results = matrix.read_results(matrix.RESULTS.read_text())
    refusals = matrix.read_refusals(matrix.REFUSALS.read_text())
    assert matrix.complaints(results, refusals) == []
    assert matrix.page(results, refusals) == matrix.PAGE.read_text()
    assert matrix.write_results(results) == matrix.RESULTS.read_text()


def test_each_refusal_cites_a_document_of_somebody_else_and_the_day_it_was_read() -> None:
    for refusal in matrix.read_refusals(matrix.REFUSALS.read_text()):
        address = urlsplit(refusal.source)
        assert address.scheme == "https" and "." in address.netloc, refusal.source
        assert date(2026, 11, 1) <= refusal.read


def test_the_committed_results_are_of_the_pinned_clients() -> None:
    ran = matrix.read_results(matrix.RESULTS.read_text()).versions
    assert environments.versions().items() <= ran.items()


@pytest.mark.parametrize(
    ("fields", "text", "calls"),
    [
        ({"messages": [{"role": "user", "content": "Hi"}]}, probe.HELLO, 0),
        ({"input": [{"type": "input_image", "image_url": probe.PIXEL}]}, probe.SEEN, 0),
        ({"tools": [{"name": "get_weather"}], "messages": [{"role": "user", "content": probe.ASK_BOTH}]}, "", 2),
        ({"tools": [{"function": {"name": "get_weather"}}], "messages": [{"role": "tool"}]}, probe.HELLO, 0),
        ({"tools": [{"name": "get_weather"}], "input": [{"type": "function_call_output"}]}, probe.HELLO, 0),
        (
            {"tools": [{"name": "get_weather"}], "messages": [{"content": [{"type": "tool_result"}]}]},
            probe.HELLO,
            0,
        ),
    ],
)
def test_the_provider_answers_what_is_asked(fields: dict[str, object], text: str, calls: int) -> None:
    chat = chat_for(fields)
    assert (chat.text, len(chat.tool_calls)) == (text, calls)
