"""The contract of the ledger's port, run over every driver."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from headrace.domain.books import Held, Progress, Refused
from headrace.domain.errors import Conflict
from headrace.domain.plan import Excluded
from headrace.domain.price import price_lines
from headrace.domain.usage import TokenClass, UnitClass, Usage
from tests.contract.ledger_books import (
    LEDGERS,
    PRICE,
    RATES,
    SCOPES,
    START_MICROS,
    OpenBooks,
    charge_of,
    opening,
    settlement,
    void,
)

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(20)]


@pytest.fixture(params=LEDGERS)
def open_books(request: pytest.FixtureRequest) -> OpenBooks:
    factory: OpenBooks = request.param
    return factory


async def test_an_attempt_is_held_sent_and_settled(open_books: OpenBooks, tmp_path: Path) -> None:
    async with open_books(tmp_path) as books:
        first = opening(1)
        assert await books.ledger.hold(first) == Held("att_000001")
        held = await books.attempt("att_000001")
        assert (held.state, held.usage, held.lines, held.ended_at_micros) == ("held", None, (), None)
        assert (held.scopes, held.bound_nano, held.identity) == (SCOPES, first.bound.amount_nano, "small-v1")
        for scope in SCOPES:
            assert await books.ledger.balance(scope) == (None, first.bound.amount_nano, 0)

        await books.ledger.sent("att_000001", START_MICROS + 5)
        assert (await books.attempt("att_000001")).state == "sent"

        settled = settlement("att_000001")
        await books.ledger.settle(settled)
        for scope in SCOPES:
            assert await books.ledger.balance(scope) == (None, 0, charge_of(settled))
        async with books.audit() as broken:
            assert broken == []


async def test_a_receipt_gives_back_what_was_booked(open_books: OpenBooks, tmp_path: Path) -> None:
    rare_tokens = tuple((each, 3) for each in tuple(TokenClass)[6:])
    usage = Usage(700, 90, 5, 5, 40, 10, "counted", "total_mismatch", (*rare_tokens, (UnitClass.SEARCH, 2)))
    async with open_books(tmp_path) as books:
        await books.ledger.hold(opening(1))
        await books.ledger.sent("att_000001", START_MICROS + 5)
        settled = replace(settlement("att_000001", usage), error_code="client_closed", ending="client_closed")
        await books.ledger.settle(settled)
        receipt = await books.receipts.get("req_000001", None)
    assert receipt is not None
    assert (receipt.status, receipt.served_by, receipt.stream, receipt.key_name) == (200, "small", True, "web")
    (attempt,) = receipt.attempts
    assert attempt.usage == usage
    assert attempt.lines == price_lines(usage, PRICE, 0)
    assert [line.kind for line in attempt.lines] == [name.value for name in TokenClass]
    assert attempt.charge_nano == charge_of(settled) == attempt.cost_nano
    assert attempt.rates_pico == {name.value: pico for name, pico in RATES.items()}
    assert (attempt.price_version, attempt.price_source) == (PRICE.id, PRICE.source)
    assert (attempt.state, attempt.ending, attempt.error_code) == ("settled", "client_closed", "client_closed")
    assert (attempt.upstream_status, attempt.upstream_request_id, attempt.delivered_bytes) == (200, "up_1", 512)
    assert (attempt.held_at_micros, attempt.first_event_at_micros, attempt.ended_at_micros) == (
        START_MICROS + 1,
        START_MICROS + 10,
        START_MICROS + 20,
    )


async def test_cost_stands_without_a_charge(open_books: OpenBooks, tmp_path: Path) -> None:
    async with open_books(tmp_path) as books:
        await books.ledger.hold(opening(1))
        await books.ledger.sent("att_000001", START_MICROS)
        await books.ledger.settle(settlement("att_000001", charged=False))
        attempt = await books.attempt("att_000001")
        assert attempt.charge_nano == 0 < attempt.cost_nano
        assert await books.ledger.balance("key:k1") == (None, 0, 0)


async def test_a_markup_makes_charge_differ_from_cost(open_books: OpenBooks, tmp_path: Path) -> None:
    dear = replace(PRICE, id="acme/small@2026-01-01#2", markup_ppm=1_250_000)
    usage = Usage(input_fresh=10, output_text=3)
    async with open_books(tmp_path) as books:
        await books.ledger.hold(replace(opening(1), price=dear))
        await books.ledger.settle(replace(settlement("att_000001"), lines=price_lines(usage, dear, 0)))
        attempt = await books.attempt("att_000001")
    assert (attempt.cost_nano, attempt.charge_nano) == (500 + 600, 625 + 750)


@pytest.mark.parametrize("first", ["settle", "void"])
@pytest.mark.parametrize("second", ["settle", "void", "sent"])
async def test_a_second_end_is_refused_and_changes_nothing(
    open_books: OpenBooks, tmp_path: Path, first: str, second: str
) -> None:
    async with open_books(tmp_path) as books:
        await books.ledger.hold(opening(1))
        await books.ledger.sent("att_000001", START_MICROS)
        await (
            books.ledger.settle(settlement("att_000001"))
            if first == "settle"
            else books.ledger.void(void("att_000001"))
        )
        before = (await books.attempt("att_000001"), await books.ledger.balance("platform"))
        with pytest.raises(Conflict):
            if second == "settle":
                await books.ledger.settle(settlement("att_000001", Usage(input_fresh=1)))
            elif second == "void":
                await books.ledger.void(void("att_000001"))
            else:
                await books.ledger.sent("att_000001", START_MICROS + 9)
        assert (await books.attempt("att_000001"), await books.ledger.balance("platform")) == before
        async with books.audit() as broken:
            assert broken == []


async def test_of_many_settlements_at_once_one_is_booked(open_books: OpenBooks, tmp_path: Path) -> None:
    async with open_books(tmp_path) as books:
        await books.ledger.hold(opening(1))
        ends = [books.ledger.settle(settlement("att_000001")) for _ in range(20)]
        outcomes = await asyncio.gather(*ends, return_exceptions=True)
        assert sorted(type(each).__name__ for each in outcomes) == ["Conflict"] * 19 + ["NoneType"]
        assert await books.ledger.balance("platform") == (None, 0, charge_of(settlement("att_000001")))


async def test_an_unknown_attempt_cannot_be_ended(open_books: OpenBooks, tmp_path: Path) -> None:
    async with open_books(tmp_path) as books:
        with pytest.raises(Conflict):
            await books.ledger.settle(settlement("att_000009"))
        with pytest.raises(Conflict):
            await books.ledger.void(void("att_000009"))
        with pytest.raises(Conflict):
            await books.ledger.sent("att_000009", START_MICROS)


async def test_the_same_attempt_is_not_held_twice(open_books: OpenBooks, tmp_path: Path) -> None:
    async with open_books(tmp_path) as books:
        await books.ledger.hold(opening(1))
        other = opening(2)
        outcomes = await asyncio.gather(books.ledger.hold(opening(1)), books.ledger.hold(other), return_exceptions=True)
        assert isinstance(outcomes[0], Conflict)
        assert outcomes[1] == Held("att_000002")
        assert await books.ledger.balance("platform") == (None, 2 * other.bound.amount_nano, 0)


async def test_a_void_releases_the_hold_without_a_charge(open_books: OpenBooks, tmp_path: Path) -> None:
    async with open_books(tmp_path) as books:
        await books.ledger.hold(opening(1))
        await books.ledger.void(replace(void("att_000001", possible_spend=True), request_status=429))
        attempt = await books.attempt("att_000001")
        assert (attempt.state, attempt.usage, attempt.lines) == ("voided", None, ())
        assert (attempt.error_code, attempt.upstream_status, attempt.possible_spend) == (
            "upstream_rate_limited",
            429,
            True,
        )
        receipt = await books.receipts.get("req_000001", None)
        assert receipt is not None
        assert (receipt.status, receipt.served_by) == (429, None)
        assert await books.ledger.balance("platform") == (None, 0, 0)


async def test_a_request_has_turns_and_attempts_in_order(open_books: OpenBooks, tmp_path: Path) -> None:
    async with open_books(tmp_path) as books:
        first = opening(1)
        places = [("att_c", 1, 0), ("att_b", 0, 1), ("att_a", 0, 0)]
        for name, turn_index, attempt_index in places:
            await books.ledger.hold(replace(first, attempt_id=name, turn_index=turn_index, attempt_index=attempt_index))
        await books.ledger.hold(
            replace(first, attempt_id="att_d", turn_index=1, attempt_index=1, parent_attempt_id="att_c")
        )
        receipt = await books.receipts.get("req_000001", None)
    assert receipt is not None
    assert [each.attempt_id for each in receipt.attempts] == ["att_a", "att_b", "att_c", "att_d"]
    assert receipt.attempts[3].parent_attempt_id == "att_c"


async def test_a_receipt_says_what_the_plan_left_out(open_books: OpenBooks, tmp_path: Path) -> None:
    blind = Excluded("blind", "acme", "unsupported_by_model", '"blind" cannot do what this request needs.')
    gone = Excluded("gone", "", "model_not_found", "Le modèle « gone » manque.")
    async with open_books(tmp_path) as books:
        for number, excluded in ((1, (blind, gone, blind)), (2, ())):
            request = replace(opening(number).request, excluded=excluded)
            await books.ledger.hold(replace(opening(number), request=request))
        told = [await books.receipts.get(f"req_00000{number}", None) for number in (1, 2)]
    assert [receipt and receipt.excluded for receipt in told] == [(blind, gone), ()]


async def test_a_refusal_names_the_least_left_and_holds_nothing(open_books: OpenBooks, tmp_path: Path) -> None:
    async with open_books(tmp_path) as books:
        first = opening(1, scopes=("platform", "team:a", "key:k1"))
        amount = first.bound.amount_nano
        await books.ledger.set_limit("team:a", amount + 5)
        await books.ledger.set_limit("key:k1", 0)
        assert await books.ledger.hold(first) == Refused("key:k1", 0, 0)
        await books.ledger.set_limit("team:a", 5)
        await books.ledger.set_limit("key:k1", 6)
        assert await books.ledger.hold(first) == Refused("team:a", 5, 5)
        await books.ledger.set_limit("team:a", amount + 5)
        assert await books.receipts.get("req_000001", None) is None
        await books.ledger.set_limit("key:k1", None)
        assert await books.ledger.hold(first) == Held("att_000001")
        second = opening(2, scopes=("platform", "team:a", "key:k1"))
        assert await books.ledger.hold(second) == Refused("team:a", amount + 5, 5)
        assert await books.ledger.balance("platform") == (None, amount, 0)
        assert await books.ledger.balance("key:k1") == (None, amount, 0)


async def test_a_limit_counts_what_is_spent_and_may_lie_under_it(open_books: OpenBooks, tmp_path: Path) -> None:
    async with open_books(tmp_path) as books:
        await books.ledger.hold(opening(1))
        await books.ledger.settle(settlement("att_000001"))
        spent = charge_of(settlement("att_000001"))
        await books.ledger.set_limit("platform", spent - 1)
        assert await books.ledger.hold(opening(2)) == Refused("platform", spent - 1, 0)
        free = opening(3, input_tokens=0, output_tokens=0)
        cheap = replace(free, bound=replace(free.bound, amount_nano=0))
        await books.ledger.set_limit("platform", spent)
        assert await books.ledger.hold(cheap) == Held("att_000003")


async def test_five_hundred_holds_at_once_never_pass_a_limit(open_books: OpenBooks, tmp_path: Path) -> None:
    async with open_books(tmp_path) as books:
        amount = opening(0).bound.amount_nano
        await books.ledger.set_limit("key:k1", 50 * amount)
        outcomes = await asyncio.gather(*(books.ledger.hold(opening(number)) for number in range(500)))
        assert sum(isinstance(each, Held) for each in outcomes) == 50
        assert {each for each in outcomes if isinstance(each, Refused)} == {Refused("key:k1", 50 * amount, 0)}
        assert await books.ledger.balance("key:k1") == (50 * amount, 50 * amount, 0)
        assert await books.ledger.balance("platform") == (None, 50 * amount, 0)


async def test_an_upstream_that_bills_more_than_the_hold_is_booked_in_full(
    open_books: OpenBooks, tmp_path: Path
) -> None:
    async with open_books(tmp_path) as books:
        first = opening(1)
        await books.ledger.set_limit("platform", first.bound.amount_nano)
        await books.ledger.hold(first)
        bill = settlement("att_000001", Usage(input_fresh=50_000, output_text=5_000))
        assert charge_of(bill) > first.bound.amount_nano
        await books.ledger.settle(bill)
        assert await books.ledger.balance("platform") == (first.bound.amount_nano, 0, charge_of(bill))
        assert await books.ledger.hold(opening(2)) == Refused("platform", first.bound.amount_nano, 0)
        async with books.audit() as broken:
            assert broken == []


async def test_a_cancelled_waiter_leaves_no_hold(open_books: OpenBooks, tmp_path: Path) -> None:
    async with open_books(tmp_path) as books:
        waiting = asyncio.ensure_future(books.ledger.hold(opening(1)))  # noqa: TID251 - cancelled on purpose
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await books.ledger.hold(opening(2))
        attempt = await books.attempt("att_000001")
        assert (attempt.state, attempt.error_code, attempt.possible_spend) == ("voided", "abandoned", False)
        assert await books.ledger.balance("platform") == (None, opening(2).bound.amount_nano, 0)


async def test_recovery_settles_what_was_delivered_at_the_last_checkpoint(
    open_books: OpenBooks, tmp_path: Path
) -> None:
    async with open_books(tmp_path) as books:
        await books.ledger.hold(opening(1))
        await books.ledger.sent("att_000001", START_MICROS + 5)
        for tokens in (10, 20, 30):
            books.ledger.checkpoint("att_000001", Progress(tokens, tokens * 8, START_MICROS + tokens))
        await books.ledger.hold(opening(2))
    async with open_books(tmp_path) as books:
        report = await books.ledger.recover()
        assert (report.epochs, report.settled, report.voided, report.integrity) == (1, 1, 1, "ok")
        attempt = await books.attempt("att_000001")
        usage = Usage(input_fresh=250, output_text=30, source="counted")
        assert (attempt.usage, attempt.lines) == (usage, price_lines(usage, PRICE, 0))
        assert (attempt.state, attempt.ending, attempt.delivered_bytes) == ("settled", "recovered", 240)
        assert (attempt.ended_at_micros, attempt.possible_spend) == (START_MICROS + 30, False)
        assert (await books.ledger.balance("platform"))[1:] == (0, attempt.charge_nano)
        async with books.audit() as broken:
            assert broken == []


async def test_recovery_charges_no_more_output_than_was_held(open_books: OpenBooks, tmp_path: Path) -> None:
    held = opening(1)
    async with open_books(tmp_path) as books:
        await books.ledger.set_limit("platform", held.bound.amount_nano)
        await books.ledger.hold(held)
        await books.ledger.sent("att_000001", START_MICROS + 5)
        books.ledger.checkpoint("att_000001", Progress(held.bound.output_tokens * 50, 90_000, START_MICROS + 9))
        await books.ledger.hold(opening(2))
    async with open_books(tmp_path) as books:
        await books.ledger.recover()
        attempt = await books.attempt("att_000001")
        assert (attempt.usage and attempt.usage.output_text) == held.bound.output_tokens
        assert 0 < attempt.charge_nano <= held.bound.amount_nano


async def test_recovery_charges_nothing_for_what_was_not_delivered(open_books: OpenBooks, tmp_path: Path) -> None:
    async with open_books(tmp_path) as books:
        await books.ledger.hold(opening(1))
        await books.ledger.sent("att_000001", START_MICROS + 5)
        await books.ledger.hold(opening(2))
    async with open_books(tmp_path) as books:
        await books.ledger.recover()
        sent, held = await books.attempt("att_000001"), await books.attempt("att_000002")
        assert (sent.state, sent.charge_nano, sent.possible_spend) == ("settled", 0, True)
        assert sent.cost_nano == 250 * 50
        assert (held.state, held.possible_spend, held.error_code) == ("voided", True, "recovered")
        assert await books.ledger.balance("platform") == (None, 0, 0)


async def test_recovery_repeats_harmlessly_and_leaves_this_process_alone(open_books: OpenBooks, tmp_path: Path) -> None:
    async with open_books(tmp_path) as books:
        await books.ledger.hold(opening(1))
    async with open_books(tmp_path) as books:
        await books.ledger.hold(opening(2))
        assert (await books.ledger.recover()).voided == 1
        again = await books.ledger.recover()
        assert (again.epochs, again.settled, again.voided) == (0, 0, 0)
        assert (await books.attempt("att_000002")).state == "held"


async def test_receipts_are_seen_by_their_key_only(open_books: OpenBooks, tmp_path: Path) -> None:
    async with open_books(tmp_path) as books:
        for number in range(1, 6):
            made = opening(number)
            key_id = "k1" if number % 2 else "k2"
            await books.ledger.hold(replace(made, request=replace(made.request, key_id=key_id)))
        assert await books.receipts.get("req_000002", "k1") is None
        assert await books.receipts.get("req_000099", None) is None
        mine = await books.receipts.get("req_000002", "k2")
        assert mine is not None
        newest = await books.receipts.recent("k1", 2)
        everything = await books.receipts.recent(None, 100)
    assert [each.request_id for each in newest] == ["req_000005", "req_000003"]
    assert [each.request_id for each in everything] == [f"req_{number:06d}" for number in (5, 4, 3, 2, 1)]
