"""From a name to a plan, and the error that says why there is none."""

from dataclasses import replace

import pytest

from headrace.domain.access import Caller, Role
from headrace.domain.alias import Alias
from headrace.domain.call import Call, Operation
from headrace.domain.catalog import AVAILABLE, Availability, Capability, Listed, Model, ModelKind
from headrace.domain.errors import (
    CallerError,
    Forbidden,
    HeadraceError,
    UpstreamAuthFailed,
    UpstreamQuota,
    UpstreamRateLimited,
    UpstreamResting,
)
from headrace.domain.health import Resting
from headrace.domain.json_value import JsonValue
from headrace.domain.snapshot import Snapshot
from headrace.services.resolve import authorise, nobody_well, plan_call, without_resting
from tests.fakes.nouns import LOCAL, PROVIDER, TOOL, a_call, a_model, a_price, a_target, call_of

AWAY = Availability(False, "no_credential", "Its provider has no key.", "Set one.")
OTHER = replace(PROVIDER, name="other")
ONLY_TWO = Caller("k", "web", "shop", Role.KEY, frozenset({"two"}))


def listed(model: Model, availability: Availability = AVAILABLE, *, priced: bool = True) -> Listed:
    return Listed(model, a_price() if priced else None, availability)


def aliased(*chain: str, name: str = "daily") -> dict[str, Alias]:
    return {name: Alias(name, chain[0], chain[1:], 1, 1)}


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
            a_call(tools=[TOOL], logprobs=True),
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
    assert plan_call(a_call(tools=[TOOL]), a_snapshot(listed(model))).targets


def test_the_first_problem_is_told_when_all_fail() -> None:
    assert refusal(a_call(), listed(a_model(), AWAY), listed(a_model(), priced=False)).code == "model_unavailable"


def test_rights_are_asked_of_the_concrete_target() -> None:
    authorise(a_call(), a_target())
    with pytest.raises(Forbidden) as caught:
        authorise(a_call(ONLY_TWO), a_target())
    assert caught.value.code == "model_forbidden"


ONE, TWO, THREE = (listed(a_model(name)) for name in ("one", "two", "three"))
NO_TOOLS = listed(a_model("two", capabilities=frozenset()))


def served(call: Call, *entries: Listed, aliases: dict[str, Alias] | None = None) -> list[str]:
    snapshot = replace(a_snapshot(*entries), aliases=aliases or {})
    return [target.model.id for target in plan_call(call, snapshot).targets]


def test_an_alias_stands_for_its_chain_and_says_so() -> None:
    snapshot = replace(a_snapshot(ONE, TWO, THREE), aliases=aliased("two", "three"))
    plan = plan_call(a_call(model="daily"), snapshot)
    assert plan.requested == "daily"
    assert [(each.model.id, each.reason) for each in plan.targets] == [
        ("two", 'the alias "daily" points at it'),
        ("three", 'a fallback of the alias "daily"'),
    ]


def test_the_models_of_a_call_follow_its_model_once_each() -> None:
    call = replace(a_call(model="daily"), fallbacks=("three", "two", "daily", "one"))
    assert served(call, ONE, TWO, THREE, aliases=aliased("two", "three")) == ["two", "three", "one"]


def test_who_wants_no_substitute_gets_the_first_model_only_from_any_provider() -> None:
    other = listed(a_model("one", provider="other"))
    call = replace(a_call(model="daily"), fallbacks=("two",), may_substitute=False)
    assert served(call, ONE, other, TWO, aliases=aliased("one", "two")) == ["one", "one"]


def test_a_model_is_never_hidden_by_an_alias_of_its_name() -> None:
    assert served(a_call(), ONE, TWO, aliases=aliased("two", name="one")) == ["one"]


def test_a_key_reaches_through_an_alias_only_what_it_may_call() -> None:
    call = a_call(ONLY_TWO, model="daily")
    snapshot = replace(a_snapshot(ONE, TWO), aliases=aliased("one", "two"))
    plan = plan_call(call, snapshot)
    assert [target.model.id for target in plan.targets] == ["two"]
    assert [(each.model_id, each.code) for each in plan.excluded] == [("one", "model_forbidden")]
    with pytest.raises(Forbidden):
        plan_call(call, replace(snapshot, aliases=aliased("one")))
    with pytest.raises(Forbidden):
        plan_call(
            a_call(Caller("k", "web", "shop", Role.KEY, frozenset({"daily"})), model="daily"),
            replace(snapshot, aliases=aliased("one")),
        )


def test_a_fallback_that_cannot_do_what_is_needed_is_passed_over() -> None:
    call = replace(a_call(tools=[TOOL]), fallbacks=("two", "three"))
    snapshot = a_snapshot(ONE, NO_TOOLS, THREE)
    plan = plan_call(call, snapshot)
    assert [target.model.id for target in plan.targets] == ["one", "three"]
    assert [(each.model_id, each.code) for each in plan.excluded] == [("two", "unsupported_by_model")]


def test_what_surely_does_not_fit_is_refused_with_the_numbers() -> None:
    long = call_of({"model": "one", "messages": [{"role": "user", "content": "x" * 70_000}]})
    error = refusal(long, ONE)
    assert (error.code, error.status) == ("context_length_exceeded", 400)
    assert "at most 4096 tokens" in error.message
    assert "at least 4378 tokens" in error.message
    large = listed(replace(a_model("two"), context_length=100_000))
    assert served(replace(long, fallbacks=("two",)), ONE, large) == ["two"]
    picture: list[JsonValue] = [{"type": "image_url", "image_url": {"url": "data:" + "x" * 70_000}}]
    assert served(call_of({"model": "one", "messages": [{"role": "user", "content": picture}]}), ONE) == ["one"]


@pytest.mark.parametrize(
    ("call", "param", "said"),
    [
        (replace(a_call(), fallbacks=("two", "thre")), "models[1]", 'Did you mean "three"?'),
        (a_call(model="dayly"), "model", 'Did you mean "daily"?'),
        (a_call(model="lost"), "model", 'the alias "lost" points at it'),
    ],
)
def test_a_name_that_leads_nowhere_is_named(call: Call, param: str, said: str) -> None:
    aliases = {**aliased("two"), **aliased("gone", name="lost")}
    with pytest.raises(CallerError) as caught:
        plan_call(call, replace(a_snapshot(ONE, TWO, THREE), aliases=aliases))
    assert (caught.value.code, caught.value.param) == ("model_not_found", param)
    assert said in caught.value.message


def test_resting_targets_are_left_out_with_the_reason() -> None:
    plan = plan_call(replace(a_call(), fallbacks=("two",)), a_snapshot(ONE, TWO))
    rested = without_resting(plan, lambda target: Resting("breaker_open", 1.5) if target.model.id == "one" else None)
    assert [target.model.id for target in rested.targets] == ["two"]
    assert [(each.model_id, each.code, each.reason) for each in rested.excluded] == [
        ("one", "breaker_open", "It is left alone for 1.5 s more.")
    ]


@pytest.mark.parametrize(
    ("codes", "kind", "wait"),
    [
        (("upstream_rate_limited",) * 2, UpstreamRateLimited, 3.0),
        (("upstream_auth_failed",), UpstreamAuthFailed, None),
        (("upstream_quota_exhausted",), UpstreamQuota, None),
        (("upstream_rate_limited", "breaker_open"), UpstreamResting, 3.0),
    ],
)
def test_whose_fault_it_is_when_all_rest(codes: tuple[str, ...], kind: type[HeadraceError], wait: float | None) -> None:
    error = nobody_well([Resting(code, 3.0 + place) for place, code in enumerate(codes)])
    assert type(error) is kind
    assert error.retry_after_seconds == wait
