"""Break-even questions answered: what is looked up where, what every number is from, and what is refused."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import cast

import pytest

from headrace.domain.accelerator import Billing, Measurement
from headrace.domain.alias import Alias
from headrace.domain.breakeven import Figure, Report
from headrace.domain.breakeven_question import Asked, Form
from headrace.domain.catalog import AVAILABLE, Listed, Model
from headrace.domain.errors import ConfigInvalid, InvalidRequest
from headrace.domain.price import PriceVersion, Rates
from headrace.domain.snapshot import Snapshot
from headrace.domain.usage import TokenClass
from headrace.services.breakeven import Breakeven
from headrace.services.snapshots import Snapshots
from headrace.testing.clock import FakeClock
from tests.fakes.breakeven import InPlace, MemoryAccelerators, MemoryUsageHours, a_usage_hour
from tests.fakes.nouns import a_model

pytestmark = pytest.mark.anyio

NOON_MICROS = 1_795_521_600_000_000  # 2026-11-24 12:00 UTC
HOUR = 3_600_000_000
OPUS: Rates = {
    TokenClass.INPUT_FRESH: 5_000_000,
    TokenClass.INPUT_CACHE_READ: 500_000,
    TokenClass.INPUT_CACHE_WRITE_5M: 6_250_000,
    TokenClass.INPUT_CACHE_WRITE_1H: 6_250_000,
    TokenClass.OUTPUT_TEXT: 25_000_000,
    TokenClass.OUTPUT_REASONING: 25_000_000,
}
CHEAP: Rates = dict.fromkeys(TokenClass, 100_000)
SIMPLE = Asked(model="one", gpu="big", requests_per_hour=300)
FULL = replace(SIMPLE, form=Form.FULL, tokens_per_second=2_000_000)
LEDGER = Asked(form=Form.LEDGER, gpu="big", days=1, tokens_per_second=2_000_000)
MEASURED = Measurement(
    "big", 1, ("one",), "https://example.com/bench", "2026-11-24", "2026-10-01", 2_500_000, None, 500, 61_400, "8 slots"
)


def a_version(rates: Rates, effective: str, provider: str = "acme") -> PriceVersion:
    return PriceVersion(f"{provider}/one@{effective}#1", provider, "one", effective, "https://example.com", rates)


def priced(rates: Rates, effective: str = "2026-07-02", provider: str = "acme") -> Model:
    return replace(a_model("one", provider=provider), prices=(a_version(rates, effective, provider),))


@dataclass(slots=True)
class World:
    """A service over parts in memory."""

    models: dict[str, tuple[Model, ...]] = field(default_factory=lambda: {"one": (priced(OPUS),)})
    aliases: dict[str, Alias] = field(default_factory=dict[str, Alias])
    accelerators: MemoryAccelerators = field(default_factory=MemoryAccelerators)
    usage: MemoryUsageHours = field(default_factory=MemoryUsageHours)

    async def ask(self, asked: Asked) -> Report:
        models = {name: tuple(Listed(each, None, AVAILABLE) for each in found) for name, found in self.models.items()}
        snapshot = Snapshot(1, models, {}, {}, self.aliases)
        snapshots = cast("Snapshots", SimpleNamespace(current=lambda: snapshot))
        service = Breakeven(snapshots, self.accelerators, self.usage, FakeClock(NOON_MICROS + 1), InPlace())
        return await service.answer(asked)

    async def refusal(self, asked: Asked) -> InvalidRequest:
        with pytest.raises(InvalidRequest) as caught:
            await self.ask(asked)
        return caught.value


def inputs(report: Report) -> dict[str, Figure]:
    return {each.name: each for each in report.inputs}


async def test_the_published_example_from_the_catalog_and_the_accelerators() -> None:
    report = await World().ask(replace(SIMPLE, on="2026-07-02"))
    assert report.outcome.first == 234
    found = inputs(report)
    assert found["gpu_usd_per_hour"].value == "1.99"
    assert "from 2026-05-13, https://example.com/gpus, checked 2026-11-24" in found["gpu_usd_per_hour"].source
    assert found["input_usd_per_mtok"].source.startswith("acme/one@2026-07-02#1, in force from 2026-07-02")
    assert (found["tokens_per_request"].value, found["tokens_per_request"].source) == (
        1_701,
        "the public example: 1.99 / 234 / 5 * 1000000, rounded up",
    )
    assert "The GPU price of 2026-05-13 was used; the one of today is $2.59 an hour." in report.notes
    assert "Output prices are not in this simple form: with 1,200 in and 500 out it is 108 requests/h." in report.notes


async def test_without_a_date_the_price_of_today_is_in_force() -> None:
    report = await World().ask(SIMPLE)
    assert (report.outcome.first, inputs(report)["gpu_usd_per_hour"].value) == (305, "2.59")
    assert not any("of today" in each for each in report.notes)


async def test_every_input_says_where_it_is_from() -> None:
    for asked in (SIMPLE, FULL, LEDGER):
        report = await World().ask(asked)
        assert report.inputs
        assert all(each.source and each.name and each.unit for each in report.inputs)
        assert all(each.formula for each in report.figures)


async def test_given_numbers_go_before_those_that_are_known() -> None:
    asked = replace(SIMPLE, input_usd_per_mtok=10_000_000, gpu_usd_per_hour=1_000_000_000, tokens_per_request=100)
    report = await World().ask(asked)
    assert report.outcome.first == 1_000
    found = inputs(report)
    assert {found[name].source for name in ("input_usd_per_mtok", "gpu_usd_per_hour", "tokens_per_request")} == {
        "given in the question"
    }


async def test_several_gpus_are_a_machine_of_that_size_or_several() -> None:
    eight = await World().ask(replace(SIMPLE, gpus=8))
    four = await World().ask(replace(SIMPLE, gpus=4))
    assert (eight.outcome.dedicated_nano, four.outcome.dedicated_nano) == (20_700_000_000, 4 * 2_590_000_000)
    assert inputs(four)["machines_per_replica"].value == 4


async def test_spot_is_priced_apart() -> None:
    report = await World().ask(replace(SIMPLE, billing=Billing.SPOT))
    assert report.outcome.dedicated_nano == 1_000_000_000
    refusal = await World().refusal(replace(SIMPLE, gpu="small", billing=Billing.SPOT))
    assert refusal.message.startswith(
        'No spot price of "small" for 1 GPUs is known on 2026-11-24; known: 1 GPUs on_demand from 2026-08-01.'
    )
    assert '"gpu_usd_per_hour" (--gpu-usd-per-hour)' in refusal.message


async def test_an_alias_stands_for_its_model_and_a_provider_can_be_chosen() -> None:
    world = World(models={"one": (priced(OPUS), priced(CHEAP, provider="other"))})
    world.aliases["daily"] = Alias("daily", "one", (), 1, 1)
    assert (await world.ask(replace(SIMPLE, model="daily"))).outcome.first == 305
    other = await world.ask(replace(SIMPLE, provider="other"))
    assert inputs(other)["input_usd_per_mtok"].value == "0.1"
    refusal = await world.refusal(replace(SIMPLE, provider="third"))
    assert (refusal.message, refusal.param) == ('"third" does not serve "one"; these do: acme, other.', "provider")


async def test_a_price_that_begins_later_is_used_and_said_to() -> None:
    report = await World().ask(replace(SIMPLE, on="2026-06-01"))
    assert report.outcome.first == 234
    assert report.notes[0] == ("The catalog has no price of one on 2026-06-01 yet: its first, of 2026-07-02, is used.")


async def test_a_model_without_a_price_needs_one_from_the_question() -> None:
    world = World(models={"one": (replace(a_model("one"), prices=()),)})
    refusal = await world.refusal(SIMPLE)
    assert refusal.message == 'one has no price in the catalog: give "input_usd_per_mtok" (--input-usd-per-mtok).'
    report = await world.ask(replace(SIMPLE, input_usd_per_mtok=5_000_000))
    assert report.outcome.first == 305
    assert "Output prices are not in this simple form." in report.notes


@pytest.mark.parametrize(
    ("asked", "param", "said"),
    [
        (replace(SIMPLE, model=None), "model", 'Which model? Give "model" (--model).'),
        (replace(SIMPLE, model="onne"), "model", 'No model named "onne". Did you mean "one"?'),
        (replace(SIMPLE, model="zzz"), "model", 'No model named "zzz". `headrace models --all` lists them.'),
        (replace(SIMPLE, gpu=None), "gpu", 'Which GPU? Give "gpu" (--gpu), one of big, small.'),
        (replace(SIMPLE, gpu="bigg"), "gpu", 'No GPU named "bigg". Did you mean "big"?'),
        (replace(SIMPLE, gpu="zzz"), "gpu", 'No GPU named "zzz". Known are: big, small.'),
        (
            replace(SIMPLE, requests_per_hour=None),
            "requests_per_hour",
            'How many requests an hour? Give "requests_per_hour" (--requests-per-hour).',
        ),
        (
            replace(FULL, tokens_per_second=None),
            "tokens_per_second",
            'No throughput of "one" on "big" is known: give "tokens_per_second" (--tokens-per-second), the tokens per '
            "second of output that one replica sustains within your latency target, or enter a measurement in "
            "HOME/accelerators.toml.",
        ),
        (
            replace(FULL, output_tokens=0),
            "input_tokens_per_second",
            'No throughput of "one" on "big" is known: give "input_tokens_per_second" (--input-tokens-per-second), the '
            "tokens per second of input (nothing is written) that one replica sustains within your latency target, "
            "or enter a measurement in HOME/accelerators.toml.",
        ),
        (
            replace(FULL, input_tokens=0, output_tokens=0, cached_tokens=5),
            "input_tokens",
            'A request without tokens is no work: give "input_tokens" (--input-tokens) or "output_tokens" '
            "(--output-tokens).",
        ),
    ],
)
async def test_what_is_missing_or_unknown_is_named_with_the_fix(asked: Asked, param: str, said: str) -> None:
    refusal = await World().refusal(asked)
    assert (refusal.message, refusal.param) == (said, param)


async def test_a_broken_accelerator_file_is_told_to_who_asks() -> None:
    world = World()
    world.accelerators.failure = ConfigInvalid("a.toml:3: wrong", param="x", extra={"line": 3})
    refusal = await world.refusal(SIMPLE)
    assert (refusal.code, refusal.message, refusal.extra) == ("config_invalid", "a.toml:3: wrong", {"line": 3})


async def test_the_full_form_takes_every_token_class() -> None:
    shape = replace(FULL, input_tokens=1_000, cached_tokens=200, cache_write_tokens=10, output_tokens=400)
    report = await World().ask(replace(shape, reasoning_tokens=100))
    per_request = 1_000 * 5 + 200 * 0.5 + 10 * 6.25 + 500 * 25
    assert report.outcome.serverless_nano == round(24 * 300 * per_request * 1_000)
    assert inputs(report)["output_tokens"].source == "given in the question"
    assert inputs(await World().ask(FULL))["output_tokens"].source.startswith("an example")


async def test_what_was_measured_is_used_with_its_date_and_source() -> None:
    world = World()
    world.accelerators.measure(MEASURED)
    report = await world.ask(replace(FULL, tokens_per_second=None))
    found = inputs(report)
    assert found["tokens_per_second"].value == "2500"
    assert found["tokens_per_second"].source == (
        "measured: one on 1 x BIG, of 2026-10-01, https://example.com/bench; 8 slots"
    )
    assert (found["latency_target_ms"].value, found["warm_up_seconds"].value) == (500, "61.4")
    assert not any("latency target" in each for each in report.notes)
    with_own = inputs(await world.ask(replace(FULL, warm_up_seconds=5_000)))
    assert (with_own["tokens_per_second"].value, with_own["warm_up_seconds"].value) == ("2000", "5")


async def test_a_given_throughput_is_assumed_unless_its_source_is_given() -> None:
    assumed = inputs(await World().ask(FULL))["tokens_per_second"]
    assert (assumed.value, assumed.source) == ("2000", "assumed: given in the question, not measured")
    ours = inputs(await World().ask(replace(FULL, throughput_source="our run of 2026-11-20", latency_target_ms=800)))
    assert ours["tokens_per_second"].source == "measured: our run of 2026-11-20"
    assert ours["latency_target_ms"].value == 800


async def test_a_stand_in_is_named_with_what_is_known_of_its_quality() -> None:
    world = World()
    world.accelerators.measure(replace(MEASURED, models=("open",)))
    report = await world.ask(
        replace(FULL, stand_in="open", tokens_per_second=None, quality_note="0.94 of it on our tickets")
    )
    assert "Dedicated runs open in the place of one: 0.94 of it on our tickets." in report.notes
    assert inputs(report)["dedicated_runs"].value == "open"
    silent = await World().ask(replace(FULL, stand_in="open"))
    assert any("nothing here says that it answers as well" in each for each in silent.notes)
    equal = await World().ask(FULL)
    assert any("Dedicated is taken to run one" in each for each in equal.notes)


async def test_the_ledger_is_asked_for_whole_hours_up_to_the_one_under_way() -> None:
    world = World()
    await world.ask(replace(LEDGER, days=2, model="one"))
    await world.ask(LEDGER)
    ends = NOON_MICROS + HOUR
    assert world.usage.asked == [(ends - 48 * HOUR, ends, "one"), (ends - 24 * HOUR, ends, None)]


async def test_the_traffic_that_was_served_is_what_is_compared() -> None:
    world = World()
    world.usage.usage = [
        a_usage_hour(NOON_MICROS, 1_000, cost_nano=100_000_000_000),
        a_usage_hour(NOON_MICROS - HOUR, 500, provider="other", cost_nano=7),
        a_usage_hour(NOON_MICROS - 24 * HOUR, 500, cost_nano=7),
    ]
    report = await world.ask(LEDGER)
    assert report.answer.startswith("Dedicated would have cost $62.16 instead of $100.000000007 in the last day;")
    assert report.outcome.dedicated_wins
    assert report.hours[-1].requests == 1_000
    assert any("other has no price in the catalog now" in each for each in report.notes)
    assert any("for all models on the same replicas" in each for each in report.notes)
    assert any("not the charge" in each for each in report.notes)
    mine = await world.ask(replace(LEDGER, model="one", provider="acme"))
    assert mine.outcome.serverless_nano == 100_000_000_000
    costs = {each.change: each.outcome.serverless_nano for each in mine.sensitivity if "cached" in each.input}
    assert costs["0 %"] == 100_000_000_000 + 100_000 * 4_500


async def test_what_writes_nothing_needs_to_know_how_fast_it_reads() -> None:
    world = World()
    world.usage.usage = [a_usage_hour(NOON_MICROS, 10, output=0)]
    refusal = await world.refusal(LEDGER)
    assert refusal.param == "input_tokens_per_second"
    world.usage.usage.append(a_usage_hour(NOON_MICROS, 10, model_id="two"))
    report = await world.ask(LEDGER)
    assert any("wrote nothing is taken for no work" in each for each in report.notes)
    both = await world.ask(replace(LEDGER, input_tokens_per_second=9_000_000))
    assert not any("wrote nothing" in each for each in both.notes)


async def test_without_traffic_no_throughput_is_asked_for() -> None:
    report = await World().ask(replace(LEDGER, tokens_per_second=None))
    assert report.answer.endswith("it cannot win, because there was no traffic.")


async def test_sleep_and_replicas_come_from_the_question() -> None:
    world = World()
    world.usage.usage = [a_usage_hour(NOON_MICROS - 5 * HOUR, 1)]
    asked = replace(LEDGER, sleep_after_minutes=10, spare_replicas=1, min_replicas=0, utilisation_percent=500_000)
    report = await world.ask(asked)
    found = inputs(report)
    assert (found["utilisation_percent"].value, found["sleep_after_minutes"].value) == ("50", 10)
    assert (found["spare_replicas"].source, found["warm_up_seconds"].source) == (
        "given in the question",
        "not known: starts are taken as free",
    )
    assert sum(each.seconds for each in report.outcome.paid) == 2 * 600 + 2 + 2 * 600
