"""The question whether a model fits, as it is read and refused, and the answer as it is written."""

from __future__ import annotations

import pytest

from headrace.domain.errors import InvalidRequest
from headrace.domain.fit import FitAsked, FitQuestion, judge
from headrace.domain.json_value import JsonValue
from headrace.wire.fit_json import FIELDS, fits_object, read_fit
from headrace.wire.openapi_fit import FitAnswer, FitBody, FitReport
from tests.fakes.breakeven import BIG
from tests.fakes.sizes import an_architecture


def test_what_is_left_out_has_a_meaning() -> None:
    assert read_fit({"model": "one"}) == ("one", FitAsked(""))
    body: dict[str, JsonValue] = {"model": "one", "accelerator": "h100", "gpus": 0, "context_length": 1, "slots": 2}
    assert read_fit(body) == ("one", FitAsked("h100", 0, 1, 2))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model", ""),
        ("model", 3),
        ("model", "x" * 257),
        ("accelerator", ["h100"]),
        ("gpus", -1),
        ("gpus", True),
        ("gpus", "2"),
        ("context_length", 0),
        ("slots", 0),
        ("slots", 10**9),
    ],
)
def test_a_wrong_field_is_named_with_its_value(name: str, value: JsonValue) -> None:
    with pytest.raises(InvalidRequest, match=f'"{name}" must be') as refused:
        read_fit({"model": "one", name: value})
    assert refused.value.param == name


def test_a_model_must_be_named() -> None:
    with pytest.raises(InvalidRequest, match="Which model"):
        read_fit({})


def test_answers_have_the_fields_of_the_description() -> None:
    fit = judge(FitQuestion("one", an_architecture(), BIG, 8192, 8))
    report = fits_object("one", [fit])
    answers = report["fits"]
    assert isinstance(answers, list)
    assert isinstance(answers[0], dict)
    assert set(report) == set(FitReport.__struct_fields__)
    assert set(answers[0]) == set(FitAnswer.__struct_fields__)
    assert set(FitBody.__struct_fields__) == FIELDS
    assert answers[0]["needed_bytes"] == fit.weight_bytes + fit.cache_bytes + fit.overhead_bytes
    assert (answers[0]["sizes"], answers[0]["source"]) == ("verified", "https://example.com/config.json")
