"""Shadow sampling around real turns: the caller notices nothing, and what it may cost is never passed."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import pytest

from headrace.domain.access import OPERATOR_ACCOUNT
from headrace.domain.call import Call
from headrace.domain.catalog import AVAILABLE, Availability, Listed
from headrace.domain.plan import Plan
from headrace.domain.receipt import Receipt
from headrace.domain.router import Shadow
from headrace.domain.shadow import ShadowAnswer
from headrace.domain.snapshot import Snapshot
from headrace.services import shadow_sink
from headrace.services.shadows import BLOB, MOST_RUNNING, ShadowParts, Shadows, blob_owner
from headrace.services.tasks import Tasks
from headrace.services.turn import run_turn
from headrace.testing.openai_replies import Chat, chat_reply, chat_stream, error_reply
from headrace.testing.script import Reply
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.nouns import CALLER, PROVIDER, a_model, a_price, a_target, call_of
from tests.fakes.routed import MemoryDecisions, a_request, a_routing
from tests.fakes.routers import SUPPORT
from tests.fakes.shadows import MemoryShadows
from tests.fakes.turn_world import FakeSink, World

pytestmark = pytest.mark.anyio

ANSWERS, ECHO = chat_reply(Chat("Take two.")), chat_reply(Chat("Take three."))
AWAY = Availability(False, "no_credential", "Its provider has no key.", "Set one.")
SHADOW = Shadow("large", 1.0, 10**9)
PICTURE = {"type": "image_url", "image_url": {"url": "https://a.example/b.png"}}
TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}
NOT_TEXT: tuple[dict[str, Any], ...] = (
    {"tools": [TOOL]},
    {"n": 2},
    {"messages": [{"role": "user", "content": [PICTURE]}]},
)


@dataclass
class MemoryCosts:
    """Receipts as far as their cost goes."""

    asked: list[str] = field(default_factory=list[str])
    cost_nano: int = 77

    async def get(self, request_id: str, key_id: str | None) -> Receipt | None:
        self.asked.append(request_id)
        return _Cost(self.cost_nano)  # type: ignore[return-value] - its cost is all that is read

    async def recent(self, key_id: str | None, limit: int) -> tuple[Receipt, ...]:
        return ()


@dataclass
class _Cost:
    cost_nano: int


class Reached(asyncio.Event):
    """An event that tells when it is waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = asyncio.Event()

    async def wait(self) -> Literal[True]:
        self.reached.set()
        return await super().wait()


class Sampled:
    """A router with a shadow, and turns that go through both."""

    def __init__(self, shadow: Shadow | None = SHADOW, *, is_there: bool = True) -> None:
        self.world = World()
        self.store = MemoryShadows()
        self.blobs = MemoryBlobs(self.world.clock)
        self.costs = MemoryCosts()
        self.decisions = MemoryDecisions()
        self.failed: list[BaseException] = []
        self.tasks = Tasks(lambda _, error: self.failed.append(error))
        router = replace(SUPPORT, shadow=shadow)
        models = {
            "one": (Listed(a_model("one"), a_price(), AVAILABLE),),
            "large": (Listed(a_model("large"), a_price(), AVAILABLE if is_there else AWAY),),
        }
        snapshot = Snapshot(1, models, {"acme": PROVIDER}, {}, routers={"support": router})
        parts = ShadowParts(
            turn=self.world.parts,
            current=lambda: snapshot,
            store=self.store,
            blobs=self.blobs,
            decisions=self.decisions,
            receipts=self.costs,
            tasks=self.tasks,
            keep_days=30,
        )
        self.shadows = Shadows(parts)

    def call(self, request_id: str = "req_1", **more: Any) -> Call:
        body = {"model": "router:support", "messages": [{"role": "user", "content": "How many?"}], **more}
        return replace(call_of(json.loads(json.dumps(body))), request_id=request_id)

    async def ask(self, call: Call, *replies: Reply, plan: Plan | None = None) -> FakeSink:
        """Answer a call as the hot routes do."""
        for reply in replies:
            self.world.answer_reply(reply)
        decision = a_routing("refund")
        served = a_request(call.request_id, decision, served_by="one")
        self.decisions.requests.append(served)
        sink = FakeSink(self.world.events)
        planned = plan or Plan("router:support", (a_target(a_model("one")),), (), decision)
        await run_turn(self.world.parts, call, planned, self.shadows.over(call, planned, sink))
        return sink

    async def settled(self) -> None:
        """Let every shadow end."""
        await asyncio.gather(*self.shadows.running, return_exceptions=True)

    def answer(self, request_id: str = "req_1") -> ShadowAnswer:
        return self.store.answers[request_id]


async def test_a_sampled_request_is_answered_again_after_its_caller() -> None:
    sampled = Sampled()
    sink = await sampled.ask(sampled.call(), ANSWERS, ECHO)
    assert b"Take two." in sink.body
    assert (len(sampled.world.transport.sent), sampled.store.answers) == (1, {}), "the caller has it, the shadow not"
    await sampled.settled()
    answer = sampled.answer()
    assert (answer.state, answer.failure, answer.served_by, answer.reference) == ("kept", None, "one", "large")
    assert (answer.router_uuid, answer.route, answer.amount_nano) == (SUPPORT.uuid, "refund", 77)
    assert sampled.costs.asked == [answer.shadow_request_id]
    [first, second] = sampled.world.ledger.openings
    assert (first.request.key_id, first.request.request_id) == (CALLER.key_id, "req_1")
    asked = second.request
    assert (asked.key_name, asked.account, asked.tags, asked.requested_model) == (
        "shadow",
        OPERATOR_ACCOUNT,
        ("shadow",),
        "large",
    )
    assert asked.decision is None
    assert json.loads(sampled.world.transport.sent[1][1].body)["model"] == "upstream-large"
    content, expires = sampled.blobs.kept[blob_owner(SUPPORT.uuid), BLOB, "req_1"]
    assert json.loads(content) == {"asked": "user: How many?", "answer": "Take two.", "reference": "Take three."}
    assert expires == answer.made_at_micros + 30 * 86_400_000_000
    sampled.world.check_books()
    assert sampled.failed == []


async def test_a_stream_is_heard_too() -> None:
    sampled = Sampled()
    stream, echo = chat_stream(Chat("Take two.")), chat_stream(Chat("Take three."))
    sink = await sampled.ask(sampled.call(stream=True), stream, echo)
    assert sink.body.endswith(b"data: [DONE]\n\n")
    await sampled.settled()
    [(content, _)] = sampled.blobs.kept.values()
    assert json.loads(content)["answer"] == "Take two."
    assert json.loads(content)["reference"] == "Take three."


@pytest.mark.parametrize("more", NOT_TEXT)
async def test_what_is_not_text_alone_is_not_compared(more: dict[str, Any]) -> None:
    sampled = Sampled()
    call = sampled.call(**more)
    sink = FakeSink([])
    assert sampled.shadows.over(call, Plan("x", (), (), a_routing("refund")), sink) is sink


@pytest.mark.parametrize(
    ("shadow", "plan"),
    [
        (None, Plan("x", (), (), a_routing("refund"))),
        (Shadow("large", 0.0000001, 10**9), Plan("x", (), (), a_routing("refund"))),
        (SHADOW, Plan("x", ())),
        (SHADOW, Plan("x", (), (), a_routing("refund", router="deleted"))),
    ],
)
async def test_what_is_not_sampled_goes_through_the_very_same_sink(shadow: Shadow | None, plan: Plan) -> None:
    sampled = Sampled(shadow)
    sink = FakeSink([])
    assert sampled.shadows.over(sampled.call(), plan, sink) is sink


async def test_a_call_that_names_a_model_is_never_shadowed_so_no_shadow_is() -> None:
    sampled = Sampled()
    await sampled.ask(sampled.call(), ANSWERS, ECHO)
    await sampled.settled()
    assert len(sampled.world.transport.sent) == 2
    assert list(sampled.store.answers) == ["req_1"]


async def test_the_reference_itself_is_not_compared_with_itself() -> None:
    sampled = Sampled(Shadow("one", 1.0, 10**9))
    await sampled.ask(sampled.call(), ANSWERS)
    await sampled.settled()
    assert (len(sampled.world.transport.sent), sampled.store.answers) == (1, {})


async def test_nothing_is_asked_that_the_days_budget_does_not_hold() -> None:
    sampled = Sampled(replace(SHADOW, max_nano_per_day=1_500))
    sampled.costs.cost_nano = 1_400
    await sampled.ask(sampled.call("req_1"), ANSWERS, ECHO)
    await sampled.settled()
    bound = sampled.world.ledger.openings[1].bound.amount_nano
    assert bound < 1_500 < 2 * bound
    await sampled.ask(sampled.call("req_2"), ANSWERS)
    await sampled.settled()
    assert list(sampled.store.answers) == ["req_1"], "what the first cost leaves no room for the bound of another"
    sampled.world.clock.advance(86_400)
    await sampled.ask(sampled.call("req_3"), ANSWERS, ECHO)
    await sampled.settled()
    assert list(sampled.store.answers) == ["req_1", "req_3"]


async def test_a_failure_of_the_reference_is_noted_and_nobody_hears_of_it() -> None:
    sampled = Sampled()
    sink = await sampled.ask(sampled.call(), ANSWERS, error_reply(400, "no"))
    await sampled.settled()
    assert (sink.status, sampled.answer().state) == (200, "failed")
    assert sampled.answer().failure is not None
    assert (sampled.blobs.kept, sampled.failed) == ({}, [])


async def test_a_reference_that_is_not_there_is_noted() -> None:
    sampled = Sampled(is_there=False)
    await sampled.ask(sampled.call(), ANSWERS)
    await sampled.settled()
    answer = sampled.answer()
    assert (answer.state, answer.failure, answer.amount_nano) == ("failed", "model_unavailable", 0)
    none_left = Sampled(replace(SHADOW, max_nano_per_day=0), is_there=False)
    none_left.store.answers["other"] = replace(answer, request_id="other", amount_nano=1)
    await none_left.ask(none_left.call(), ANSWERS)
    await none_left.settled()
    assert list(none_left.store.answers) == ["other"]


@pytest.mark.parametrize("said", ["", "x" * 40])
async def test_answers_without_text_or_too_long_are_not_kept(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sampled = Sampled()
    await sampled.ask(sampled.call(), ANSWERS, chat_reply(Chat(said or " ")))
    monkeypatch.setattr(shadow_sink, "MAX_HEARD_BYTES", 20 if said else 1_000_000)
    await sampled.settled()
    if said:
        assert sampled.answer().failure == "nothing_to_compare"
    else:
        assert sampled.answer().state == "kept"


async def test_a_reply_that_is_too_long_is_passed_on_and_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shadow_sink, "MAX_HEARD_BYTES", 20)
    sampled = Sampled()
    sink = await sampled.ask(sampled.call(), ANSWERS)
    await sampled.settled()
    assert b"Take two." in sink.body
    assert sampled.store.answers == {}


async def test_a_request_that_nobody_settled_is_not_compared() -> None:
    sampled = Sampled()
    sink = FakeSink([])
    plan = Plan("router:support", (a_target(a_model("one")),), (), a_routing("refund"))
    heard = sampled.shadows.over(sampled.call(), plan, sink)
    await heard.start(200, ())
    await heard.end(b"{}")
    await sampled.settled()
    failing = sampled.shadows.over(sampled.call(), plan, FakeSink([]))
    await failing.start(502, ())
    await failing.end(b"{}")
    broken = sampled.shadows.over(sampled.call(), plan, FakeSink([]))
    assert (broken.started, broken.gone, broken.departure) == (False, False, None)
    await broken.start(200, ())
    await broken.break_off(b"data: half")
    assert not sampled.shadows.running
    assert sampled.store.answers == {}


async def test_only_a_few_run_at_once_and_the_others_are_left_out() -> None:
    sampled = Sampled()
    for number in range(MOST_RUNNING + 2):
        plan = Plan("router:support", (a_target(a_model("one")),), (), a_routing("refund"))
        sampled.decisions.requests.append(a_request(f"req_{number}", a_routing("refund"), served_by="one"))
        heard = sampled.shadows.over(sampled.call(f"req_{number}"), plan, FakeSink([]))
        await heard.start(200, ())
        sampled.world.answer(asyncio.Event())
        await heard.end(b"{}")
    assert len(sampled.shadows.running) == MOST_RUNNING
    sampled.shadows.stop()
    await sampled.settled()


async def test_none_begins_and_none_goes_on_while_the_process_ends() -> None:
    sampled = Sampled()
    await sampled.ask(sampled.call(), ANSWERS)
    gate = Reached()
    sampled.world.answer(gate)
    await gate.reached.wait()
    sampled.shadows.stop()
    await sampled.settled()
    assert sampled.answer().state == "running", "what was reserved for it goes on to count"
    sampled.world.check_books()
    sink = FakeSink([])
    plan = Plan("router:support", (), (), a_routing("refund"))
    assert sampled.shadows.over(sampled.call("req_2"), plan, sink) is sink
    late = Sampled()
    heard = late.shadows.over(late.call(), plan, sink)
    late.shadows.stop()
    await heard.start(200, ())
    await heard.end(b"{}")
    assert not late.shadows.running
