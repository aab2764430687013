"""Where a session's next request goes: open tool calls, warm caches, pools, failures and the budget for leaving."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.domain.plan import Target
from headrace.domain.price import PriceVersion
from headrace.domain.session import (
    HARD_SECONDS,
    IDLE_SECONDS,
    MAX_CACHES,
    Asking,
    Choice,
    Offer,
    PromptCache,
    Session,
    choose,
    learned,
    placement_of,
)
from headrace.domain.switching import DEFAULT_CAP_PPM, Placement, SwitchTotals, SwitchVerdict
from headrace.domain.usage import TokenClass, UnitClass, Usage
from tests.fakes.nouns import a_credential, a_model, a_price, a_target, targets_of

NOW = 10_000.0


def priced(fresh: int, cached: int) -> PriceVersion:
    price = a_price(input_pico=fresh)
    return replace(price, rates_pico={**price.rates_pico, TokenClass.INPUT_CACHE_READ: cached})


def a_named(name: str, fresh: int = 1_000, cached: int = 100) -> Target:
    return a_target(a_model(name), priced(fresh, cached))


CHEAP, DEAR, OTHER = a_named("cheap", 500, 50), a_named("dear", 5_000, 500), a_named("other")
UNPRICED = a_target(a_model("unpriced"), replace(a_price(), rates_pico={UnitClass.CALL: 1_000}))


def nobody_rests(_target: Target) -> bool:
    return False


def resting(*targets: Target) -> Callable[[Target], bool]:
    return lambda target: target in targets


def an_offer(
    *pool: Target,
    fallbacks: tuple[Target, ...] = (),
    route: str | None = "refund",
    is_resting: Callable[[Target], bool] = nobody_rests,
) -> Offer:
    return Offer(route, pool, fallbacks, is_resting)


def asking(*, in_tool_loop: bool = False, cap_ppm: int = DEFAULT_CAP_PPM, context: int = 10_000) -> Asking:
    return Asking(context, in_tool_loop, 0, NOW, cap_ppm)


def a_session(anchor: Target, *, idle: float = 60.0, tokens: int = 10_000, totals: tuple[int, int] = (0, 0)) -> Session:
    used = NOW - idle
    place = placement_of(anchor)
    caches = {place: PromptCache(tokens, used, used)}
    return Session("refund", place, anchor.price, tokens, used, caches, SwitchTotals(*totals))


def names(choice: Choice) -> list[str]:
    return [each.model.id for each in choice.targets]


def test_a_first_request_follows_the_policy() -> None:
    choice = choose(None, asking(), an_offer(DEAR, CHEAP))
    assert (names(choice), choice.basis, choice.switch) == (["dear", "cheap"], None, None)


def test_a_follow_up_keeps_its_warm_anchor_against_a_dear_switch() -> None:
    choice = choose(a_session(CHEAP), asking(), an_offer(DEAR, OTHER, CHEAP))
    assert names(choice) == ["cheap", "dear", "other"]
    assert choice.basis == "switch_vetoed"
    assert choice.switch is not None
    assert choice.switch.verdict is SwitchVerdict.OVER_CAP
    assert choice.switch.counterfactual == Placement("dear", "acme")
    assert choice.switch.cost_nano == 10_000 * (5_000 - 50) // 1_000


def test_a_switch_that_costs_nothing_is_made() -> None:
    choice = choose(a_session(DEAR), asking(), an_offer(CHEAP, DEAR))
    assert (names(choice), choice.basis) == (["cheap", "dear"], None)
    assert choice.switch is not None
    assert (choice.switch.verdict, choice.switch.cost_nano) == (SwitchVerdict.FREE, 0)


@pytest.mark.parametrize(
    ("cap_ppm", "totals", "verdict", "first"),
    [
        (0, (0, 10**9), SwitchVerdict.OVER_CAP, "cheap"),
        (1_000_000, (0, 49_000_000), SwitchVerdict.WITHIN_CAP, "dear"),
        (1_000_000, (0, 48_999_999), SwitchVerdict.OVER_CAP, "cheap"),
        (1_000_000, (1, 49_000_000), SwitchVerdict.OVER_CAP, "cheap"),
        (DEFAULT_CAP_PPM, (0, 494_500_000), SwitchVerdict.WITHIN_CAP, "dear"),
    ],
)
def test_the_cap_is_a_share_of_what_staying_has_cost(
    cap_ppm: int, totals: tuple[int, int], verdict: SwitchVerdict, first: str
) -> None:
    """10,000 tokens: the switch costs 49,500,000 nano-dollars, this turn adds 500,000 to the base."""
    thousandfold = a_named("dear", 5_000_000, 500_000), a_named("cheap", 500_000, 50_000)
    dear, cheap = thousandfold
    choice = choose(a_session(cheap, totals=totals), asking(cap_ppm=cap_ppm), an_offer(dear, cheap))
    assert choice.switch is not None
    assert (choice.switch.verdict, names(choice)[0]) == (verdict, first)
    assert choice.base_nano == 500_000


def test_who_is_the_policys_choice_stays_and_the_record_says_the_same() -> None:
    choice = choose(a_session(CHEAP), asking(), an_offer(CHEAP, DEAR))
    assert choice.switch is not None
    assert (choice.switch.verdict, choice.switch.cost_nano) == (SwitchVerdict.SAME, 0)
    assert (names(choice), choice.basis, choice.begins) == (["cheap", "dear"], None, False)


@pytest.mark.parametrize("idle", [IDLE_SECONDS, IDLE_SECONDS + 100])
def test_a_cold_session_follows_the_policy_and_begins_anew(idle: float) -> None:
    choice = choose(a_session(CHEAP, idle=idle, totals=(5, 50)), asking(), an_offer(DEAR, CHEAP))
    assert (names(choice), choice.switch, choice.begins) == (["dear", "cheap"], None, True)
    session = learned(a_session(CHEAP, totals=(5, 50)), choice, placement_of(DEAR), Usage(input_fresh=9), NOW)
    assert session.totals == SwitchTotals(0, 0)


def test_a_cache_counts_as_cold_an_hour_after_it_was_filled() -> None:
    kept = PromptCache(10, NOW - HARD_SECONDS + 1, NOW - 1)
    assert kept.is_warm(NOW)
    assert not kept.is_warm(NOW + 1)


@pytest.mark.parametrize("idle", [60.0, IDLE_SECONDS + 1])
def test_an_open_tool_call_keeps_its_model_whatever_the_policy_says(idle: float) -> None:
    choice = choose(a_session(CHEAP, idle=idle), asking(in_tool_loop=True), an_offer(DEAR, CHEAP))
    assert (names(choice), choice.basis, choice.switch) == (["cheap", "dear"], "tool_loop", None)


def test_an_open_tool_call_keeps_a_fallback_model_too() -> None:
    offer = an_offer(DEAR, fallbacks=(OTHER, CHEAP))
    choice = choose(a_session(CHEAP), asking(in_tool_loop=True), offer)
    assert names(choice) == ["cheap", "dear", "other"]


def test_an_anchor_that_rests_is_passed_over_in_a_tool_call_and_outside() -> None:
    offer = an_offer(DEAR, CHEAP, is_resting=resting(CHEAP))
    for in_tool_loop in (True, False):
        choice = choose(a_session(CHEAP), asking(in_tool_loop=in_tool_loop, cap_ppm=0), offer)
        assert (names(choice)[0], choice.basis) == ("dear", None)
        assert choice.switch is not None
        assert choice.switch.is_forced
        assert choice.switch.is_taken


def test_a_pool_without_the_anchor_wins_over_its_cache() -> None:
    choice = choose(a_session(CHEAP), asking(cap_ppm=0), an_offer(DEAR, route="bug-fixing"))
    assert (names(choice), choice.route) == (["dear"], "bug-fixing")
    assert choice.switch is not None
    assert (choice.switch.verdict, choice.switch.is_forced) == (SwitchVerdict.OVER_CAP, True)
    assert choice.switch.cost_nano == 49_500


def test_a_pool_that_is_well_again_wins_over_a_fallback_models_cache() -> None:
    choice = choose(a_session(CHEAP), asking(cap_ppm=0), an_offer(DEAR, fallbacks=(CHEAP,)))
    assert names(choice) == ["dear", "cheap"]
    assert choice.switch is not None
    assert choice.switch.is_forced


def test_a_fallback_model_keeps_its_session_while_the_pool_rests() -> None:
    offer = an_offer(DEAR, fallbacks=(OTHER, CHEAP), is_resting=resting(DEAR))
    choice = choose(a_session(CHEAP), asking(cap_ppm=0), offer)
    assert (names(choice)[0], choice.basis) == ("cheap", "switch_vetoed")


def test_when_everybody_rests_the_policys_order_stands() -> None:
    offer = an_offer(DEAR, CHEAP, is_resting=resting(DEAR, CHEAP))
    assert names(choose(a_session(CHEAP), asking(), offer)) == ["dear", "cheap"]


def test_a_missing_price_lets_the_policy_have_its_way() -> None:
    for anchor, candidate in ((CHEAP, UNPRICED), (UNPRICED, CHEAP)):
        choice = choose(a_session(anchor), asking(cap_ppm=0), an_offer(candidate, anchor))
        assert choice.switch is not None
        assert (choice.switch.verdict, choice.switch.cost_nano) == (SwitchVerdict.NO_PRICING, None)
        assert names(choice)[0] == candidate.model.id
    gone = replace(a_session(CHEAP), price=None)
    choice = choose(gone, asking(), an_offer(DEAR))
    assert choice.switch is not None
    assert choice.switch.verdict is SwitchVerdict.NO_PRICING


def test_an_anchor_that_cached_nothing_is_left_at_its_fresh_rate() -> None:
    choice = choose(replace(a_session(DEAR, tokens=0)), asking(), an_offer(OTHER, DEAR))
    assert choice.switch is not None
    assert choice.switch.cost_nano == 10_000 * (1_000 - 5_000) // 1_000


def test_a_candidate_that_is_still_warm_is_cheaper_to_go_back_to() -> None:
    session = a_session(CHEAP)
    session = replace(session, caches={**session.caches, placement_of(DEAR): PromptCache(8_000, NOW - 100, NOW - 100)})
    choice = choose(session, asking(), an_offer(DEAR, CHEAP))
    assert choice.switch is not None
    assert choice.switch.warm_tokens == 8_000
    assert choice.switch.cost_nano == (2_000 * 5_000 + 8_000 * 500 - 10_000 * 50) // 1_000
    cold = replace(session, caches={**session.caches, placement_of(DEAR): PromptCache(8_000, 0, NOW - 400)})
    assert cold.warm_tokens(placement_of(DEAR), NOW) == 0


def test_the_context_is_at_least_what_the_last_turn_counted() -> None:
    choice = choose(a_session(CHEAP, tokens=50_000), asking(context=10), an_offer(DEAR, CHEAP))
    assert choice.switch is not None
    assert choice.switch.context_tokens == 50_000


def test_siblings_stay_together_behind_the_anchor() -> None:
    two = targets_of(CHEAP, a_credential("sk-1"), a_credential("sk-2", "spare"))
    offer = an_offer(DEAR, *two, is_resting=resting(two[0]))
    choice = choose(a_session(CHEAP), asking(), offer)
    assert [each.credential and each.credential.label for each in choice.targets] == ["default", "spare", None]


def test_a_session_learns_from_who_served_not_from_who_was_chosen() -> None:
    choice = choose(a_session(CHEAP, totals=(0, 10**9)), asking(cap_ppm=1_000_000), an_offer(DEAR, OTHER, CHEAP))
    assert names(choice)[0] == "dear"
    usage = Usage(input_fresh=12_000, output_text=300)
    after = learned(a_session(CHEAP, totals=(0, 10**9)), choice, placement_of(OTHER), usage, NOW)
    assert (after.anchor, after.price, after.context_tokens) == (placement_of(OTHER), OTHER.price, 12_300)
    assert after.totals == SwitchTotals(0, 10**9 + 500), "the switch that was weighed is not the one that happened"
    chosen = learned(a_session(CHEAP, totals=(0, 10**9)), choice, placement_of(DEAR), usage, NOW)
    assert chosen.totals == SwitchTotals(49_500, 10**9 + 500)


def test_a_veto_spends_nothing_and_a_session_without_a_past_begins() -> None:
    vetoed = choose(a_session(CHEAP), asking(), an_offer(DEAR, CHEAP))
    assert learned(a_session(CHEAP), vetoed, placement_of(CHEAP), Usage(), NOW).totals == SwitchTotals(0, 500)
    first = learned(None, choose(None, asking(), an_offer(CHEAP)), placement_of(CHEAP), Usage(input_fresh=7), NOW)
    assert (first.route, first.caches[first.anchor]) == ("refund", PromptCache(7, NOW, NOW))
    stranger = learned(None, vetoed, Placement("stranger", "acme"), Usage(), NOW)
    assert stranger.price is None


def test_a_cache_in_use_keeps_its_age_and_a_cold_one_begins_anew() -> None:
    choice = choose(a_session(CHEAP), asking(), an_offer(CHEAP))
    warm = learned(a_session(CHEAP), choice, placement_of(CHEAP), Usage(input_fresh=9), NOW)
    assert warm.caches[warm.anchor] == PromptCache(9, NOW - 60, NOW)
    cold = learned(a_session(CHEAP, idle=400), choice, placement_of(CHEAP), Usage(input_fresh=9), NOW)
    assert cold.caches[cold.anchor] == PromptCache(9, NOW, NOW)


def test_a_session_that_wanders_forgets_its_oldest_caches() -> None:
    session: Session | None = None
    for number in range(MAX_CACHES + 3):
        target = a_named(f"m{number}")
        session = learned(session, Choice(None, (target,)), placement_of(target), Usage(), NOW + number)
    assert session is not None
    assert [each.model_id for each in session.caches] == [f"m{n}" for n in range(3, MAX_CACHES + 3)]


RATE = st.tuples(st.integers(0, 10_000), st.integers(0, 10_000)).map(lambda pair: (max(pair), min(pair)))


@given(
    st.lists(RATE, min_size=1, max_size=4),
    st.data(),
    st.booleans(),
    st.integers(0, 1_000_000),
    st.floats(0, 700),
)
def test_whoever_is_asked_first_can_serve_and_nobody_is_lost(
    rates: list[tuple[int, int]], data: st.DataObject, in_tool_loop: bool, cap_ppm: int, idle: float
) -> None:
    targets = [a_named(f"m{number}", *pair) for number, pair in enumerate(rates)]
    split = data.draw(st.integers(0, len(targets)))
    rest = data.draw(st.sets(st.sampled_from(targets).map(lambda each: each.model.id)))
    anchor = data.draw(st.sampled_from([*targets, OTHER]))
    pool, fallbacks = tuple(targets[:split]), tuple(targets[split:])
    offer = Offer("refund", pool, fallbacks, lambda target: target.model.id in rest)
    choice = choose(a_session(anchor, idle=idle), asking(in_tool_loop=in_tool_loop, cap_ppm=cap_ppm), offer)
    assert sorted(names(choice)) == sorted(each.model.id for each in targets)
    well = [each for each in choice.targets if each.model.id not in rest]
    if well and choice.targets[0].model.id in rest:
        assert choice.targets == offer.targets, "only the policy's own order begins with one that rests"
    if well and choice.basis is None:
        assert well[0].model.id == offer.well[0].model.id
    if well and choice.basis is not None:
        assert well[0].model.id == anchor.model.id


@given(
    st.lists(RATE, min_size=2, max_size=4),
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 100_000), st.booleans()), max_size=15),
    st.integers(0, 1_000_000),
)
def test_a_session_that_is_free_to_stay_never_spends_over_its_cap(
    rates: list[tuple[int, int]], turns: list[tuple[int, int, bool]], cap_ppm: int
) -> None:
    targets = [a_named(f"m{number}", *pair) for number, pair in enumerate(rates)]
    session: Session | None = None
    for at, (preferred, context, in_tool_loop) in enumerate(turns):
        first = preferred % len(targets)
        pool = (targets[first], *targets[:first], *targets[first + 1 :])
        now = NOW + at
        choice = choose(session, Asking(context, in_tool_loop, 0, now, cap_ppm), an_offer(*pool))
        served = placement_of(choice.targets[0])
        if in_tool_loop and session is not None:
            assert served == session.anchor
        session = learned(session, choice, served, Usage(input_fresh=context), now)
        assert session.totals.spent_nano * 1_000_000 <= cap_ppm * session.totals.base_nano
