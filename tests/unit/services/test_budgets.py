"""Scopes of a hold and the refusal that says what would be affordable."""

from hypothesis import given
from hypothesis import strategies as st

from headrace.domain.books import Refused
from headrace.domain.call import Operation
from headrace.domain.price import bound_nano
from headrace.services.budgets import budget_refusal, scopes_of
from headrace.services.metering import bound_of
from tests.fakes.nouns import CALLER, a_call, a_price, a_target


def affordable_of(left_nano: int, price_pico: int, choices: int, markup_ppm: int) -> tuple[int, int]:
    """The affordable cap, and the amount of a hold with one token more (in each choice)."""
    call = a_call(n=choices, max_tokens=2**31 - 1)
    target = a_target(price=a_price(input_pico=7, output_pico=price_pico, markup_ppm=markup_ppm))
    bound = bound_of(call, target)
    error = budget_refusal(call, target, bound, Refused("key:key1", left_nano, left_nano))
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


def test_the_scopes_of_a_caller_stand_in_their_fixed_order() -> None:
    assert scopes_of(CALLER) == ("platform", "key:key1")


def test_a_refusal_says_amounts_scope_and_cap() -> None:
    call, target = a_call(max_tokens=1000), a_target()
    bound = bound_of(call, target)
    error = budget_refusal(call, target, bound, Refused("key:key1", 5_000, 1_000))
    assert error.status == 402
    cap = error.extra["affordable_output_tokens"]
    assert f"Lower max_tokens to {cap} or raise the budget." in error.message
    assert "key:key1 has $0.000001000 left" in error.message
    assert error.param == "max_tokens"


def test_where_no_cap_would_help_none_is_named() -> None:
    for call in (a_call(), a_call(operation=Operation.EMBEDDINGS)):
        target = a_target()
        error = budget_refusal(call, target, bound_of(call, target), Refused("platform", 5, -3))
        assert "Shorten the prompt or raise the budget." in error.message
        assert error.extra == {"affordable_output_tokens": 0}
        assert error.param is None


def test_free_output_makes_no_cap_affordable() -> None:
    call, target = a_call(), a_target(price=a_price(output_pico=0))
    error = budget_refusal(call, target, bound_of(call, target), Refused("platform", 5, 5))
    assert error.extra == {"affordable_output_tokens": 0}
