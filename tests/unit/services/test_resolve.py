"""From a name to a plan, and the error that says why there is none."""

from dataclasses import replace

import pytest

from headrace.domain.access import Caller, Role
from headrace.domain.call import Call, Operation
from headrace.domain.catalog import AVAILABLE, Availability, Capability, Listed, Model, ModelKind
from headrace.domain.errors import CallerError, Forbidden
from headrace.domain.snapshot import Snapshot
from headrace.services.resolve import authorise, plan_call
from tests.fakes.nouns import LOCAL, PROVIDER, a_call, a_model, a_price, a_target, call_of

AWAY = Availability(False, "no_credential", "Its provider has no key.", "Set one.")
OTHER = replace(PROVIDER, name="other")
ONLY_TWO = Caller("k", "web", "shop", Role.KEY, frozenset({"two"}))


def listed(model: Model, availability: Availability = AVAILABLE, *, priced: bool = True) -> Listed:
    return Listed(model, a_price() if priced else None, availability)


def a_snapshot(*entries: Listed) -> Snapshot:
    models: dict[str, tuple[Listed, ...]] = {}
    for entry in entries:
        models[entry.model.id] = (*models.get(entry.model.id, ()), entry)
    return Snapshot(1, models, {"acme": PROVIDER, "other": OTHER}, {})


def refusal(call: Call, *entries: Listed) -> CallerError:
    with pytest.raises(CallerError) as caught:
        plan_call(call, a_snapshot(*entries))
    return caught.value


def test_a_known_model_has_a_target_with_its_price() -> None:
    plan = plan_call(a_call(), a_snapshot(listed(a_model())))
    [target] = plan.targets
    assert (plan.requested, plan.route, plan.excluded) == ("one", None, ())
    assert (target.model.id, target.provider.name, target.price, target.deployment) == ("one", "acme", a_price(), None)
    assert target.adapter == "openai"


def test_an_embedded_model_is_a_deployment() -> None:
    [target] = plan_call(a_call(), a_snapshot(listed(a_model(local=LOCAL)))).targets
    assert target.deployment == "one"


def test_what_cannot_serve_is_left_out_with_its_reason() -> None:
    plan = plan_call(
        a_call(),
        a_snapshot(listed(a_model(), AWAY), listed(a_model(provider="other")), listed(a_model(), priced=False)),
    )
    assert [target.provider.name for target in plan.targets] == ["other"]
    assert [(each.provider, each.code) for each in plan.excluded] == [
        ("acme", "model_unavailable"),
        ("acme", "model_unpriced"),
    ]
    assert "Its provider has no key. Set one." in plan.excluded[0].reason


@pytest.mark.parametrize(
    ("call", "entry", "code", "status", "said"),
    [
        (a_call(model="on"), listed(a_model()), "model_not_found", 404, 'Did you mean "one"?'),
        (a_call(model="zzz"), listed(a_model()), "model_not_found", 404, 'No model named "zzz". GET'),
        (a_call(ONLY_TWO), listed(a_model()), "model_forbidden", 403, 'The key "web" may not call "one".'),
        (a_call(), listed(a_model(), priced=False), "model_unpriced", 402, "has no price in force"),
        (a_call(), listed(a_model(), AWAY), "model_unavailable", 404, "Set one."),
        (
            a_call(operation=Operation.EMBEDDINGS),
            listed(a_model()),
            "wrong_model_kind",
            400,
            "a model for chat, not for embeddings",
        ),
        (a_call(), listed(a_model(kind=ModelKind.EMBEDDING)), "wrong_model_kind", 400, "a model for embedding"),
        (
            a_call(tools=[{"type": "function"}], logprobs=True),
            listed(a_model(capabilities=frozenset({Capability.SEED}))),
            "unsupported_by_model",
            400,
            "logprobs, tools.",
        ),
        (a_call(max_tokens=1025), listed(a_model()), "output_cap_too_large", 400, "at most 1024"),
    ],
)
def test_why_a_call_can_go_nowhere(call: Call, entry: Listed, code: str, status: int, said: str) -> None:
    error = refusal(call, entry)
    assert (error.code, error.status) == (code, status)
    assert said in error.message


def test_a_name_that_the_caller_may_not_call_is_not_suggested() -> None:
    assert "one" not in refusal(a_call(ONLY_TWO, model="onee"), listed(a_model())).message.replace("onee", "")


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_a_cap_over_the_models_limit_names_the_field_that_was_sent(field: str) -> None:
    call = call_of({**a_call().body, field: 5000})
    assert refusal(call, listed(a_model())).param == field


def test_a_best_effort_capability_is_good_enough() -> None:
    model = replace(a_model(capabilities=frozenset()), best_effort=frozenset({Capability.TOOLS}))
    assert plan_call(a_call(tools=[{}]), a_snapshot(listed(model))).targets


def test_the_first_problem_is_told_when_all_fail() -> None:
    assert refusal(a_call(), listed(a_model(), AWAY), listed(a_model(), priced=False)).code == "model_unavailable"


def test_rights_are_asked_of_the_concrete_target() -> None:
    authorise(a_call(), a_target())
    with pytest.raises(Forbidden) as caught:
        authorise(a_call(ONLY_TWO), a_target())
    assert caught.value.code == "model_forbidden"
