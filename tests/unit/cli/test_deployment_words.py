"""What people type for a deployment's numbers."""

from __future__ import annotations

import pytest

from headrace.cli.deployment_words import bounds, name_for, overflow, seconds, target
from headrace.domain.errors import ConfigInvalid
from headrace.domain.json_value import JsonObject


def test_bounds_are_two_numbers_or_one() -> None:
    assert bounds("0:4") == {"min_scale": 0, "max_scale": 4}
    assert bounds("2") == {"min_scale": 2, "max_scale": 2}
    with pytest.raises(ConfigInvalid, match="Write 1:4, the fewest"):
        bounds("4:1")
    with pytest.raises(ConfigInvalid, match="--scale many: write 0:4"):
        bounds("many")


@pytest.mark.parametrize(("text", "found"), [("90", 90), ("90s", 90), ("10m", 600), ("1h", 3600), ("0", 0)])
def test_durations(text: str, found: int) -> None:
    assert seconds("--idle", text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("queue:2", {"metric": "queue_depth", "value": 2}),
        ("ttft:500ms", {"metric": "first_token_ms", "value": 500}),
        ("ttft:500", {"metric": "first_token_ms", "value": 500}),
        ("ttft:1.5s", {"metric": "first_token_ms", "value": 1500}),
    ],
)
def test_targets(text: str, found: JsonObject) -> None:
    assert target(text) == found


def test_an_overflow_has_a_model_whose_name_may_have_a_colon() -> None:
    assert overflow("gpt-5:2") == {"model": "gpt-5", "limit": 2}
    assert overflow("acme/chat:large") == {"model": "acme/chat:large", "limit": 0}
    assert overflow("acme/chat:large:3") == {"model": "acme/chat:large", "limit": 3}


@pytest.mark.parametrize(
    ("call", "flag"),
    [
        (lambda: seconds("--idle", "soon"), "--idle soon: write a duration"),
        (lambda: target("fast"), "--target fast: write queue:2"),
        (lambda: overflow(""), "write MODEL:LIMIT"),
    ],
)
def test_what_cannot_be_read_names_the_flag(call: object, flag: str) -> None:
    with pytest.raises(ConfigInvalid, match=flag):
        assert callable(call) and call()


def test_a_name_is_made_of_the_models_and_is_not_its_own() -> None:
    assert name_for("smollm2-135m") == "smollm2-135m-dedicated"
    assert name_for("acme/chat:large v2!") == "chat-large-v2-dedicated"
    assert name_for("客") == "model-dedicated"
