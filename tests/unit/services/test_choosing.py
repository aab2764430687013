"""Who in a pool can serve, what it is expected to cost and to take, and in which order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from headrace.domain.access import Caller, Role
from headrace.domain.alias import Alias
from headrace.domain.call import Call
from headrace.domain.candidate import NO_HABITS, Candidate, Habits
from headrace.domain.catalog import AVAILABLE, Availability, Listed, Model
from headrace.domain.dedicated import Standing
from headrace.domain.errors import CallerError, Forbidden, InvalidRequest, NotFound, PaymentRequired
from headrace.domain.plan import Target
from headrace.domain.price import PriceTier, PriceVersion, PriceWindow, Rates
from headrace.domain.router import Preference
from headrace.domain.snapshot import Snapshot
from headrace.domain.usage import TEXT_CLASSES, TokenClass, UnitClass
from headrace.services.choosing import (
    Asked,
    LeftOut,
    expected_seconds,
    expected_usage,
    fallen_back,
    nobody_can,
    ranked,
    sift,
)
from tests.fakes.deployed import a_deployed_snapshot, a_deployment
from tests.fakes.nouns import PROVIDER, TOOL, a_call, a_credential, a_model, a_price, a_target

OTHER = replace(PROVIDER, name="other")
AWAY = Availability(False, "no_credential", "Its provider has no key.", "Set one.")
ONLY_TWO = Caller("k", "web", "shop", Role.KEY, frozenset({"two"}))
# The body of a_call has so many bytes that this is our guess of its prompt.
PROMPT = 15


def listed(model: Model, price: PriceVersion | None = None, availability: Availability = AVAILABLE) -> Listed:
    return Listed(model, price or a_price(), availability)


def a_snapshot(*entries: Listed, **aliases: tuple[str, ...]) -> Snapshot:
    models: dict[str, tuple[Listed, ...]] = {}
    for entry in entries:
        models[entry.model.id] = (*models.get(entry.model.id, ()), entry)
    named = {name: Alias(name, chain[0], chain[1:], 1, 1) for name, chain in aliases.items()}
    return Snapshot(1, models, {"acme": PROVIDER, "other": OTHER}, {}, named)


def asked(
    call: Call | None = None,
    output_tokens: float = 100.0,
    habits: Mapping[str, Habits] | None = None,
    warm: Mapping[str, int] | None = None,
    max_cost_nano: int | None = None,
) -> Asked:
    known, cached = habits or {}, warm or {}
    return Asked(
        call=call or a_call(),
        output_tokens=output_tokens,
        habits=lambda target, _: known.get(target.model.id, NO_HABITS),
        warm_tokens=lambda target: cached.get(target.model.id, 0),
        max_cost_nano=max_cost_nano,
    )


def names(candidates: list[Candidate]) -> list[tuple[str, str]]:
    return [each.place for each in candidates]


ONE, TWO, THREE = (listed(a_model(name)) for name in ("one", "two", "three"))


def test_a_pool_is_sifted_in_its_own_order_under_its_own_names() -> None:
    there = a_snapshot(ONE, TWO, listed(a_model("two", provider="other")), THREE, fast=("three", "one"))
    sifted = sift(("two", "fast", "one"), asked(), there)
    assert names(sifted.candidates) == [("two", "acme"), ("two", "other"), ("three", "acme"), ("one", "acme")]
    assert [each.name for each in sifted.candidates] == ["two", "two", "fast", "fast"]
    assert not sifted.left_out
    assert names(sift(("one", "two"), asked(), there, frozenset({"two"})).candidates) == [("one", "acme")]


def test_credentials_make_siblings_and_no_candidates() -> None:
    provider = replace(PROVIDER, credentials=(a_credential("sk-1", "a"), a_credential("sk-2", "b")))
    there = replace(a_snapshot(ONE), providers={"acme": provider})
    [candidate] = sift(("one",), asked(), there).candidates
    assert [each.credential and each.credential.label for each in candidate.siblings] == ["a", "b"]


def test_who_cannot_serve_is_left_out_with_the_reason() -> None:
    away = listed(a_model("two", provider="other"), availability=AWAY)
    no_tools = listed(a_model("three", capabilities=frozenset()))
    there = a_snapshot(ONE, TWO, away, no_tools)
    sifted = sift(("gone", "one", "two", "three"), asked(a_call(ONLY_TWO, tools=[TOOL])), there)
    assert names(sifted.candidates) == [("two", "acme")]
    assert [(each.model_id, each.provider, each.problem.code) for each in sifted.left_out] == [
        ("gone", "", "model_not_found"),
        ("one", "", "model_forbidden"),
        ("two", "other", "model_unavailable"),
        ("three", "", "model_forbidden"),
    ]
    [unfit] = sift(("three",), asked(a_call(tools=[TOOL])), there).left_out
    assert unfit.excluded.code == "unsupported_by_model"
    assert (unfit.excluded.model_id, unfit.excluded.provider) == ("three", "acme")
    assert "cannot do what this request needs: tools" in unfit.excluded.reason


def test_what_is_expected_to_cost_too_much_is_left_out() -> None:
    dear = listed(a_model("two"), a_price(input_pico=1_000_000, output_pico=4_000_000))
    sifted = sift(("one", "two"), asked(max_cost_nano=415), a_snapshot(ONE, dear))
    assert [each.cost_nano for each in sifted.candidates] == [415]
    [left_out] = sifted.left_out
    assert (left_out.problem.code, left_out.problem.status) == ("over_max_cost", 402)
    assert "expected to cost $0.000415000 for this request; the router takes at most $0.000000415" in (
        left_out.problem.message
    )


def test_the_cost_is_what_this_request_is_expected_to_use() -> None:
    there = a_snapshot(ONE)
    [plain] = sift(("one",), asked(), there).candidates
    assert plain.cost_nano == PROMPT + 400
    [wordy] = sift(("one",), asked(habits={"one": Habits(verbosity=1.5, reasoning=0.5)}), there).candidates
    assert wordy.cost_nano == PROMPT + 4 * (150 + 75)
    [twice] = sift(("one",), asked(a_call(n=2)), there).candidates
    # Two answers, and the prompt is counted for each of them.
    assert twice.cost_nano == 2 * (PROMPT + 2) + 800


def test_a_short_cheap_prompt_with_a_long_answer_is_not_ordered_by_the_sum_of_rates() -> None:
    long_input = listed(a_model("reads"), a_price(input_pico=1_000, output_pico=9_000))
    long_output = listed(a_model("writes"), a_price(input_pico=9_000, output_pico=2_000))
    pool = sift(("reads", "writes"), asked(), a_snapshot(long_input, long_output)).candidates
    assert [each.candidate.name for each in ranked(pool, Preference.CHEAPEST)] == ["writes", "reads"]
    short = sift(("reads", "writes"), asked(output_tokens=5.0), a_snapshot(long_input, long_output)).candidates
    assert [each.candidate.name for each in ranked(short, Preference.CHEAPEST)] == ["reads", "writes"]


def cached_price(cached_pico: int | None = 100) -> PriceVersion:
    rates = dict(a_price().rates_pico)
    del rates[TokenClass.INPUT_CACHE_READ]
    if cached_pico is not None:
        rates[TokenClass.INPUT_CACHE_READ] = cached_pico
    return replace(a_price(), rates_pico=rates)


def test_what_is_cached_counts_at_its_rate_where_there_is_one() -> None:
    target = a_target(price=cached_price())
    warm = expected_usage(asked(warm={"one": 10}), target, Habits(cached_share=0.25), PROMPT)
    assert (warm.input_fresh, warm.input_cache_read) == (PROMPT - 10, 10)
    usual = expected_usage(asked(warm={"one": 1}), target, Habits(cached_share=0.25), PROMPT)
    assert (usual.input_fresh, usual.input_cache_read) == (PROMPT - 3, 3)
    all_of_it = expected_usage(asked(warm={"one": 10_000}), target, NO_HABITS, PROMPT)
    assert (all_of_it.input_fresh, all_of_it.input_cache_read) == (0, PROMPT)
    unsold = expected_usage(
        asked(warm={"one": 10}), a_target(price=cached_price(None)), Habits(cached_share=1.0), PROMPT
    )
    assert (unsold.input_fresh, unsold.input_cache_read) == (PROMPT, 0)


def test_an_answer_is_never_expected_longer_than_its_cap() -> None:
    target = a_target()
    asks = asked(a_call(max_tokens=60))
    usage = expected_usage(asks, target, Habits(reasoning=2.0), PROMPT)
    assert (usage.output_text, usage.output_reasoning) == (20, 40)
    assert expected_usage(asked(output_tokens=5_000), target, NO_HABITS, PROMPT).output_total == 256, (
        "the model's own default"
    )
    assert expected_usage(asked(output_tokens=0.0), target, NO_HABITS, PROMPT).output_total == 1


def test_tiers_windows_and_prices_by_the_call_count() -> None:
    dear: Rates = dict.fromkeys(TEXT_CLASSES, 50000)
    tiered = replace(a_price(), tiers=(PriceTier(10, dear),))
    night = replace(a_price(), windows=(PriceWindow(0, 0, multiplier_ppm=500_000),))
    by_call = replace(a_price(), rates_pico={**a_price().rates_pico, UnitClass.CALL: 7_000_000})
    for price, cost in ((tiered, 50 * (PROMPT + 100)), (night, 208), (by_call, PROMPT + 400 + 7_000)):
        [candidate] = sift(("one",), asked(), a_snapshot(listed(a_model(), price))).candidates
        assert candidate.cost_nano == cost


@pytest.mark.parametrize(
    ("habits", "stream", "seconds"),
    [
        (NO_HABITS, True, None),
        (NO_HABITS, False, None),
        (Habits(first_event_seconds=0.5, tokens_per_second=50.0), True, 2.5),
        (Habits(first_event_seconds=0.5), True, 0.5),
        (Habits(first_event_seconds=0.5, tokens_per_second=50.0, whole_seconds=4.0), True, 2.5),
        (Habits(first_event_seconds=0.5, tokens_per_second=50.0, whole_seconds=4.0), False, 4.0),
        (Habits(first_event_seconds=0.5, tokens_per_second=50.0), False, 2.5),
        (Habits(whole_seconds=4.0), True, 4.0),
    ],
)
def test_how_long_an_answer_is_expected_to_take(habits: Habits, stream: bool, seconds: float | None) -> None:
    asks = asked(a_call(stream=stream))
    assert expected_seconds(asks, habits, expected_usage(asks, a_target(), habits, PROMPT)) == seconds


def a_candidate(name: str, cost: int = 1, seconds: float | None = None, *, fits: bool = True) -> Candidate:
    target: Target = a_target(a_model(name))
    return Candidate(name, target, (target,), cost, seconds, fits)


POOL = (
    a_candidate("a", 5, None),
    a_candidate("b", 3, 2.0),
    a_candidate("c", 1, 0.1, fits=False),
    a_candidate("d", 3, 1.0),
    a_candidate("e", 9, None),
)


@pytest.mark.parametrize(
    ("prefer", "order", "code"),
    [
        (Preference.NONE, "abdec", "as_written"),
        (Preference.CHEAPEST, "bdaec", "cheapest"),
        (Preference.FASTEST, "dbaec", "fastest"),
    ],
)
def test_each_policy_has_its_order(prefer: Preference, order: str, code: str) -> None:
    found = ranked(POOL, prefer)
    assert "".join(each.candidate.name for each in found) == order
    assert found[0].code == code
    assert (found[-1].code, found[-1].reason) == ("may_not_fit", "prompt and answer may be over its 4,096 tokens")


def test_every_place_has_its_reason() -> None:
    assert ranked(POOL, Preference.CHEAPEST)[0].reason == "expected to cost $0.000000003"
    fastest = ranked(POOL, Preference.FASTEST)
    assert fastest[0].reason == "expected to take 1.00 s"
    assert [(each.code, each.reason) for each in fastest[2:4]] == [("unmeasured", "its speed was not measured yet")] * 2
    assert ranked(POOL, Preference.NONE)[0].reason == "in the order in which the pool is written"


def test_fallback_models_keep_their_order_but_for_those_that_may_not_fit() -> None:
    found = fallen_back((POOL[2], POOL[0], POOL[1]))
    assert [(each.candidate.name, each.code) for each in found] == [
        ("a", "fallback"),
        ("b", "fallback"),
        ("c", "may_not_fit"),
    ]


def test_what_may_not_fit_is_told_by_our_guess_of_prompt_and_answer() -> None:
    small = listed(replace(a_model("two"), context_length=PROMPT + 99))
    large = listed(replace(a_model("three"), context_length=PROMPT + 100))
    assert [each.fits for each in sift(("two", "three"), asked(), a_snapshot(small, large)).candidates] == [False, True]


def left_out(problem: CallerError) -> LeftOut:
    return LeftOut("x", "x", "acme", problem)


def test_when_nobody_can_the_error_says_of_each_why() -> None:
    forbidden = [
        left_out(Forbidden("No a.", code="model_forbidden")),
        left_out(Forbidden("No b.", code="model_forbidden")),
    ]
    error = nobody_can("router:support", forbidden)
    assert (type(error), error.code, error.param) == (Forbidden, "model_forbidden", "model")
    assert error.message == "router:support has no model that can serve this request. No a. No b."
    mixed = nobody_can("router:support", [*forbidden, left_out(InvalidRequest("Too long.", code="too_long"))])
    assert (type(mixed), mixed.code) == (InvalidRequest, "no_candidate")
    dear = [
        left_out(PaymentRequired("A.", code="over_max_cost")),
        left_out(PaymentRequired("B.", code="model_unpriced")),
    ]
    assert (type(nobody_can("r", dear)), nobody_can("r", dear).code) == (InvalidRequest, "no_candidate")
    many = nobody_can("r", [left_out(NotFound(f"N{index}.", code="gone")) for index in range(10)])
    assert many.message.endswith("N7. And 2 more.")
    nothing = nobody_can("inference-router", [])
    assert (type(nothing), nothing.code) == (NotFound, "no_candidate")
    assert "headrace models --all" in nothing.message


def test_a_deployment_costs_what_one_more_request_adds_there() -> None:
    there = a_deployed_snapshot(a_deployment())
    standings = {"dep_1": Standing(ready=1, in_flight=1)}

    def costs(**habits: Habits) -> list[tuple[str, int, float | None, str]]:
        asks = replace(asked(habits=habits), standing=standings.get)
        pool = ranked(sift(("one", "prod-llm"), asks, there).candidates, Preference.CHEAPEST)
        return [(each.candidate.name, each.candidate.cost_nano, each.candidate.seconds, each.reason) for each in pool]

    free, tokens = costs()
    assert free == ("prod-llm", 0, None, "expected to cost $0.000000000 (already paid: 1 of 2 slots free)")
    assert tokens == ("one", PROMPT + 400, None, "expected to cost $0.000000415")
    # One hundred tokens at an assumed 30 a second, in one of two slots of a million nano-dollars a second.
    standings["dep_1"] = Standing(ready=1, in_flight=2)
    assert costs()[1][:3] == ("prod-llm", 1_666_666, None)
    measured = {"prod-llm": Habits(first_event_seconds=0.5, tokens_per_second=200.0, whole_seconds=1.0)}
    assert costs(**measured)[1][:3] == ("prod-llm", 500_000, 1.0)
    del standings["dep_1"]
    dear = costs(**measured)[1]
    assert dear[:3] == ("prod-llm", (30 + 600 + 1) * 1_000_000, 31.0), "and it is waited for"
    assert dear[3].endswith("(asleep: a replica would be paid for 30 s to wake and 600 s to stay)")


def test_a_deployment_that_nobody_watches_is_taken_to_sleep() -> None:
    there = a_deployed_snapshot(a_deployment())
    [candidate] = sift(("prod-llm",), asked(), there).candidates
    assert candidate.paid.startswith("asleep")
