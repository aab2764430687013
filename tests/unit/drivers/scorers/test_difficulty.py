"""How hard a prompt is: the shipped coefficients, their bounds, and the shape of a prompt."""

from __future__ import annotations

import json
import math
import time
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from headrace.drivers.scorers.difficulty import FILE, DifficultyModel, read_difficulty
from headrace.drivers.scorers.prompt_shape import NAMES, shape_of
from headrace.drivers.scorers.vectors import WIDTH

LEVEL = np.full(WIDTH, WIDTH**-0.5, np.float32)


@pytest.fixture(scope="module")
def shipped() -> DifficultyModel:
    with resources.as_file(resources.files("headrace.catalog").joinpath("routing", FILE)) as path:
        return read_difficulty(path)


def a_file(tmp_path: Path, weight: float) -> Path:
    line = {"intercept": 0.5, "shape": [0.0] * len(NAMES), "vector": [weight] * WIDTH}
    lines = {"difficulty": line, "log_output_tokens": line}
    path = tmp_path / FILE
    shape = {name: [0.0, 1.0] for name in NAMES}
    path.write_text(json.dumps({"shape": shape, "with_text": lines, "by_vector": lines}), "utf-8")
    return path


def test_the_shape_has_a_figure_for_every_name() -> None:
    assert len(shape_of("")) == len(NAMES)
    assert not any(shape_of(""))
    shape = dict(zip(NAMES, shape_of("Which is right?\nA. 12\nB. x_2 = 3, roughly.\n"), strict=True))
    assert (shape["options"], shape["code"], shape["blank"], shape["questions"]) == (1.0, 0.0, 1.0, 0.5)
    assert shape["lines"] == math.log1p(3)
    assert shape["digits"] == math.log1p(4)
    assert dict(zip(NAMES, shape_of("def f(): pass"), strict=True))["code"] == 1.0


def test_lone_surrogates_have_a_shape() -> None:
    assert all(math.isfinite(each) for each in shape_of("\ud800 ok"))


def test_figures_stay_within_their_bounds(tmp_path: Path) -> None:
    hard, easy = (read_difficulty(a_file(tmp_path, weight)).figures(LEVEL, "x") for weight in (9.0, -9.0))
    assert (hard.difficulty, easy.difficulty) == (3.0, -3.0)
    assert hard.output_tokens == pytest.approx(2000)
    assert easy.output_tokens == pytest.approx(16)


def test_without_the_text_the_vector_alone_speaks(tmp_path: Path) -> None:
    figures = read_difficulty(a_file(tmp_path, 0.0)).figures(LEVEL, None)
    assert (figures.difficulty, figures.output_tokens) == (0.5, pytest.approx(16))


def test_the_shipped_file_answers_sensibly(shipped: DifficultyModel) -> None:
    for text in ("hi", "What is the capital of France?", "x" * 600, "\n" * 600, None):
        figures = shipped.figures(LEVEL, text)
        assert -3 <= figures.difficulty <= 3
        assert 16 <= round(figures.output_tokens) <= 2000


def test_the_shipped_file_names_the_licences_that_were_read() -> None:
    file = json.loads(resources.files("headrace.catalog").joinpath("routing", FILE).read_text("utf-8"))
    assert set(file["shape"]) == set(NAMES)
    assert file["sources"]["read"] == "2026-11-28"
    assert file["sources"]["llmrouter9"].startswith("MIT, LICENSE of https://github.com/ulab-uiuc/LLMRouter")
    assert file["sources"]["routellm-mmlu, routellm-gsm8k"].startswith("Apache-2.0, LICENSE of ")


def test_a_prompt_takes_less_than_a_fifth_of_a_millisecond(shipped: DifficultyModel) -> None:
    text = "Which of these is right? " * 24
    began = time.thread_time()
    for _ in range(200):
        shipped.figures(LEVEL, text)
    assert (time.thread_time() - began) / 200 < 0.0002
