"""Turns whose answers are priced by the piece: what is held before, and what is booked after."""

from dataclasses import replace

import pytest

from headrace.domain.call import Operation
from headrace.domain.catalog import ModelKind
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.plan import Plan
from headrace.domain.price import Rates, ServiceTier, in_service_tier
from headrace.domain.usage import TokenClass, UnitClass
from headrace.services.turn import run_turn
from headrace.testing.openai_replies import Chat, chat_reply
from headrace.wire.json_strict import encode
from tests.fakes.nouns import a_call, a_model, a_plan, a_price, a_target
from tests.fakes.turn_world import World
from tests.unit.services.test_metering_pieces import piece

pytestmark = pytest.mark.anyio


def plan(kind: ModelKind, rates: Rates) -> Plan:
    """The plan of a model with these rates."""
    model = replace(a_model(kind=kind), max_output_tokens=0, default_output_tokens=0)
    return a_plan(a_target(model, replace(a_price(), rates_pico=rates)))


async def booked(call: Operation, body: JsonObject, answer: JsonValue, rates: Rates) -> tuple[int, list[list[object]]]:
    """Serve one call; returns what was held, and the lines that were booked."""
    world = World()
    world.answer(encode(answer), headers={"content-type": "application/json"})
    await run_turn(world.parts, piece(call, **body), plan(ModelKind(KINDS[call]), rates), world.sink)
    world.check_books()
    [settlement] = world.settlements
    [opening] = world.ledger.openings
    return opening.bound.amount_nano, [[line.kind, line.quantity, line.charge_nano] for line in settlement.lines]


KINDS = {Operation.IMAGES: "image", Operation.RERANK: "rerank", Operation.SPEECH: "speech"}


async def test_images_that_came_are_billed_and_not_those_that_were_asked_for() -> None:
    answer: JsonValue = {"data": [{"b64_json": "aGk="}, {"b64_json": "aGk="}]}
    body: JsonObject = {"prompt": "A cat", "n": 3}
    held, lines = await booked(Operation.IMAGES, body, answer, {UnitClass.IMAGE: 65_000_000_000})
    assert lines == [["image", 2, 130_000_000]]
    assert 195_000_000 <= held < 195_000_100


async def test_reranking_is_billed_by_the_search_units_of_the_answer() -> None:
    answer: JsonValue = {"results": [{"index": 0}], "meta": {"billed_units": {"search_units": 1}}}
    body: JsonObject = {"query": "q", "documents": [*("a" * 150)]}
    held, lines = await booked(Operation.RERANK, body, answer, {UnitClass.SEARCH: 2_000_000_000})
    assert lines == [["search", 1, 2_000_000]]
    assert 4_000_000 <= held < 4_000_100


async def test_speech_is_billed_by_the_characters_of_the_request() -> None:
    body: JsonObject = {"input": "Grüße", "voice": "v"}
    held, lines = await booked(Operation.SPEECH, body, "sound", {UnitClass.CHARACTER: 15_000_000})
    assert lines == [["character", 5, 75_000]]
    assert 75_000 <= held < 75_100


TIERED = replace(a_price(), service_tiers={"priority": ServiceTier(2_000_000, in_service_tier(a_price(), 2_000_000))})


@pytest.mark.parametrize(("tier", "times"), [("priority", 2), ("default", 1), (None, 1), ("unknown", 1)])
async def test_a_service_tier_is_held_and_billed_at_its_own_price(tier: str | None, times: int) -> None:
    world = World()
    world.answer_reply(chat_reply(Chat("one two", prompt_tokens=1_000)))
    await run_turn(world.parts, a_call(max_tokens=100, service_tier=tier), a_plan(a_target(price=TIERED)), world.sink)
    world.check_books()
    [settlement], [opening] = world.settlements, world.ledger.openings
    assert [line.price_pico for line in settlement.lines] == [1_000 * times, 4_000 * times]
    assert opening.price.rates_pico[TokenClass.INPUT_FRESH] == 1_000 * times
    assert opening.bound.amount_nano >= times * (opening.bound.input_tokens + 4 * 100)
    [(_, sent)] = world.transport.sent
    assert sent.service_tier == ("priority" if times == 2 else None)
    assert ("service_tier" in sent.dropped) is (tier == "unknown")
