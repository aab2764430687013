"""How hard a prompt is and how long its answer gets, by coefficients that were fitted once and ship as a file.

Fitting is tools/routing_difficulty.py's. What the coefficients can and cannot tell is in docs/managed-router.md.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from headrace.domain.routing import PromptFigures
from headrace.drivers.scorers.prompt_shape import NAMES, shape_of
from headrace.drivers.scorers.vectors import WIDTH, Floats

FILE = "difficulty.json"
HARDEST = 3.0
SHORTEST_LOG, LONGEST_LOG = math.log(16), math.log(2000)


@dataclass(frozen=True, slots=True)
class DifficultyModel:
    """Two linear models of difficulty and the logarithm of output tokens, in this order.

    Shapes: `with_text` [2, 384 + 14], `by_vector` [2, 384], both intercepts [2]; `low` and `high` [14] are what the fit
    saw of a prompt's shape, beyond which it does not extrapolate.
    """

    with_text: Floats
    text_intercepts: Floats
    by_vector: Floats
    vector_intercepts: Floats
    low: Floats
    high: Floats

    def figures(self, vector: Floats, text: str | None) -> PromptFigures:
        """Return what a prompt asks by its unit vector and its text, None where only its features are kept."""
        if text is None:
            difficulty, log_tokens = self.by_vector @ vector + self.vector_intercepts
        else:
            shape = np.minimum(np.maximum(np.array(shape_of(text)), self.low), self.high)
            difficulty, log_tokens = (
                self.with_text[:, :WIDTH] @ vector + self.with_text[:, WIDTH:] @ shape + self.text_intercepts
            )
        return PromptFigures(
            difficulty=min(max(float(difficulty), -HARDEST), HARDEST),
            output_tokens=math.exp(min(max(float(log_tokens), SHORTEST_LOG), LONGEST_LOG)),
        )


def read_difficulty(path: Path) -> DifficultyModel:
    """Return the model of a file that tools/routing_difficulty.py wrote."""
    file: Mapping[str, Any] = json.loads(path.read_text("utf-8"))
    shapes: Mapping[str, list[float]] = file["shape"]
    low, high = np.array([shapes[name] for name in NAMES], np.float32).T
    with_text, by_vector = (
        [file[name][target] for target in ("difficulty", "log_output_tokens")] for name in ("with_text", "by_vector")
    )
    return DifficultyModel(
        with_text=np.array([each["vector"] + each["shape"] for each in with_text], np.float32),
        text_intercepts=np.array([each["intercept"] for each in with_text], np.float32),
        by_vector=np.array([each["vector"] for each in by_vector], np.float32),
        vector_intercepts=np.array([each["intercept"] for each in by_vector], np.float32),
        low=low,
        high=high,
    )
