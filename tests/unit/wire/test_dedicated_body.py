"""What a deployment's body may say, how a change is laid over what is there, and what each mistake is told."""

from __future__ import annotations

from typing import Any

import pytest

from headrace.domain.dedicated import Overflow, ScaleTarget, ScalingMetric, WhenAsleep
from headrace.domain.errors import InvalidRequest, Unprocessable
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.dedicated_body import patched, read_draft, read_model_token, read_token_name
from headrace.wire.json_strict import encode
from tests.fakes.deployed import deployment_body

GROUP: JsonObject = {"accelerator_slug": "h100", "scale": 2}
MODEL = "spec.model_deployments[0]"
ACCELERATOR = f"{MODEL}.accelerators[0]"


def body(group: JsonValue = None, **model: JsonValue) -> JsonObject:
    groups: list[JsonValue] = [{**GROUP, **group} if isinstance(group, dict) else GROUP]
    return deployment_body({"model_slug": "tiny", "accelerators": groups, **model})


def test_the_least_body_is_a_model_on_hardware() -> None:
    draft = read_draft(body())
    assert (draft.name, draft.model, draft.accelerator, draft.min_scale, draft.max_scale) == (
        "prod",
        "tiny",
        "h100",
        2,
        2,
    )
    assert (draft.gpus, draft.slots, draft.target, draft.overflow, draft.when_asleep) == (None,) * 5
    assert (draft.enable_public_endpoint, draft.workload_config, draft.region, draft.vpc_uuid) == (True, "{}", "", "")


def test_everything_that_can_be_said_is_read() -> None:
    given = body(
        {"min_scale": 0, "max_scale": 2, "gpus": 8, "type": "prefill_decode", "status": "active"},
        model_slug="",
        model="tiny",
        model_id="m",
        model_provider="hugging_face",
        provider_model_id="p",
        workload_config={"isl": 1},
        driver="ray",
        engine="vllm",
        slots=4,
        context_length=1024,
        target={"metric": "queue_depth", "value": 3},
        idle_seconds=0,
        overflow={"model": "gpt-5", "limit": 1},
        when_asleep="refuse",
        wait_seconds=5,
    )
    spec = given["spec"]
    assert isinstance(spec, dict)
    spec |= {"version": 0, "region": "atl1", "vpc": {"uuid": "v"}, "enable_public_endpoint": False}
    draft = read_draft(given)
    assert (draft.model, draft.min_scale, draft.max_scale, draft.gpus) == ("tiny", 0, 2, 8)
    assert (draft.target, draft.overflow) == (ScaleTarget(ScalingMetric.QUEUE_DEPTH, 3), Overflow("gpt-5", 1))
    assert (draft.when_asleep, draft.idle_seconds, draft.wait_seconds) == (WhenAsleep.REFUSE, 0, 5)
    assert (draft.driver, draft.engine, draft.slots, draft.context_length) == ("ray", "vllm", 4, 1024)
    assert (draft.region, draft.vpc_uuid, draft.enable_public_endpoint) == ("atl1", "v", False)
    assert (draft.model_deployment_id, draft.model_provider, draft.provider_model_id) == ("m", "hugging_face", "p")
    assert draft.workload_config == '{"isl":1}'


@pytest.mark.parametrize(
    ("group", "bounds"),
    [
        ({"scale": 3}, (3, 3)),
        ({"scale": 3, "min_scale": 0}, (0, 3)),
        ({"scale": 1, "max_scale": 3}, (1, 3)),
        ({"scale": 3, "min_scale": 1, "max_scale": 3}, (1, 3)),
        ({"scale": None, "min_scale": 1, "max_scale": 3}, (1, 3)),
    ],
)
def test_bounds_are_said_in_several_ways(group: JsonObject, bounds: tuple[int, int]) -> None:
    draft = read_draft(body(group))
    assert (draft.min_scale, draft.max_scale) == bounds


@pytest.mark.parametrize(
    ("given", "said", "param"),
    [
        ({}, '"spec" is missing', "spec"),
        ({"spec": 1}, "must be an object like", "spec"),
        ({"spec": {"nme": "x"}}, 'Did you mean "name"?', "spec.nme"),
        ({"spec": {"zzz": "x"}}, '"spec.zzz" is not known. Known are: ', "spec.zzz"),
        ({"spec": {"model_deployments": 1}}, "a list with one model", "spec.model_deployments"),
        ({"spec": {"model_deployments": [1]}}, "must be an object, not 1", MODEL),
        (body(model_slug=1), "must be a string, not 1", f"{MODEL}.model_slug"),
        (body(slots="2"), 'must be a whole number, not "2"', f"{MODEL}.slots"),
        (body(slots=True), "must be a whole number, not true", f"{MODEL}.slots"),
        (body(when_asleep="nap"), "one of wait, overflow, refuse", f"{MODEL}.when_asleep"),
        (body(target={"value": 1}), "a target has a metric", f"{MODEL}.target.metric"),
        (body(target={"metric": "queue_depth"}), "and a value", f"{MODEL}.target.value"),
        (body(overflow={"limit": 1}), "it takes what the deployment cannot", f"{MODEL}.overflow.model"),
        (body(workload_config=[]), "must be an object like {}", f"{MODEL}.workload_config"),
        (body({"scale": None}), 'give "scale", or the bounds', f"{ACCELERATOR}.scale"),
        (body({"scale": None, "min_scale": 1}), '"max_scale" is missing'[1:], f"{ACCELERATOR}.max_scale"),
        (body({"scale": None, "max_scale": 1}), "is missing", f"{ACCELERATOR}.min_scale"),
        (body({"min_scale": 1, "max_scale": 3}), "is 2 beside max_scale 3", f"{ACCELERATOR}.scale"),
        (body({"scale": 0}), 'from 1 to 1000 ("min_scale" 0', f"{ACCELERATOR}.scale"),
    ],
)
def test_what_is_malformed_is_told_with_its_place(given: JsonObject, said: str, param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_draft(given)
    assert said in refused.value.message and refused.value.param == param


def test_a_flag_is_true_or_false() -> None:
    given = body()
    spec = given["spec"]
    assert isinstance(spec, dict)
    spec["enable_public_endpoint"] = "no"
    with pytest.raises(InvalidRequest, match='must be true or false, not "no"'):
        read_draft(given)


@pytest.mark.parametrize("kind", ["prefill", "decode"])
def test_disaggregated_serving_is_refused_by_name(kind: str) -> None:
    with pytest.raises(Unprocessable) as refused:
        read_draft(body({"type": kind}))
    assert (refused.value.code, refused.value.param) == ("unsupported_spec", f"{ACCELERATOR}.type")


PRESENT: dict[str, Any] = {
    "version": 1,
    "name": "prod",
    "region": "atl1",
    "model_deployments": [
        {
            "model_slug": "tiny",
            "model": "tiny",
            "slots": 2,
            "overflow": {"model": "gpt-5", "limit": 1},
            "accelerators": [
                {"accelerator_slug": "h100", "scale": 4, "min_scale": 0, "max_scale": 4, "gpus": 2, "status": "active"}
            ],
        }
    ],
}


def accelerators(given: JsonObject) -> Any:
    merged: Any = patched(PRESENT, {"spec": {"model_deployments": [{"accelerators": [given]}]}})
    return merged["spec"]["model_deployments"][0]["accelerators"][0]


def test_what_a_change_leaves_out_stays() -> None:
    assert patched(PRESENT, {}) == {"spec": PRESENT}
    assert patched(PRESENT, {"spec": {}}) == {"spec": PRESENT}
    assert patched(PRESENT, {"spec": {"region": "x"}}) == {"spec": {**PRESENT, "region": "x"}}
    merged: Any = patched(PRESENT, {"spec": {"model_deployments": [{"slots": 8, "overflow": None}]}})
    [model] = merged["spec"]["model_deployments"]
    assert (model["slots"], model["overflow"]) == (8, None)
    assert model["accelerators"] == PRESENT["model_deployments"][0]["accelerators"]


def test_a_scale_takes_the_place_of_both_bounds_and_a_bound_that_of_the_scale() -> None:
    assert accelerators({"scale": 3}) == {"accelerator_slug": "h100", "gpus": 2, "status": "active", "scale": 3}
    assert accelerators({"max_scale": 3}) == {
        "accelerator_slug": "h100",
        "gpus": 2,
        "status": "active",
        "min_scale": 0,
        "max_scale": 3,
    }
    assert accelerators({"scale": 3, "min_scale": 1})["min_scale"] == 1
    assert "max_scale" not in accelerators({"scale": 4, "min_scale": 1})


def test_the_scale_that_was_shown_leaves_the_bounds() -> None:
    assert accelerators({"accelerator_slug": "h100", "scale": 4}) == PRESENT["model_deployments"][0]["accelerators"][0]


def test_another_machine_has_its_own_number_of_accelerators() -> None:
    assert "gpus" not in accelerators({"accelerator_slug": "gpu-h100x8-640gb"})
    assert accelerators({"accelerator_slug": "h100"})["gpus"] == 2


def test_another_model_takes_the_place_of_both_its_names() -> None:
    merged: Any = patched(PRESENT, {"spec": {"model_deployments": [{"model": "big"}]}})
    [model] = merged["spec"]["model_deployments"]
    assert model["model"] == "big" and "model_slug" not in model


MALFORMED: list[JsonObject] = [
    {"spec": 1},
    {"spec": {"model_deployments": []}},
    {"spec": {"model_deployments": [1]}},
    {"spec": {"model_deployments": [{"accelerators": []}]}},
]


@pytest.mark.parametrize("given", MALFORMED)
def test_a_malformed_change_is_left_to_be_refused_as_a_whole(given: JsonObject) -> None:
    with pytest.raises((InvalidRequest, Unprocessable)):
        read_draft(patched(PRESENT, given))


def test_the_token_of_a_models_source_is_read_and_never_shown() -> None:
    token = read_model_token({"access_tokens": {"hugging_face_token": " hf_x "}})
    assert token is not None and token.reveal() == "hf_x"
    without: list[JsonObject] = [{}, {"access_tokens": None}, {"access_tokens": {"hugging_face_token": None}}]
    for nothing in without:
        assert read_model_token(nothing) is None
    for wrong in (7, "a\nb", "x" * 4097):
        with pytest.raises(InvalidRequest) as refused:
            read_model_token({"access_tokens": {"hugging_face_token": wrong}})
        assert encode(wrong).decode() not in refused.value.message


def test_a_tokens_name_is_required() -> None:
    assert read_token_name({"name": "web"}) == "web"
    with pytest.raises(InvalidRequest, match='"name" is missing'):
        read_token_name({})
