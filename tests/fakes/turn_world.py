"""Everything a turn works with, in memory, noting in one list what happened in which order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from headrace.domain.books import Held, Opening, Progress, RecoveryReport, Refused, Settlement, Void
from headrace.domain.errors import HeadraceError, MeteringUnavailable
from headrace.domain.plan import Deadlines, Endpoint, Target
from headrace.drivers.providers.openai import OpenAiAdapter
from headrace.ports.fleet import Lease
from headrace.ports.observer import AttemptEnd, RequestEnd
from headrace.ports.upstream import Prepared
from headrace.services.turn_parts import TurnLimits, TurnParts
from headrace.testing.clock import FakeClock, FakeIds
from headrace.testing.script import Reply

Step: TypeAlias = "bytes | BaseException | asyncio.Event"


class FakeLedger:
    """Notes every step; like the real one it books a queued closing even when nobody waits any more."""

    def __init__(self, events: list[str]) -> None:
        self._events = events
        self.openings: list[Opening] = []
        self.abandoned: list[str] = []
        self.closings: list[Settlement | Void] = []
        self.checkpoints: list[Progress] = []
        self.refusal: Refused | None = None
        self.failing: set[str] = set()

    async def hold(self, opening: Opening) -> Held | Refused:
        self._events.append(f"hold queued {opening.model_id}")
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            self.abandoned.append(opening.attempt_id)
            raise
        self._check("hold")
        if self.refusal is not None:
            return self.refusal
        self.openings.append(opening)
        self._events.append("hold durable")
        return Held(opening.attempt_id)

    def sent(self, attempt_id: str, at_micros: int) -> Awaitable[None]:
        self._events.append("sent queued")
        durable = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(self._mark_sent, durable)
        return durable

    def checkpoint(self, attempt_id: str, progress: Progress) -> None:
        self.checkpoints.append(progress)

    async def settle(self, settlement: Settlement) -> None:
        await self._close(settlement, "settle")

    async def void(self, void: Void) -> None:
        await self._close(void, "void")

    async def recover(self) -> RecoveryReport:
        return RecoveryReport(0, 0, 0, "ok")

    def _mark_sent(self, durable: asyncio.Future[None]) -> None:
        if durable.done():
            return
        try:
            self._check("sent")
        except MeteringUnavailable as error:
            durable.set_exception(error)
            return
        self._events.append("sent durable")
        durable.set_result(None)

    async def _close(self, closing: Settlement | Void, step: str) -> None:
        self._events.append(f"{step} queued")
        self.closings.append(closing)
        await asyncio.sleep(0)
        self._check(step)
        self._events.append(f"{step} durable")

    def _check(self, step: str) -> None:
        if step in self.failing:
            raise MeteringUnavailable("away")


class FakeSink:
    """The caller's end."""

    def __init__(self, events: list[str]) -> None:
        self._events = events
        self.started = False
        self.gone = False
        self.ended = False
        self.status = 0
        self.headers: dict[str, str] = {}
        self.blocks: list[bytes] = []
        self.written = asyncio.Event()

    @property
    def body(self) -> bytes:
        return b"".join(self.blocks)

    @property
    def departure(self) -> str | None:
        return "client_closed" if self.gone else None

    async def start(self, status: int, headers: tuple[tuple[str, str], ...]) -> None:
        assert not self.started
        self.started = True
        self.status, self.headers = status, dict(headers)
        self._events.append("start")
        await asyncio.sleep(0)

    async def write(self, block: bytes) -> None:
        assert self.started
        assert not self.ended
        self._events.append("comment" if block.startswith(b":") else "write")
        self.blocks.append(block)
        self.written.set()
        await asyncio.sleep(0)

    async def end(self, block: bytes) -> None:
        assert self.started
        self.ended = True
        self._events.append("end")
        self.blocks.append(block)
        await asyncio.sleep(0)

    async def break_off(self, block: bytes) -> None:
        await self.write(block)


class FakeFleet:
    """Endpoints that are there at once, after an event, or never."""

    def __init__(self, events: list[str]) -> None:
        self._events = events
        self.leases = 0
        self.ready: asyncio.Event | None = None
        self.failures: list[HeadraceError | None] = []
        self.prefixes: list[bytes] = []
        self.reports: list[bool] = []
        self.share_micros = 0
        self.nano_per_hour: int | None = None

    async def acquire(self, target: Target, wait_seconds: float, prefix: bytes = b"") -> Lease:
        self._events.append(f"acquire {target.model.id}")
        self.prefixes.append(prefix)
        await asyncio.sleep(0)
        if self.ready is not None:
            await self.ready.wait()
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            raise failure
        self.leases += 1
        deployment = None if target.model.deployment is None else target.deployment
        endpoint = Endpoint(target.provider.base_url, replica=deployment and f"{deployment}-{self.leases}")
        return Lease(endpoint, self._release, lambda: self.share_micros, deployment, self.nano_per_hour)

    def report(self, lease: Lease, *, is_well: bool) -> None:
        assert lease.deployment is not None
        self.reports.append(is_well)

    def _release(self) -> None:
        self._events.append("release")
        self.leases -= 1


@dataclass
class FakeExchange:
    """An answer by steps: bytes come, an exception is raised, an event is waited for; then the clean end."""

    events: list[str]
    status: int
    headers: Mapping[str, str]
    steps: list[Step]
    open: bool = True

    async def read(self) -> bytes | None:
        await asyncio.sleep(0)
        while self.steps:
            step = self.steps.pop(0)
            if isinstance(step, asyncio.Event):
                await step.wait()
            elif isinstance(step, bytes):
                return step
            else:
                raise step
        return None

    async def close(self) -> None:
        self.open = False
        self.events.append("close")


@dataclass
class FakeTransport:
    """Answers in order with what was scripted."""

    events: list[str]
    answers: list[FakeExchange | BaseException] = field(default_factory=list["FakeExchange | BaseException"])
    sent: list[tuple[Endpoint, Prepared]] = field(default_factory=list[tuple[Endpoint, Prepared]])
    opened: list[FakeExchange] = field(default_factory=list[FakeExchange])

    async def send(self, endpoint: Endpoint, prepared: Prepared, deadlines: Deadlines) -> FakeExchange:
        self.events.append("send")
        self.sent.append((endpoint, prepared))
        await asyncio.sleep(0)
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        self.opened.append(answer)
        return answer


class RecordingObserver:
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.attempts: list[AttemptEnd] = []
        self.requests: list[RequestEnd] = []

    def request_ended(self, end: RequestEnd) -> None:
        self.requests.append(end)

    def attempt_ended(self, end: AttemptEnd) -> None:
        self.attempts.append(end)


class World:
    """One turn's surroundings."""

    def __init__(self, *, keepalive_seconds: float = 60.0, deadlines: Deadlines | None = None) -> None:
        self.events: list[str] = []
        self.ledger = FakeLedger(self.events)
        self.sink = FakeSink(self.events)
        self.fleet = FakeFleet(self.events)
        self.transport = FakeTransport(self.events)
        self.observer = RecordingObserver()
        self.clock = FakeClock()
        limits = TurnLimits(deadlines or Deadlines(), keepalive_seconds=keepalive_seconds)
        adapter = OpenAiAdapter(self.clock, "max_tokens")
        self.parts = TurnParts(
            ledger=self.ledger,
            fleet=self.fleet,
            transport=self.transport,
            adapters={"openai": adapter},
            observer=self.observer,
            clock=self.clock,
            ids=FakeIds(),
            limits=limits,
            sleep=self._sleep,
        )

    @classmethod
    def beside(cls, other: World) -> World:
        """The surroundings of a later turn in the same process: same clock, health and retries."""
        world = cls()
        world.clock = other.clock
        world.parts = replace(world.parts, clock=other.clock, health=other.parts.health, retries=other.parts.retries)
        return world

    async def _sleep(self, seconds: float) -> None:
        self.events.append(f"wait {seconds:g}")
        self.clock.advance(seconds)
        await asyncio.sleep(0)

    def answer(self, *steps: Step, status: int = 200, headers: Mapping[str, str] | None = None) -> FakeExchange:
        exchange = FakeExchange(self.events, status, headers or {}, list(steps))
        self.transport.answers.append(exchange)
        return exchange

    def answer_reply(self, reply: Reply) -> FakeExchange:
        return self.answer(*[frame.data for frame in reply.frames], status=reply.status, headers=reply.headers)

    def refuse(self, *errors: BaseException) -> None:
        self.transport.answers.extend(errors)

    @property
    def settlements(self) -> Sequence[Settlement]:
        return [each for each in self.ledger.closings if isinstance(each, Settlement)]

    @property
    def voids(self) -> Sequence[Void]:
        return [each for each in self.ledger.closings if isinstance(each, Void)]

    def check_books(self) -> None:
        """Every hold is closed exactly once, nothing else is, and nothing is left open."""
        opened = [each.attempt_id for each in self.ledger.openings]
        closed = [each.attempt_id for each in self.ledger.closings]
        assert sorted(opened) == sorted(closed)
        assert not set(opened) & set(self.ledger.abandoned)
        assert self.fleet.leases == 0
        assert not any(exchange.open for exchange in self.transport.opened)
