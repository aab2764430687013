"""Messages are sent until they are taken, under one id, through restarts, and a receiver that hangs delays nobody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace

import pytest

from headrace.domain.alert import AlertEvent, Metric
from headrace.domain.errors import HeadraceError, MeteringUnavailable, UpstreamTimeout
from headrace.domain.webhook import MOST_ATTEMPTS, Delivery, DeliveryState, Outgoing, Webhook
from headrace.services.tasks import Tasks
from headrace.services.webhook_deliveries import ROUND_SECONDS, WebhookDeliveries
from headrace.services.webhooks import WebhookPost, Webhooks
from headrace.testing.clock import FakeClock, FakeIds, FakeRandom
from tests.control_world import ContextSecrets
from tests.fakes.alerts import MemoryAlerting, MemorySender, MemoryWebhookStore

pytestmark = pytest.mark.anyio

NOON = 1_795_521_600_000_000


class HangingSender(MemorySender):
    """Answers no message to one address until it is told to."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url
        self.go_on = asyncio.Event()
        self.hangs = asyncio.Event()

    async def post(self, url: str, headers: Sequence[tuple[str, str]], body: bytes) -> int:
        if url == self.url:
            self.hangs.set()
            await self.go_on.wait()
        return await MemorySender.post(self, url, headers, body)


@dataclass(slots=True)
class Out:
    """Deliveries on their way, and what a process forgets when it ends."""

    kept: MemoryAlerting = field(default_factory=MemoryAlerting)
    sender: MemorySender = field(default_factory=MemorySender)
    clock: FakeClock = field(default_factory=lambda: FakeClock(NOON))
    failed: list[BaseException] = field(default_factory=list[BaseException])
    given_up: list[Delivery] = field(default_factory=list[Delivery])
    webhooks: list[Webhook] = field(default_factory=list[Webhook])
    ids: FakeIds = field(default_factory=FakeIds)

    def __post_init__(self) -> None:
        self.tasks = Tasks(lambda _, error: self.failed.append(error))

    tasks: Tasks = field(init=False)

    def process(self) -> WebhookDeliveries:
        """The deliveries of a process that has just started."""
        post = WebhookPost(self.sender, ContextSecrets(), self.clock)
        store = MemoryWebhookStore(self.kept)
        return WebhookDeliveries(store, post, self.tasks, self.clock, FakeRandom(), self.given_up.append)

    async def add(self, url: str, count: int = 1) -> list[str]:
        """Let messages be due to a new webhook; returns their ids."""
        store = MemoryWebhookStore(self.kept)
        webhooks = Webhooks(store, self.sender, ContextSecrets(), self.clock, self.ids, FakeRandom())
        webhook, _ = await webhooks.create(url)
        self.webhooks.append(webhook)
        made = list[str]()
        for _ in range(count):
            event_id, name = self.ids.new("evt"), self.ids.new("msg")
            figures = (80, 90, 100, None, NOON)
            hooks = (webhook.id,)
            event = AlertEvent(event_id, "alr_1", "a", Metric.BUDGET_USED, "budget:b", *figures, hooks, None)
            self.kept.events[event_id] = event
            self.kept.deliveries[name] = Delivery(name, event_id, webhook.id, NOON, NOON)
            made.append(name)
        return made

    async def round(self, deliveries: WebhookDeliveries) -> None:
        await asyncio.gather(*await deliveries.begin_round())

    def state(self, name: str) -> tuple[str, int, int | None]:
        delivery = self.kept.deliveries[name]
        return delivery.state.value, delivery.attempts, delivery.last_status


@pytest.fixture
async def out() -> AsyncIterator[Out]:
    made = Out()
    yield made
    await made.tasks.close()
    assert made.failed == []


async def test_a_message_that_is_taken_is_sent_once(out: Out) -> None:
    (name,) = await out.add("https://a.example/x")
    deliveries = out.process()
    for _ in range(3):
        await out.round(deliveries)
    assert [headers["webhook-id"] for _, headers, _ in out.sender.posted] == [name]
    assert out.state(name) == ("delivered", 1, 204)


async def test_a_message_that_fails_is_sent_again_later_under_the_same_id_and_a_new_time(out: Out) -> None:
    (name,) = await out.add("https://a.example/x")
    out.sender.answers = [500, UpstreamTimeout("The receiver did not answer within 15 s."), 200]
    deliveries = out.process()
    waits = list[float]()
    for _ in range(3):
        waited = 0.0
        before = len(out.sender.posted)
        await out.round(deliveries)
        while len(out.sender.posted) == before:
            out.clock.advance(0.5)
            waited += 0.5
            await out.round(deliveries)
        waits.append(waited)
    assert (waits[0], 2.5 <= waits[1] <= 5.0, 5.0 <= waits[2] <= 10.0) == (0.0, True, True)
    posted = [(headers["webhook-id"], body) for _, headers, body in out.sender.posted]
    assert len(set(posted)) == 1
    times = [int(headers["webhook-timestamp"]) for _, headers, _ in out.sender.posted]
    assert times == sorted(set(times))
    assert out.state(name) == ("delivered", 3, 200)


async def test_a_restart_goes_on_with_what_was_not_taken_under_the_same_id(out: Out) -> None:
    names = await out.add("https://a.example/x", 3)
    out.sender.answers = [503]
    await out.round(out.process())
    assert [headers["webhook-id"] for _, headers, _ in out.sender.posted] == names[:1]
    out.sender.answers = [204]
    await out.round(out.process())
    assert [headers["webhook-id"] for _, headers, _ in out.sender.posted] == [names[0], *names]
    assert {out.state(name) for name in names[1:]} == {("delivered", 1, 204)}
    assert out.state(names[0]) == ("delivered", 2, 204)


async def test_a_process_that_dies_before_it_notes_an_answer_sends_the_same_message_again(out: Out) -> None:
    (name,) = await out.add("https://a.example/x")
    before = out.kept.deliveries[name]
    await out.round(out.process())
    out.kept.deliveries[name] = before
    await out.round(out.process())
    assert [headers["webhook-id"] for _, headers, _ in out.sender.posted] == [name, name]
    assert out.sender.posted[0][2] == out.sender.posted[1][2]


async def test_a_message_that_nobody_takes_is_given_up_after_about_a_day_and_told(out: Out) -> None:
    (name,) = await out.add("https://a.example/x")
    out.sender.answers = [500]
    deliveries = out.process()
    began = out.clock.monotonic()
    while out.kept.deliveries[name].state is DeliveryState.PENDING:
        await out.round(deliveries)
        out.clock.advance(60)
    assert out.state(name) == ("failed", MOST_ATTEMPTS, 500)
    assert len(out.sender.posted) == MOST_ATTEMPTS
    assert 11 * 3600 < out.clock.monotonic() - began < 26 * 3600
    assert [(each.id, each.last_error) for each in out.given_up] == [(name, "The receiver answered 500.")]


async def test_a_receiver_that_is_gone_is_not_asked_again(out: Out) -> None:
    (name,) = await out.add("https://a.example/x")
    out.sender.answers = [410]
    deliveries = out.process()
    for _ in range(3):
        await out.round(deliveries)
        out.clock.advance(3600)
    assert (out.state(name), len(out.sender.posted)) == (("failed", 1, 410), 1)


async def test_a_clock_that_is_set_neither_hurries_nor_holds_up(out: Out) -> None:
    (name,) = await out.add("https://a.example/x")
    out.sender.answers = [500, 204]
    deliveries = out.process()
    await out.round(deliveries)
    out.clock.jump(86_400)
    await out.round(deliveries)
    assert out.state(name) == ("pending", 1, 500)
    out.clock.jump(-2 * 86_400)
    out.clock.advance(5)
    await out.round(deliveries)
    assert out.state(name) == ("delivered", 2, 204)


async def test_a_receiver_that_hangs_holds_up_nobody_else(out: Out) -> None:
    sender = HangingSender("https://slow.example/")
    out.sender = sender
    slow = await out.add("https://slow.example/", 3)
    quick = await out.add("https://quick.example/", 3)
    deliveries = out.process()
    tasks = await deliveries.begin_round()
    await sender.hangs.wait()
    await tasks[1]
    assert {out.state(name)[0] for name in quick} == {"delivered"}
    more = await out.add("https://third.example/")
    again = await deliveries.begin_round()
    assert len(again) == 1
    await again[0]
    assert (out.state(more[0])[0], out.state(slow[0])[0]) == ("delivered", "pending")
    sender.go_on.set()
    await tasks[0]
    assert [out.state(name)[:2] for name in slow] == [("delivered", 1)] * 3


async def test_the_loop_outlives_a_store_that_is_locked(out: Out) -> None:
    (name,) = await out.add("https://a.example/x")
    failures: list[HeadraceError | None] = [MeteringUnavailable("locked"), None]
    slept = list[float]()

    class Locked(MemoryWebhookStore):
        async def outgoing(self, limit: int) -> tuple[Outgoing, ...]:
            failure = failures.pop(0) if failures else None
            if failure is not None:
                raise failure
            return await MemoryWebhookStore.outgoing(self, limit)

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        await asyncio.sleep(0)
        if len(slept) == 2:
            raise asyncio.CancelledError

    post = WebhookPost(out.sender, ContextSecrets(), out.clock)
    deliveries = WebhookDeliveries(Locked(out.kept), post, out.tasks, out.clock, FakeRandom(), out.given_up.append)
    with pytest.raises(asyncio.CancelledError):
        await deliveries.deliver_for_ever(sleep)
    assert slept == [ROUND_SECONDS, ROUND_SECONDS]
    assert out.state(name)[0] == "delivered"


async def test_an_answer_that_cannot_be_noted_is_not_hurried(out: Out) -> None:
    (name,) = await out.add("https://a.example/x")

    class Full(MemoryWebhookStore):
        async def tried(self, delivery: Delivery) -> None:
            raise MeteringUnavailable("full")

    post = WebhookPost(out.sender, ContextSecrets(), out.clock)
    deliveries = WebhookDeliveries(Full(out.kept), post, out.tasks, out.clock, FakeRandom(), out.given_up.append)
    for _ in range(3):
        await asyncio.gather(*await deliveries.begin_round(), return_exceptions=True)
    assert len(out.sender.posted) == 1
    out.clock.advance(5)
    await asyncio.gather(*await deliveries.begin_round(), return_exceptions=True)
    assert [headers["webhook-id"] for _, headers, _ in out.sender.posted] == [name, name]
    assert [type(each) for each in out.failed] == [MeteringUnavailable, MeteringUnavailable]
    out.failed.clear()


async def test_a_secret_that_cannot_be_opened_is_a_failure_that_is_told(out: Out) -> None:
    (name,) = await out.add("https://a.example/x")
    webhook = out.webhooks[0]
    out.kept.webhooks[webhook.id] = replace(webhook, sealed=b"other|x")
    await out.round(out.process())
    assert out.state(name) == ("pending", 1, None)
    assert out.kept.deliveries[name].last_error == "sealed with another key"
    assert out.sender.posted == []
