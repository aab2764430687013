"""Prices with tiers, windows and units, and rare classes of usage: through the books, recovery and receipts."""

from dataclasses import replace
from pathlib import Path

import pytest

from headrace.domain.books import Progress
from headrace.domain.price import PriceTier, PriceVersion, PriceWindow, Rates, price_lines
from headrace.domain.usage import TokenClass, UnitClass, Usage, rare
from tests.contract.ledger_books import LEDGERS, PRICE, RATES, START_MICROS, OpenBooks, opening, settlement

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("open_books", LEDGERS, ids=lambda each: each.__name__)]

DOUBLE: Rates = {each: 2 * pico for each, pico in RATES.items()}
# The books begin on a Monday at 16:00 UTC.
AFTERNOON = PriceWindow(15 * 60, 17 * 60, frozenset({0}), 3_000_000)
VARIED = PriceVersion(
    "acme/small@2026-02-01#2",
    "acme",
    "small",
    "2026-02-01",
    "https://acme.example/prices",
    {**RATES, TokenClass.INPUT_AUDIO: 640_000, UnitClass.SEARCH: 10_000_000_000, UnitClass.CALL: 5_000_000_000},
    1_100_000,
    tiers=(PriceTier(200, DOUBLE),),
    windows=(AFTERNOON,),
    batch_ppm=500_000,
)
USAGE = Usage(
    input_fresh=100,
    output_text=7,
    more=rare({TokenClass.INPUT_AUDIO: 90, TokenClass.OUTPUT_IMAGE: 3, UnitClass.SEARCH: 2}),
)


async def test_rare_classes_and_units_come_back_on_the_receipt(open_books: OpenBooks, tmp_path: Path) -> None:
    held = replace(opening(1), price=VARIED)
    lines = price_lines(USAGE, VARIED, held.at_micros)
    async with open_books(tmp_path) as books:
        await books.ledger.hold(held)
        await books.ledger.sent("att_000001", START_MICROS + 5)
        await books.ledger.settle(replace(settlement("att_000001", USAGE), lines=lines))
        attempt = await books.attempt("att_000001")
        assert (attempt.usage, attempt.lines) == (USAGE, lines)
        assert [line.kind for line in lines] == [
            *("input_fresh", "output_text", "input_audio", "output_image", "search", "call"),
        ]
        assert attempt.rates_pico == {each.value: pico for each, pico in VARIED.rates_pico.items()}
        assert attempt.variants is not None
        assert '"batch_ppm":500000' in attempt.variants
        async with books.audit() as broken:
            assert broken == []


async def test_usage_of_the_common_classes_keeps_nothing_more(open_books: OpenBooks, tmp_path: Path) -> None:
    async with open_books(tmp_path) as books:
        await books.ledger.hold(opening(1))
        await books.ledger.sent("att_000001", START_MICROS + 5)
        await books.ledger.settle(settlement("att_000001"))
        attempt = await books.attempt("att_000001")
        assert attempt.usage is not None
        assert (attempt.usage.more, attempt.variants) == ((), None)


@pytest.mark.parametrize(("estimate", "rates"), [(200, RATES), (201, DOUBLE)])
async def test_recovery_prices_by_the_tier_and_the_time_of_the_hold(
    open_books: OpenBooks, tmp_path: Path, estimate: int, rates: Rates
) -> None:
    held = replace(opening(1), price=VARIED)
    async with open_books(tmp_path) as books:
        await books.ledger.hold(replace(held, bound=replace(held.bound, input_estimate=estimate)))
        await books.ledger.sent("att_000001", START_MICROS + 5)
        books.ledger.checkpoint("att_000001", Progress(30, 240, START_MICROS + 7 * 86_400_000_000))
        await books.ledger.hold(opening(2))
    async with open_books(tmp_path) as books:
        await books.ledger.recover()
        attempt = await books.attempt("att_000001")
    usage = Usage(input_fresh=estimate, output_text=30, source="counted")
    assert (attempt.usage, attempt.lines) == (usage, price_lines(usage, VARIED, held.at_micros))
    assert attempt.lines[0].price_pico == rates[TokenClass.INPUT_FRESH] * 3
    assert PRICE.is_plain
