"""The dial that the scorer is given: what it picks, and how its weight is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from headrace.testing import routing

WORDS = ("easy", "hard")
MODELS = ("cheap", "dear")


class WordReader:
    """Encodes a prompt by which of two words is in it."""

    def tokens(self, text: str) -> list[int]:
        return [0, *(1 + WORDS.index(each) for each in text.split() if each in WORDS), len(text) % 7, 9]

    def packed_vector(self, tokens: list[int]) -> bytes:
        vector = np.random.default_rng(sum(tokens)).standard_normal(8) * 0.01
        vector[0] += 1.0 if 2 in tokens else -1.0
        return vector.astype("<f4").tobytes()


def open_words(_: Path) -> WordReader:
    return WordReader()


def rows(count: int) -> list[dict[str, object]]:
    return [
        {
            "prompt": f"{WORDS[each % 2]} {'x' * (each % 9)}",
            "benchmark": "all",
            "quality": [1.0 - each % 2, 1.0],
            "cost_usd": [1e-6, 1e-4],
        }
        for each in range(count)
    ]


def test_hard_prompts_go_to_the_dear_model_until_cost_weighs_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routing, "open_reader", open_words)
    pick = routing.dial(MODELS, rows(120))
    assert [pick("hard xx", lam) for lam in (0, 1e-4, 1e2, 1e9)] == [1, 1, 0, 0]
    assert pick("easy xx", 1.0) == 0


def test_few_rows_make_all_prompts_alike_and_none_the_first_model() -> None:
    pick = routing.dial(MODELS, rows(10))
    assert [pick("anything", lam) for lam in (0, 1e2)] == [1, 0]
    assert [routing.dial(MODELS, [])("anything", lam) for lam in (0, 1.0)] == [0, 0]


def test_the_home_is_that_of_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_HOME", "/somewhere")
    assert routing.home_of_user() == Path("/somewhere")
    monkeypatch.delenv("HEADRACE_HOME")
    assert routing.home_of_user() == Path.home() / ".headrace"
