"""Learns how hard a prompt is and how long its answer gets from public outcomes: catalog/routing/difficulty.json.

    python -m tools.routing_difficulty --data DIR --home HOME [--write]

DIR holds cost-quality/SET/train.jsonl; HOME has the encoder's weights, which are fetched when they are missing.
Difficulty is that of a test in which every model of a set has its ability: the odds of a good answer are the model's
ability less the prompt's difficulty, both in logits. What is printed is measured on sets that the fit did not see.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from benchmarks.routing.sources import UNREAD_SOURCES
from headrace.domain.conversation import MAX_TURN_CHARS
from headrace.drivers.scorers.difficulty import FILE
from headrace.drivers.scorers.prompt_shape import NAMES, shape_of
from headrace.drivers.scorers.texts import PROMPT_TOKENS
from headrace.drivers.scorers.vectors import WIDTH, Floats, Vectors, meaning
from headrace.testing.routing import open_reader

TARGET = Path(__file__).parents[1] / "src" / "headrace" / "catalog" / "routing" / FILE
SHAPING = ("routellm-mmlu", "routellm-gsm8k", "llmrouter9")
UNSEEN = ("routerbench3",)
# Recalled facts that were graded by the wording of the answer: hard there does not mean hard.
GRADED_BY_WORDING = frozenset({"natural_qa", "trivia_qa"})
SOURCES = {
    "routellm-mmlu, routellm-gsm8k": "Apache-2.0, LICENSE of https://github.com/lm-sys/RouteLLM at 0b64fda",
    "questions of MMLU": "MIT, LICENSE of https://github.com/hendrycks/test at 0aff600",
    "questions of GSM8K": "MIT, LICENSE of https://github.com/openai/grade-school-math at 3101c7d",
    "llmrouter9": "MIT, LICENSE of https://github.com/ulab-uiuc/LLMRouter at 4e7a796",
    "questions of llmrouter9": "those only whose licence was read, as benchmarks/routing/sources.py has them",
    "read": "2026-11-28",
}
PENALTY = 3000.0
# Benchmarks want terse answers: how lengths differ is learned and shrunk, their level is a chat's.
LENGTH_PENALTY, AVERAGE_TOKENS = 3000.0, 300.0
# The vector's entries are small: this much of them weighs like one deviation of a figure of the shape.
VECTOR_SCALE = 6.0
ROUNDS = 12
# What gpt-4-1106-preview cost for a token in and out: its answers' lengths follow from the recorded costs.
LONG_MODEL, DOLLARS_IN, DOLLARS_OUT = 1, 10e-6, 30e-6


@dataclass(frozen=True)
class Rows:
    """Prompts of one set: vectors [n, 384], shapes [n, 14], quality [n, m], output tokens [n] or NaN."""

    vectors: Floats
    shapes: Floats
    quality: Floats
    tokens: Floats


@dataclass(frozen=True)
class Line:
    """What a vector and a shape weigh, and what is added."""

    vector: Floats
    shape: Floats
    intercept: float

    def __call__(self, rows: Rows) -> Floats:
        """Return the predictions."""
        return rows.vectors @ self.vector + rows.shapes @ self.shape + self.intercept


class Design:
    """Rows as one matrix: the vector scaled up, then the shape in deviations unless it is left out."""

    def __init__(self, sets: Sequence[Rows], *, with_shape: bool) -> None:
        shapes = np.concatenate([each.shapes for each in sets])
        self._deviation = shapes.std(0) + 1e-9
        self._with_shape = with_shape
        self._middle = np.concatenate([self._raw(each) for each in sets]).mean(0)

    def __call__(self, rows: Rows) -> Floats:
        """Return the matrix, centred."""
        return self._raw(rows) - self._middle

    def line(self, weights: Floats, intercept: float) -> Line:
        """Return the weights as they apply to rows themselves."""
        shape = weights[WIDTH:] / self._deviation if self._with_shape else np.zeros(len(NAMES))
        return Line(weights[:WIDTH] * VECTOR_SCALE, shape, intercept - float(self._middle @ weights))

    def _raw(self, rows: Rows) -> Floats:
        vectors = rows.vectors * VECTOR_SCALE
        return np.hstack([vectors, rows.shapes / self._deviation]) if self._with_shape else vectors


@dataclass(frozen=True)
class Step:
    """What a set says of the next step: by weights [d], [d, d], and how far each model's ability is off [m]."""

    gradient: Floats
    curvature: Floats
    ability: Floats


def fit_difficulty(sets: Sequence[Rows], *, with_shape: bool) -> Line:
    """Return difficulty as a line: Newton's method on abilities and weights, every set weighing as its root size."""
    design = Design(sets, with_shape=with_shape)
    matrices = [design(each) for each in sets]
    abilities = [np.log((each.quality.mean(0) + 0.02) / (1.02 - each.quality.mean(0))) for each in sets]
    sizes = np.array([each.quality.size**-0.5 for each in sets])
    shares: list[float] = (sizes / sizes.mean()).tolist()
    weights: Floats = np.zeros(WIDTH + (len(NAMES) if with_shape else 0))
    for _ in range(ROUNDS):
        steps = [_step(*each, weights) for each in zip(matrices, sets, abilities, strict=True)]
        gradient = sum((each.gradient * share for each, share in zip(steps, shares, strict=True)), -PENALTY * weights)
        penalty = PENALTY * np.eye(len(weights))
        curvature = sum((each.curvature * share for each, share in zip(steps, shares, strict=True)), penalty)
        abilities = [ability + each.ability for ability, each in zip(abilities, steps, strict=True)]
        weights = weights + _solved(curvature, gradient)
    return design.line(weights, 0.0)


def fit_length(sets: Sequence[Rows], *, with_shape: bool) -> Line:
    """Return the logarithm of output tokens as a line."""
    known = [_only(each, np.isfinite(each.tokens)) for each in sets if np.isfinite(each.tokens).any()]
    design = Design(known, with_shape=with_shape)
    matrix = np.concatenate([design(each) for each in known])
    logs = np.log(np.concatenate([each.tokens for each in known]))
    curvature = matrix.T @ matrix + LENGTH_PENALTY * np.eye(matrix.shape[1])
    return design.line(_solved(curvature, matrix.T @ (logs - logs.mean())), math.log(AVERAGE_TOKENS))


def read_rows(data: Path, home: Path) -> Mapping[str, Rows]:
    """Return the rows of every set, those only that may shape the file of those sets that do."""
    vectors, found = Vectors(open_reader(home)), dict[str, Rows]()
    for name in (*SHAPING, *UNSEEN):
        with (data / "cost-quality" / name / "train.jsonl").open(encoding="utf-8") as file:
            rows = [json.loads(line) for line in file]
        if name in SHAPING:
            rows = [row for row in rows if row["benchmark"] not in UNREAD_SOURCES | GRADED_BY_WORDING]
        texts = [row["prompt"][:MAX_TURN_CHARS] for row in rows]
        found[name] = Rows(
            meaning(vectors.of_all(texts, PROMPT_TOKENS)).astype(np.float64),
            np.array([shape_of(each) for each in texts]),
            np.array([row["quality"] for row in rows], np.float64),
            np.array([_tokens(name, row) for row in rows]),
        )
    return found


def file_text(sets: Sequence[Rows]) -> str:
    """Return the file's text, one line for each list of numbers."""
    low, high = np.quantile(np.concatenate([each.shapes for each in sets]), (0.01, 0.99), axis=0)
    sets = [replace(each, shapes=np.clip(each.shapes, low, high)) for each in sets]
    lines = {
        name: {
            "difficulty": _numbers(fit_difficulty(sets, with_shape=with_shape)),
            "log_output_tokens": _numbers(fit_length(sets, with_shape=with_shape)),
        }
        for name, with_shape in (("with_text", True), ("by_vector", False))
    }
    content: dict[str, object] = {
        "made_by": "tools/routing_difficulty.py",
        "sources": SOURCES,
        "rows": sum(len(each.quality) for each in sets),
        "tokens": PROMPT_TOKENS,
        "shape": {name: [round(float(a), 4), round(float(b), 4)] for name, a, b in zip(NAMES, low, high, strict=True)},
        **lines,
    }
    return _compact(content) + "\n"


def validation(rows: Mapping[str, Rows]) -> Iterable[str]:
    """Yield what a fit on the other sets tells of each: correlations with 95 % intervals over prompts."""
    draw = np.random.default_rng(0)
    yield f"{'set (unseen by the fit)':28} {'n':>5}  {'difficulty ~ errors':30} difficulty ~ gain of the strong third"
    for name, mine in rows.items():
        seen = [rows[each] for each in SHAPING if each != name]
        predicted = fit_difficulty(seen, with_shape=True)(mine)
        errors, gains = 1 - mine.quality.mean(1), _gains(mine.quality)
        figures = [_correlation(predicted, each, draw) for each in (errors, gains)]
        yield f"{name:28} {len(errors):5}  {figures[0]:30} {figures[1]}"
    gsm8k = rows["routellm-gsm8k"]
    predicted = fit_length([rows["llmrouter9"]], with_shape=True)(gsm8k)
    yield f"length of answers of routellm-gsm8k, by llmrouter9: {_correlation(predicted, np.log(gsm8k.tokens), draw)}"


def main() -> None:
    """Print what the fit tells of unseen sets, and write the file when asked to."""
    parser = argparse.ArgumentParser(description="Learn difficulty and length from public outcomes.")
    parser.add_argument("--data", type=Path, required=True, help="folder with cost-quality/")
    parser.add_argument("--home", type=Path, required=True, help="home that holds the encoder's weights")
    parser.add_argument("--write", action="store_true", help=f"write {TARGET.name}")
    given = parser.parse_args()
    rows = read_rows(given.data, given.home)
    for line in validation(rows):
        print(line)  # noqa: T201 - what the tool is for
    if given.write:
        TARGET.write_text(file_text([rows[name] for name in SHAPING]), "utf-8")


def _step(matrix: Floats, rows: Rows, abilities: Floats, weights: Floats) -> Step:
    likely = 1 / (1 + np.exp((matrix @ weights)[:, None] - abilities))
    spread, over = likely * (1 - likely), likely - rows.quality
    return Step(
        gradient=matrix.T @ over.sum(1),
        curvature=(matrix * spread.sum(1)[:, None]).T @ matrix,
        ability=-over.sum(0) / (spread.sum(0) + 1e-9),
    )


def _solved(matrix: Floats, right: Floats) -> Floats:
    return np.asarray(np.linalg.solve(matrix, right), np.float64)


def _tokens(name: str, row: Mapping[str, Any]) -> float:
    """Return how long answers were; MMLU's were one letter by the harness's wish, which says nothing."""
    if name == "routellm-gsm8k":
        answer = (row["cost_usd"][LONG_MODEL] - DOLLARS_IN * row["input_tokens_est"]) / DOLLARS_OUT
        return max(float(answer), 1.0)
    return float(row["output_tokens_est"]) if name == "llmrouter9" else float("nan")


def _only(rows: Rows, which: np.ndarray[Any, np.dtype[np.bool_]]) -> Rows:
    return Rows(rows.vectors[which], rows.shapes[which], rows.quality[which], rows.tokens[which])


def _gains(quality: Floats) -> Floats:
    order = quality.mean(0).argsort()
    third = max(1, len(order) // 3)
    return quality[:, order[-third:]].mean(1) - quality[:, order[:third]].mean(1)


def _correlation(left: Floats, right: Floats, draw: np.random.Generator) -> str:
    def of(rows: Any) -> float:
        return float(np.corrcoef(left[rows], right[rows])[0, 1])

    low, high = np.quantile([of(draw.integers(0, len(left), len(left))) for _ in range(500)], (0.025, 0.975))
    return f"{of(slice(None)):+.2f} ({low:+.2f} to {high:+.2f})"


def _numbers(line: Line) -> dict[str, object]:
    return {
        "intercept": round(line.intercept, 4),
        "shape": [round(float(each), 4) for each in line.shape],
        "vector": [round(float(each), 3) for each in line.vector],
    }


def _compact(value: Any, depth: int = 0) -> str:
    if not isinstance(value, dict):
        return json.dumps(value)
    inner = "  " * (depth + 1)
    pairs = cast("dict[str, Any]", value).items()
    rows = [f"{inner}{json.dumps(key)}: {_compact(each, depth + 1)}" for key, each in pairs]
    return "{\n" + ",\n".join(rows) + "\n" + "  " * depth + "}"


if __name__ == "__main__":
    main()
