"""Taking a hold: what a budget that clamps does to the request that goes out and to what the caller is told."""

from dataclasses import replace

import pytest

from headrace.domain.books import Held, Opening, Refused
from headrace.domain.budget import Budget, BudgetMode, Window
from headrace.domain.errors import PaymentRequired
from headrace.domain.plan import Deadlines, Endpoint
from headrace.domain.price import bound_nano
from headrace.domain.snapshot import Snapshot
from headrace.drivers.providers.openai import OpenAiAdapter
from headrace.ports.upstream import Prepared, Transport
from headrace.services.metering import bound_of
from headrace.services.turn import run_turn
from headrace.testing.clock import FakeClock
from headrace.testing.openai_replies import Chat, chat_reply, chat_stream
from headrace.wire.json_strict import decode_object
from tests.fakes.nouns import a_call, a_plan, a_target
from tests.fakes.turn_world import FakeLedger, World

pytestmark = pytest.mark.anyio

CLAMPING = Budget("bud_1", "platform", Window.TOTAL, "UTC", 0, BudgetMode.CLAMP, 0, 0)
STRICT = replace(CLAMPING, id="bud_2", mode=BudgetMode.REJECT)
CAP = 100


class LimitedLedger(FakeLedger):
    """Refuses a hold over what its scopes have left."""

    def __init__(self, events: list[str], left: dict[str, int]) -> None:
        super().__init__(events)
        self.left = left

    async def hold(self, opening: Opening) -> Held | Refused:
        for scope in opening.scopes:
            left = self.left.get(scope)
            if left is not None and opening.bound.amount_nano > left:
                return Refused(scope, left, left)
        return await super().hold(opening)


def world_with(*budgets: Budget, left: int, **others: int) -> World:
    """A world whose budgets have so much left; `others` by id have less."""
    world = World()
    ledger = LimitedLedger(world.events, {each.span_at(0).scope: others.get(each.id, left) for each in budgets})
    world.ledger = ledger
    world.parts = replace(world.parts, ledger=ledger)
    world.parts.budgets.follow(Snapshot(1, models={}, providers={}, keys={}, budgets=budgets))
    return world


def money_for(output_tokens: int) -> int:
    """What a hold of the call below costs with so much output."""
    target = a_target()
    prompt = bound_of(a_call(max_tokens=1000), target, len(sent_body(1000))).input_tokens
    return bound_nano(target.price, prompt, output_tokens)


def sent_body(cap: int) -> bytes:
    adapter = World().parts.adapters["openai"]
    return adapter.prepare(a_call(max_tokens=cap), a_target()).body


async def test_a_clamped_request_goes_out_with_the_smaller_cap_and_says_so() -> None:
    world = world_with(CLAMPING, left=money_for(CAP))
    world.answer_reply(chat_reply("Hello."))
    await run_turn(world.parts, a_call(max_tokens=1000), a_plan(), world.sink)
    (_, prepared) = world.transport.sent[0]
    assert decode_object(prepared.body)["max_tokens"] == CAP
    assert world.sink.headers["x-headrace-clamped"] == f"max_tokens={CAP}"
    assert world.ledger.openings[0].bound.output_tokens == CAP
    world.check_books()


async def test_a_stream_tells_in_its_end_too() -> None:
    world = world_with(CLAMPING, left=money_for(CAP))
    world.answer_reply(chat_stream(Chat("Hello.")))
    call = a_call(max_tokens=1000, stream=True, stream_options={"include_usage": True})
    await run_turn(world.parts, call, a_plan(), world.sink)
    cap = int(str(decode_object(world.transport.sent[0][1].body)["max_tokens"]))
    assert 0 < cap < CAP, "the longer prompt leaves less"
    assert f'"clamped_output_tokens":{cap}'.encode() in world.sink.body
    assert world.sink.headers["x-headrace-clamped"] == f"max_tokens={cap}"


async def test_the_default_cap_is_clamped_where_the_caller_gave_none() -> None:
    world = world_with(CLAMPING, left=money_for(CAP))
    world.answer_reply(chat_reply("Hello."))
    await run_turn(world.parts, a_call(), a_plan(), world.sink)
    assert CAP <= int(str(decode_object(world.transport.sent[0][1].body)["max_tokens"])) < 256


async def test_a_call_without_a_cap_goes_out_with_the_catalogs_default() -> None:
    world = world_with(CLAMPING, left=10**12)
    world.answer_reply(chat_reply("Hello."))
    await run_turn(world.parts, a_call(), a_plan(), world.sink)
    assert decode_object(world.transport.sent[0][1].body)["max_tokens"] == 256
    assert world.ledger.openings[0].bound.output_tokens == 256
    assert "x-headrace-clamped" not in world.sink.headers


class CountingAdapter(OpenAiAdapter):
    """Counts every prompt as so many tokens, and how often it was asked."""

    def __init__(self, tokens: int | None) -> None:
        super().__init__(FakeClock(), "max_tokens")
        self.tokens = tokens
        self.counted = 0

    async def count_prompt(
        self, transport: Transport, endpoint: Endpoint, prepared: Prepared, deadlines: Deadlines
    ) -> int | None:
        self.counted += 1
        return self.tokens


def counting(world: World, tokens: int | None) -> CountingAdapter:
    adapter = CountingAdapter(tokens)
    world.parts = replace(world.parts, adapters={"openai": adapter})
    return adapter


async def test_a_prompt_whose_bytes_do_not_fit_is_counted_once() -> None:
    world = world_with(STRICT, left=bound_nano(a_target().price, 5, 100))
    adapter = counting(world, 5)
    world.answer_reply(chat_reply("Hello."))
    await run_turn(world.parts, a_call(max_tokens=100), a_plan(), world.sink)
    assert (adapter.counted, world.ledger.openings[0].bound.input_tokens) == (1, 5)
    assert world.ledger.openings[0].bound.input_estimate == 5
    assert world.sink.status == 200
    world.check_books()


async def test_a_prompt_whose_bytes_fit_is_not_counted() -> None:
    world = world_with(STRICT, left=money_for(1000))
    adapter = counting(world, 5)
    world.answer_reply(chat_reply("Hello."))
    await run_turn(world.parts, a_call(max_tokens=1000), a_plan(), world.sink)
    assert adapter.counted == 0


@pytest.mark.parametrize("tokens", [None, 10**6])
async def test_a_count_that_helps_nothing_leaves_the_refusal(tokens: int | None) -> None:
    world = world_with(STRICT, left=100)
    adapter = counting(world, tokens)
    with pytest.raises(PaymentRequired):
        await run_turn(world.parts, a_call(max_tokens=100), a_plan(), world.sink)
    assert adapter.counted == 1
    world.check_books()


async def test_what_clamping_cannot_help_is_refused() -> None:
    alone = world_with(CLAMPING, left=money_for(0))
    for world in (alone, world_with(CLAMPING, STRICT, left=money_for(CAP), bud_2=money_for(1))):
        with pytest.raises(PaymentRequired) as refused:
            await run_turn(world.parts, a_call(max_tokens=1000), a_plan(), world.sink)
        assert refused.value.code == "budget_exceeded"
        assert world.transport.sent == []
        world.check_books()


async def test_a_defect_before_there_is_a_hold_is_told_as_it_is_and_closes_nothing() -> None:
    class Broken(CountingAdapter):
        async def count_prompt(
            self, transport: Transport, endpoint: Endpoint, prepared: Prepared, deadlines: Deadlines
        ) -> int | None:
            raise ValueError("a defect")

    world = world_with(STRICT, left=0)
    world.parts = replace(world.parts, adapters={"openai": Broken(None)})
    with pytest.raises(ValueError, match="a defect"):
        await run_turn(world.parts, a_call(), a_plan(), world.sink)
    assert (world.ledger.openings, world.ledger.closings) == ([], [])
    assert world.events[-1] == "release"
