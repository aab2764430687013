"""Strengths of several scales on one."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import pytest

from headrace.domain.intervals import Interval
from headrace.domain.strength import ARENA, CHECKABLE, INDEX, LOGIT, Strength
from headrace.services.catalog import Catalog
from headrace.services.strengths import on_one_scale, with_strengths
from tests.fakes.nouns import PROVIDER, a_model


def of(model: str, scale: str, value: float, half: float = 1.0) -> Strength:
    return Strength(model, value, value - half, value + half, scale, "a page", "2026-11-28")


def test_ratings_are_logistic_and_ten_to_one_is_four_hundred_points() -> None:
    found = on_one_scale((of("coin", ARENA, 1030.0, 10.0), of("strong", ARENA, 1430.0, 10.0)))
    assert found["coin"].value == 0.0
    assert found["strong"].value == pytest.approx(2.302585)
    assert found["strong"].low == pytest.approx(2.302585 - 0.0575646)


def test_an_index_is_read_as_the_rating_of_models_with_both() -> None:
    found = on_one_scale((of("a", INDEX, 12.3), of("b", INDEX, 20.0), of("none", INDEX, -9.0)))
    rating = 1030 + found["a"].value / 0.005756463
    assert rating == pytest.approx(1003 + 119.5 * 2.7278, abs=0.5)
    assert found["none"].low <= found["none"].value < 0 < found["a"].value < found["b"].value


def test_figures_of_our_own_prompts_are_shifted_by_the_models_that_have_both() -> None:
    alone = on_one_scale((of("small", CHECKABLE, -1.5),))
    assert alone["small"] == Interval(-1.5, -2.5, -0.5)
    anchors = (of("both", CHECKABLE, 2.0, 0.5), of("both", LOGIT, 1.0, 0.1), of("other", ARENA, 1300.0))
    found = on_one_scale((of("small", CHECKABLE, -1.5), *anchors))
    assert found["small"].value == -2.5
    assert found["both"] == Interval(1.0, 0.9, 1.1)


def test_the_narrowest_interval_counts_whatever_the_order() -> None:
    wide, narrow = of("a", LOGIT, 1.0, 2.0), of("a", ARENA, 1030.0, 5.0)
    assert on_one_scale((wide, narrow))["a"].value == 0.0
    assert on_one_scale((narrow, wide))["a"].value == 0.0


def test_what_the_operator_measured_counts_however_wide_it_is() -> None:
    shipped, own = of("a", ARENA, 1430.0, 5.0), replace(of("a", CHECKABLE, 0.5, 2.0), is_own=True)
    anchor = (of("b", ARENA, 1030.0), of("b", CHECKABLE, 1.0))
    # Ours are shifted by the mean gap of the two models that have both figures.
    found = on_one_scale((shipped, own, *anchor))["a"]
    assert found.value == pytest.approx(0.5 + (2.302585 - 0.5 + 0 - 1.0) / 2)
    assert on_one_scale((own, shipped, *anchor))["a"] == found
    narrow = replace(of("a", LOGIT, 1.0, 0.1), is_own=True)
    assert on_one_scale((shipped, own, narrow))["a"] == Interval(1.0, 0.9, 1.1)


def test_a_catalog_gets_the_strengths_of_its_models() -> None:
    catalog = Catalog(
        MappingProxyType({PROVIDER.name: PROVIDER}),
        MappingProxyType({"a": (a_model("a"), a_model("a")), "b": (a_model("b"),)}),
    )
    found = with_strengths(catalog, (of("a", LOGIT, 1.0), of("gone", LOGIT, 1.0)))
    assert [each.strength for each in found.models["a"]] == [Interval(1.0, 0.0, 2.0)] * 2
    assert found.models["b"][0].strength is None
    assert list(found.models) == ["a", "b"]
