"""What a call draws on, the refusal that says what would be affordable, and the cap that a budget shrinks."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.domain.access import Caller, Role
from headrace.domain.books import Refused
from headrace.domain.budget import Budget, BudgetMode, Window
from headrace.domain.call import Operation
from headrace.domain.price import bound_nano
from headrace.domain.snapshot import Snapshot
from headrace.domain.team import Team
from headrace.services.budgets import MOST_REMEMBERED, Budgets
from headrace.services.metering import bound_of
from tests.fakes.nouns import CALLER, a_call, a_model, a_price, a_target

NOON = 1_795_521_600_000_000
HOUR = 3_600_000_000
TEAM = CALLER.team


def a_budget(scope: str, *, window: Window = Window.TOTAL, mode: BudgetMode = BudgetMode.REJECT) -> Budget:
    return Budget(f"bud_{scope}_{window}".replace(":", "_"), scope, window, "UTC", 5_000, mode, 0, 0)


def following(*budgets: Budget, prepaid: bool = False) -> Budgets:
    found = Budgets()
    found.follow(Snapshot(1, models={}, providers={}, keys={}, budgets=budgets, teams={TEAM: Team(TEAM, prepaid, 0)}))
    return found


def affordable_of(left_nano: int, price_pico: int, choices: int, markup_ppm: int) -> tuple[int, int]:
    """The affordable cap, and the amount of a hold with one token more (in each choice)."""
    call = a_call(n=choices, max_tokens=2**31 - 1)
    target = a_target(price=a_price(input_pico=7, output_pico=price_pico, markup_ppm=markup_ppm))
    bound = bound_of(call, target)
    error = Budgets().refusal(call, target, bound, Refused("key:key1", left_nano, left_nano))
    cap = error.extra["affordable_output_tokens"]
    assert isinstance(cap, int)
    assert bound_nano(target.price, bound.input_tokens, cap * choices) <= left_nano or cap == 0
    return cap, bound_nano(target.price, bound.input_tokens, (cap + 1) * choices)


@given(
    left_nano=st.integers(-100, 10**9),
    price_pico=st.integers(1, 10**7),
    choices=st.integers(1, 4),
    markup_ppm=st.integers(1, 5_000_000),
)
def test_the_affordable_cap_is_the_largest_that_a_hold_would_allow(
    left_nano: int, price_pico: int, choices: int, markup_ppm: int
) -> None:
    cap, one_more = affordable_of(left_nano, price_pico, choices, markup_ppm)
    assert cap >= 0
    assert one_more >= left_nano


def test_a_call_draws_on_every_budget_that_concerns_it_in_one_order() -> None:
    budgets = [a_budget(scope) for scope in ("platform", "key:key1", f"team:{TEAM}", "model:one")]
    others = [a_budget(scope) for scope in ("key:key2", "team:other", "model:two")]
    scopes = following(*budgets, *others, prepaid=True).scopes(a_call(), a_target(), NOON)
    windows = [f"budget:{each.id}:total" for each in budgets]
    assert scopes == tuple(sorted(["platform", "key:key1", f"balance:{TEAM}", *windows]))
    assert following().scopes(a_call(), a_target(), NOON) == ("key:key1", "platform")


def test_a_free_model_draws_on_no_budget_and_no_balance() -> None:
    free = a_target(a_model("free"), a_price(input_pico=0, output_pico=0))
    budgets = following(a_budget("platform", window=Window.HOUR), prepaid=True)
    assert set(budgets.scopes(a_call(), free, NOON)) == {"platform", "key:key1"}
    assert set(budgets.scopes(a_call(), free, NOON + HOUR)) == {"platform", "key:key1"}


def test_the_next_window_is_another_scope() -> None:
    budgets = following(a_budget("platform", window=Window.HOUR), a_budget("platform", window=Window.DAY))
    first = budgets.scopes(a_call(), a_target(), NOON)
    assert budgets.scopes(a_call(), a_target(), NOON + HOUR - 1) == first
    second = budgets.scopes(a_call(), a_target(), NOON + HOUR)
    assert len(set(first) ^ set(second)) == 2
    assert budgets.scopes(a_call(), a_target(), NOON) == first


def test_what_is_remembered_of_keys_has_an_end() -> None:
    budgets, call, target = following(a_budget("platform")), a_call(), a_target()
    for number in range(MOST_REMEMBERED + 2):
        other = replace(call, caller=Caller(f"key{number}", "web", TEAM, Role.KEY, None))
        assert f"key:key{number}" in budgets.scopes(other, target, NOON)


def test_a_refusal_says_amounts_scope_and_cap() -> None:
    call, target = a_call(max_tokens=1000), a_target()
    bound = bound_of(call, target)
    budget = a_budget("key:key1", window=Window.DAY)
    refused = Refused(budget.span_at(NOON).scope, 5_000, 1_000_000)
    error = following(budget).refusal(call, target, bound, refused)
    cap = error.extra["affordable_output_tokens"]
    assert error.status == 402
    assert error.extra["budget"] == budget.id
    assert f"Lower max_tokens to {cap} or raise the budget." in error.message
    assert 'the key "web" has $0.001000000 left today' in error.message
    assert error.param == "max_tokens"


@pytest.mark.parametrize(
    ("scope", "named"),
    [
        ("platform", "the platform has"),
        ("model:one", 'the model "one" has'),
        (f"team:{TEAM}", f'the team "{TEAM}" has'),
    ],
)
def test_a_refusal_names_whose_budget_it_is(scope: str, named: str) -> None:
    call, target, budget = replace(a_call(), caller=replace(CALLER, role=Role.ADMIN)), a_target(), a_budget(scope)
    refused = Refused(budget.span_at(NOON).scope, 5, 3)
    assert (
        f"{named} $0.000000003 left. "
        in following(budget).refusal(call, target, bound_of(call, target), refused).message
    )


@pytest.mark.parametrize(
    ("scope", "named"), [("platform", "the platform"), ("model:one", 'the model "one"')], ids=["platform", "model"]
)
def test_a_key_hears_nothing_of_what_others_have_left(scope: str, named: str) -> None:
    call, target, budget = a_call(max_tokens=1000), a_target(), a_budget(scope, window=Window.DAY)
    budgets, bound = following(budget), bound_of(call, target)
    errors = [
        budgets.refusal(call, target, bound, Refused(budget.span_at(NOON).scope, 10**9, left))
        for left in (0, 3, bound.amount_nano - 1)
    ]
    assert {(each.message, each.param, str(each.extra)) for each in errors} == {
        (errors[0].message, None, str({"budget": budget.id}))
    }
    assert f"the operator's budget for {named} does not allow today." in errors[0].message
    assert (errors[0].status, errors[0].code) == (402, "budget_exceeded")


def test_an_empty_balance_says_who_tops_it_up() -> None:
    call, target = a_call(max_tokens=1000), a_target()
    bound = bound_of(call, target)
    budgets = following(prepaid=True)
    error = budgets.refusal(call, target, bound, Refused(f"balance:{TEAM}", 0, 0))
    assert (error.status, error.code, error.param) == (402, "balance_exhausted", None)
    assert f'the prepaid balance of the team "{TEAM}" has $0.000000000 left. Ask the operator' in error.message
    low = budgets.refusal(call, target, bound, Refused(f"balance:{TEAM}", 10**6, 10**6))
    assert f"Lower max_tokens to {low.extra['affordable_output_tokens']}, or ask the operator" in low.message
    assert low.param == "max_tokens"


def test_where_no_cap_would_help_none_is_named() -> None:
    for call in (a_call(), a_call(operation=Operation.EMBEDDINGS)):
        target = a_target()
        error = Budgets().refusal(call, target, bound_of(call, target), Refused("key:key1", 5, -3))
        assert "Shorten the prompt or raise the budget." in error.message
        assert error.extra == {"affordable_output_tokens": 0, "budget": "key:key1"}
        assert error.param is None


def test_free_output_makes_no_cap_affordable() -> None:
    call, target = a_call(), a_target(price=a_price(output_pico=0))
    error = Budgets().refusal(call, target, bound_of(call, target), Refused("key:key1", 5, 5))
    assert error.extra["affordable_output_tokens"] == 0


def test_only_a_budget_that_clamps_shrinks_the_cap() -> None:
    call, target = a_call(max_tokens=1000), a_target()
    bound = bound_of(call, target)
    for mode, cap in ((BudgetMode.CLAMP, 100), (BudgetMode.REJECT, None)):
        budget = a_budget("platform", mode=mode)
        left = bound_nano(target.price, bound.input_tokens, 100)
        smaller = following(budget).clamped(call, target, bound, Refused(budget.span_at(NOON).scope, left, left))
        assert (None if smaller is None else smaller.envelope.output_cap) == cap
    assert Budgets().clamped(call, target, bound, Refused("platform", 5_000, 10**6)) is None


def test_a_prediction_may_be_billed_beside_the_cap() -> None:
    call = a_call(max_tokens=1000)
    call = replace(call, envelope=replace(call.envelope, predicted_tokens=300))
    target, budget = a_target(), a_budget("key:key1", mode=BudgetMode.CLAMP)
    bound = bound_of(call, target)
    assert bound.output_tokens == 1300
    refused = Refused(budget.span_at(NOON).scope, bound.amount_nano, bound.amount_nano - 1)
    smaller = following(budget).clamped(call, target, bound, refused)
    assert smaller is not None and 0 < (smaller.envelope.output_cap or 0) < 1000
    assert bound_of(smaller, target).amount_nano <= bound.amount_nano - 1
    nothing = Refused(refused.scope, bound.amount_nano, bound_nano(target.price, bound.input_tokens, 300))
    assert following(budget).clamped(call, target, bound, nothing) is None


def test_a_budget_that_has_nothing_left_clamps_nothing() -> None:
    call, target, budget = a_call(max_tokens=1000), a_target(), a_budget("platform", mode=BudgetMode.CLAMP)
    refused = Refused(budget.span_at(NOON).scope, 5_000, 3)
    assert following(budget).clamped(call, target, bound_of(call, target), refused) is None


def test_what_runs_uncalled_is_paid_by_the_platform_the_team_and_the_model_and_by_no_key() -> None:
    budgets = [a_budget(scope) for scope in ("platform", f"team:{TEAM}", "team:other", "model:prod-llm", "key:key1")]
    paying = following(*budgets, prepaid=True).paying(TEAM, "prod-llm", NOON)
    drawn = [each.span_at(NOON).scope for each in (budgets[0], budgets[1], budgets[3])]
    assert paying == tuple(sorted(["platform", f"balance:{TEAM}", *drawn]))
    hourly = a_budget("platform", window=Window.HOUR)
    now, later = (following(hourly).paying(TEAM, "prod-llm", at) for at in (NOON, NOON + HOUR))
    assert now != later
    assert following().paying(TEAM, "prod-llm", NOON) == ("platform",)
