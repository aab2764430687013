"""Learning from outcomes: what can be learned is, what cannot is not believed, and the weights span the trade-off."""

from __future__ import annotations

import numpy as np
import pytest

from headrace.drivers.scorers.kernel import Block, kernel_map, ridge
from headrace.drivers.scorers.learner import Forecast, Outcomes, Prompts, learn
from headrace.drivers.scorers.prompt_shape import NAMES
from headrace.drivers.scorers.tradeoff import chosen, spread_weights

ROWS = 80


def prompts(seed: int, rows: int = ROWS) -> tuple[Prompts, np.ndarray[tuple[int], np.dtype[np.float64]]]:
    """Prompts in two clouds, and which cloud each is of."""
    draw = np.random.default_rng(seed)
    side = draw.integers(0, 2, rows).astype(np.float64)
    vectors = draw.standard_normal((rows, 8)) * 0.02
    vectors[:, 0] += side - 0.5
    return Prompts(vectors, draw.standard_normal((rows, len(NAMES)))), side


def outcomes(side: np.ndarray[tuple[int], np.dtype[np.float64]], *, kinds: bool) -> Outcomes:
    """The cheap model is right on one side, the dear one everywhere; the dear side costs twice."""
    quality = np.stack([side, np.ones_like(side)], axis=1)
    dollars = np.stack([np.full_like(side, 1e-5), 1e-3 * (1 + side)], axis=1)
    return Outcomes(quality, dollars, [f"kind {each:.0f}" if kinds else "all" for each in side])


@pytest.mark.parametrize("kinds", [True, False])
def test_who_answers_what_is_learned(kinds: bool) -> None:
    seen, side = prompts(0)
    learned = learn(seen, outcomes(side, kinds=kinds))
    assert (learned.kinds is not None) == kinds
    unseen, truth = prompts(1)
    forecast = learned.forecast(unseen)
    assert np.abs(forecast.quality[:, 0] - truth).mean() < 0.15
    assert np.abs(forecast.quality[:, 1] - 1).mean() < 0.05
    assert np.abs(forecast.dollars[:, 1] / (1e-3 * (1 + truth)) - 1).mean() < 0.15
    assert learned.held_out.quality.shape == (ROWS, 2)


def test_the_same_outcomes_teach_the_same() -> None:
    seen, side = prompts(0)
    first, second = (learn(seen, outcomes(side, kinds=True)).forecast(seen).quality for _ in range(2))
    assert (first == second).all()


def test_what_is_not_in_the_prompts_is_not_believed() -> None:
    seen, _ = prompts(0)
    coin = np.random.default_rng(7).integers(0, 2, (ROWS, 3)).astype(np.float64)
    held_out = learn(seen, Outcomes(coin, np.full((ROWS, 3), 1e-4), ["all"] * ROWS)).held_out
    assert held_out.quality.std(0).max() < 0.2


def test_weights_lead_from_the_best_to_the_cheapest() -> None:
    draw = np.random.default_rng(3)
    gain = draw.uniform(0, 1, 500)
    forecast = Forecast(np.stack([0.5 * np.ones(500), 0.5 + 0.5 * gain], 1), np.tile([1e-5, 1e-3], (500, 1)))
    weights = spread_weights(forecast, 25)
    assert (np.diff(weights) >= 0).all()
    spent = [float(forecast.dollars[np.arange(500), chosen(forecast, each)].mean()) for each in weights]
    assert spent[0] > 9e-4
    assert spent[-1] == pytest.approx(1e-5)
    assert max(-np.diff(spent)) < 2e-4


def test_of_equals_the_cheaper_one_is_chosen() -> None:
    forecast = Forecast(np.array([[0.5, 0.5, 0.4]]), np.array([[3.0, 2.0, 1.0]]))
    assert chosen(forecast, 0.0) == [1]
    assert chosen(forecast, 1.0) == [2]


def test_forecasts_that_differ_in_nothing_have_weights_too() -> None:
    assert len(spread_weights(Forecast(np.zeros((1, 2)), np.zeros((1, 2))), 5)) == 5


def test_figures_of_different_units_weigh_alike_and_are_cut() -> None:
    draw = np.random.default_rng(5)
    values = draw.standard_normal((60, 2)) * np.array([1.0, 1000.0])
    features = kernel_map((Block(values, each_alike=True),))
    rows = features.scaling(values)
    assert rows.std(0) == pytest.approx([2**-0.5] * 2)
    assert np.abs(features.scaling(values * 1e6)).max() == pytest.approx(4 / 2**0.5)


def test_a_great_penalty_leaves_the_mean() -> None:
    draw = np.random.default_rng(6)
    features, targets = draw.standard_normal((50, 3)), draw.standard_normal((50, 1))
    assert ridge(features, targets)(np.array([1e12]))(features) == pytest.approx(targets.mean(), abs=1e-6)
