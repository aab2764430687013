"""Kills a running installation again and again while clients call through it; judging is kill_judge.py's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from random import Random

import psutil

from headrace.testing.openai_replies import Chat, chat_reply, chat_stream
from headrace.testing.script import Reply, UpstreamRequest
from headrace.testing.upstream import FakeUpstream
from tests.e2e.kill_judge import Books, Kill, Told, Verdict, judge, told_by
from tests.e2e.kill_money import BUDGETED, PREPAID, Money, make_money
from tests.e2e.kill_points import POINTS
from tests.e2e.raw_client import RawClient
from tests.ledger_file import ledger_left_by, ledger_of
from tests.running import RunningHeadrace

CHAT = "/v1/chat/completions"
CLIENTS = 20
PACED_MODEL = "paced"
EMBEDDED_MODEL = "smollm2-135m"
KILL_BETWEEN_SECONDS = (0.3, 1.3)
REACHED_SECONDS = 20.0
ENGINE_GONE_SECONDS = 5.0
PASSED_BETWEEN = (1, 25)
PAYMENT_REQUIRED = 402
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Point:
    """Where a server kills itself: at a named point of kill_points.py, when it is passed for so manieth time."""

    name: str
    times: int

    @property
    def module(self) -> tuple[str, ...]:
        """What is run instead of the command."""
        return "tests.e2e.kill_points", self.name, str(self.times)


def kill_plan(seed: int) -> Iterator[Point | None]:
    """Yield where to kill, for ever: at the named points in turn, and at a random instant between two of them."""
    random = Random(f"{seed}:points")
    for name in cycle(POINTS):
        yield Point(name, random.randint(*PASSED_BETWEEN))
        yield None


@dataclass
class KillRounds:
    """One installation under fire; everything random comes from the seed, apart from the machine's own pace."""

    headrace: RunningHeadrace
    upstream: FakeUpstream
    seed: int
    money: Money
    kills: list[Kill] = field(default_factory=list[Kill])
    told: list[Told] = field(default_factory=list[Told])

    async def round(self, *, embedded: bool = False, at: Point | None = None, then: Point | None = None) -> Kill:
        """Call, kill at a random instant, or wait until the server kills itself `at` its point; look, start again.

        `at` must be what the round before was told by `then`, or `kill_rounds` for the first one.
        """
        random = Random(f"{self.seed}:{len(self.kills)}")
        if embedded:
            await self._told_of(self._client(), chat_request(EMBEDDED_MODEL, max_tokens=4))
        clients = self._start_clients(embedded=embedded)
        if at is None:
            await asyncio.sleep(random.uniform(*KILL_BETWEEN_SECONDS))
        is_reached = at is None or await self._is_dead()
        children = [] if at else self._children()
        self.headrace.kill()
        await asyncio.gather(*clients)
        with ledger_left_by(self.headrace, self.headrace.home.parent / "killed") as ledger:
            open_then, overdrawn = ledger.open_holds(), ledger.overdrawn_scopes()
        _, left = await asyncio.to_thread(psutil.wait_procs, children, timeout=ENGINE_GONE_SECONDS)
        self.headrace.module = ("headrace",) if then is None else then.module
        began = time.monotonic()
        await asyncio.to_thread(self.headrace.start)
        wall_seconds = time.monotonic() - began
        ready_seconds = wall_seconds - self._waited_for_a_core()
        with ledger_of(self.headrace) as ledger:
            open_after, overdrawn = ledger.open_holds(), overdrawn + ledger.overdrawn_scopes()
        point = "at random" if at is None else at.name
        kill = Kill(
            open_then=open_then,
            open_after_restart=open_after,
            ready_seconds=ready_seconds,
            ready_wall_seconds=wall_seconds,
            engines=len(children),
            engines_left=len(left),
            where=point if is_reached else f"{point}, never reached",
            overdrawn=tuple(overdrawn),
            is_reached=is_reached,
        )
        self.kills.append(kill)
        return kill

    def verdict(self) -> Verdict:
        """Stop the server, which must end well, and judge."""
        status = self.headrace.stop()
        with ledger_of(self.headrace) as ledger:
            found = judge(self.kills, self.told, self.upstream.log, Books(ledger, self.money))
        if status == 0:
            return found
        raise AssertionError(f"SIGTERM ended the server with {status}: {found}")

    def _start_clients(self, *, embedded: bool) -> list[asyncio.Future[None]]:
        keys = [None, self.money.keys[BUDGETED], self.money.keys[PREPAID], None]
        work = [self._call(PACED_MODEL, keys[number % 4], is_stream=number % 5 != 0) for number in range(CLIENTS)]
        if embedded:
            work.append(self._call(EMBEDDED_MODEL))
        work.append(self.money.pay_on(RawClient(self._port, self.headrace.admin_token)))
        return [asyncio.ensure_future(each) for each in work]  # noqa: TID251 - gathered by the round

    async def _call(self, model: str, key: str | None = None, *, is_stream: bool = True) -> None:
        client = self._client(key)
        body = chat_request(model, max_tokens=400, is_stream=is_stream)
        while await self._told_of(client, body):
            continue
        client.close()

    async def _told_of(self, client: RawClient, body: dict[str, object]) -> bool:
        raised = self.money.raised
        reply = await client.post(CHAT, body)
        told = told_by(reply)
        if told is not None:
            self.told.append(told)
        if reply.status == PAYMENT_REQUIRED:
            await raised.wait()
        return told is not None and reply.whole

    async def _is_dead(self) -> bool:
        deadline = time.monotonic() + REACHED_SECONDS
        while time.monotonic() < deadline:
            if self.headrace.process is None or self.headrace.process.poll() is not None:
                return True
            await asyncio.sleep(0.01)
        return False

    @property
    def _port(self) -> int:
        return int(self.headrace.base_url.rsplit(":", 1)[1].split("/")[0])

    def _client(self, key: str | None = None) -> RawClient:
        return RawClient(self._port, key or self.headrace.api_key)

    def _waited_for_a_core(self) -> float:
        """How long the server's main thread was ready to run while other programs had the cores; Linux tells."""
        try:
            _, waited_nanos, _ = Path(f"/proc/{self._pid}/schedstat").read_text().split()
        except OSError:
            return 0.0
        return int(waited_nanos) / 1e9

    @property
    def _pid(self) -> int:
        if self.headrace.process is None:
            raise AssertionError("the server does not run")
        return self.headrace.process.pid

    def _children(self) -> list[psutil.Process]:
        return psutil.Process(self._pid).children(recursive=True)


@asynccontextmanager
async def kill_rounds(
    home: Path, seed: int, weights: Path | None = None, first: Point | None = None, store: str = ""
) -> AsyncGenerator[KillRounds]:
    """An installation with a paced upstream and money to spend, and with an embedded model where weights are given.

    It keeps its books in the PostgreSQL database of this address, where there is one.
    """
    headrace = RunningHeadrace(home, environment={"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}, store=store)
    if weights is not None:
        headrace.take_weights(weights)
    async with FakeUpstream(paced(seed)) as upstream:
        headrace.add_provider("upstream", upstream.base_url, PACED_MODEL)
        with headrace:
            money = make_money(headrace, PACED_MODEL)
            if first is not None:
                headrace.stop()
                headrace.module = first.module
                headrace.start()
            yield KillRounds(headrace, upstream, seed, money)


def chat_request(model: str, *, max_tokens: int, is_stream: bool = True) -> dict[str, object]:
    """Return the body of a call."""
    messages = [{"role": "user", "content": "Tell a long story of a river."}]
    return {"model": model, "messages": messages, "stream": is_stream, "max_tokens": max_tokens}


def paced(seed: int) -> Callable[[UpstreamRequest], Reply]:
    """Return a script of replies of several lengths, fast and slow, each chosen by the seed."""

    def answer(request: UpstreamRequest) -> Reply:
        random = Random(f"{seed}:reply:{request.number}")
        chat = Chat(" ".join(["water"] * random.choice((1, 3, 10, 50))), prompt_tokens=random.randint(1, 60))
        reply = chat_stream(chat) if request.fields.get("stream") else chat_reply(chat)
        return reply.delayed(
            before_headers_seconds=random.choice((0.0, 0.0, 0.02, 0.2)),
            between_writes_seconds=random.choice((0.0, 0.001, 0.01, 0.03)),
        )

    return answer
