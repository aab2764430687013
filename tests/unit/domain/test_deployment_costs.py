"""Busy and idle, the effective price of a token, and the twin's price for the same tokens."""

from __future__ import annotations

from dataclasses import replace

from headrace.domain.deployment_costs import DeploymentCosts, Served, Twin, run_sums, tokens_nano
from headrace.domain.price import PriceVersion
from headrace.domain.replica_run import MICROS_PER_HOUR
from headrace.domain.usage import TokenClass
from tests.fakes.nouns import a_price
from tests.fakes.replicas import STARTED_MICROS, a_run

HOUR = MICROS_PER_HOUR
SERVED = Served(2, 700, 200, 60, 40, 900, 100, share_micros=HOUR // 4, share_nano=600_000)
TWIN = Twin("one", "acme", "acme/one@2026-11-01#1", is_overflow=True, amount_nano=3_000_000)
COSTS = DeploymentCosts("dep_1", "prod-llm", 0, HOUR, 1, HOUR, 2_590_000, SERVED, TWIN)


def test_what_requests_did_not_have_is_idle() -> None:
    assert (COSTS.idle_micros, COSTS.idle_nano) == (HOUR * 3 // 4, 1_990_000)
    assert (SERVED.input_tokens, SERVED.output_tokens) == (1_000, 1_000)


def test_a_token_costs_what_the_replicas_cost_whoever_used_them() -> None:
    assert COSTS.pico_per_token == 1_295_000
    assert COSTS.twin_pico_per_token == 1_500_000
    assert COSTS.saved_nano == 410_000
    unused = replace(COSTS, served=Served())
    assert (unused.pico_per_token, unused.twin_pico_per_token, unused.idle_nano) == (None, None, 2_590_000)
    alone = replace(COSTS, twin=None)
    assert (alone.twin_pico_per_token, alone.saved_nano) == (None, None)


def test_runs_are_cut_to_the_span_that_is_asked() -> None:
    run = replace(a_run(nano_per_hour=100), ready_at_micros=STARTED_MICROS)
    gone = replace(run, gone_at_micros=STARTED_MICROS + 2 * HOUR)
    starting = a_run()
    until = STARTED_MICROS + 9 * HOUR
    assert run_sums((run, gone, starting), STARTED_MICROS + HOUR, until) == (8 * HOUR + HOUR, 900)
    assert run_sums((), 0, until) == (0, 0)


def test_tokens_cost_what_their_class_costs_or_the_one_that_it_is_of() -> None:
    assert tokens_nano(SERVED, a_price(input_pico=1_000, output_pico=4_000)) == 1_000 + 4_000
    sparse = PriceVersion("x", "acme", "one", "2026-11-01", "test", {TokenClass.INPUT_FRESH: 1_000})
    assert tokens_nano(SERVED, sparse) == 1_000
    writing = {TokenClass.OUTPUT_TEXT: 4_000, TokenClass.INPUT_CACHE_READ: 100}
    assert tokens_nano(SERVED, replace(sparse, rates_pico=writing)) == 20 + 4_000
