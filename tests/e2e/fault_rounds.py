"""Calls through an installation while its store or its clock misbehaves, and compares the three logs afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Collection, Generator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from headrace.testing.upstream import FakeUpstream
from tests.e2e.fault_server import CLOCK, READ_ONLY
from tests.e2e.kill_judge import NOTHING_HELD, booking_faults, call_faults, money_faults, told_by
from tests.e2e.kill_money import BUDGETED, PREPAID, Money, make_money
from tests.e2e.kill_rounds import CHAT, PACED_MODEL, ROOT, chat_request, paced
from tests.e2e.raw_client import RawClient, RawReply
from tests.ledger_file import EndedRequest, ledger_of
from tests.running import RunningHeadrace, eventually

CLIENTS = 8
LOCKED_SECONDS = 10.0
WAIT_SECONDS = 40.0
# Lasts for longer than any test: with none left nobody would be served after the fault, and refusals be all commits.
ENOUGH_NANO = 1_000_000_000
AFTER_REFUSAL_SECONDS = 0.05
OK, PAYMENT_REQUIRED, UNAVAILABLE = 200, 402, 503
LOCKER = """
import sqlite3, sys
other = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
other.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
"""


@dataclass
class FaultRounds:
    """A running installation, its upstream, and what every client was told, in the order of its ends."""

    headrace: RunningHeadrace
    upstream: FakeUpstream
    money: Money
    folder: Path
    replies: list[RawReply] = field(default_factory=list[RawReply])
    is_over: bool = False

    async def during(
        self,
        fault: Callable[[], contextlib.AbstractContextManager[object]],
        seconds: float,
        *,
        is_felt: bool = True,
        shows: Callable[[], bool] = lambda: True,
    ) -> None:
        """Call before, in and after a fault, which lasts so long, until it `shows` and, where it is felt, a refusal."""
        clients = [asyncio.ensure_future(self._call(number)) for number in range(CLIENTS)]  # noqa: TID251 - gathered below
        try:
            await self.until(lambda: self.count(OK) >= CLIENTS, "good replies")
            with fault():
                await asyncio.sleep(seconds)
                await self.until(shows, "what the fault brings about")
                if is_felt:
                    await self.until(lambda: self.count(UNAVAILABLE) > 0, "a call that is refused")
            good = self.count(OK)
            await self.until(lambda: self.count(OK) >= good + 2 * CLIENTS, "good replies afterwards")
        finally:
            self.is_over = True
            await asyncio.gather(*clients)

    async def until(self, holds: Callable[[], bool], what: str) -> None:
        """Wait for something that the clients or the store's books show."""
        await asyncio.to_thread(eventually, holds, what, WAIT_SECONDS)

    def count(self, status: int) -> int:
        """How many replies of a status came."""
        return sum(reply.status == status for reply in self.replies)

    async def faults(self) -> list[str]:
        """Wait until nothing is held, and compare what clients, ledger and upstream say."""
        await self.until(self._is_settled, "no hold is open")
        with ledger_of(self.headrace) as ledger:
            booked = ledger.requests()
            by_attempt = {each.attempt_id: each for each in booked.values()}
            billed = {end.attempt_id: end for end in self.upstream.log.ended}
            return [
                *(fault for reply in self.replies for fault in _told(reply)),
                *self._unknown(booked.keys()),
                *call_faults([entry.attempt_id for entry in self.upstream.log.received], by_attempt),
                *booking_faults(booked.values(), billed),
                *money_faults(self.money, ledger),
                *self._charged_for_nothing(booked),
                *(f"spending is not the sum of the charges: {scope}" for scope in ledger.unbalanced_scopes()),
            ]

    def _is_settled(self) -> bool:
        with ledger_of(self.headrace) as ledger:
            return ledger.open_holds() == NOTHING_HELD

    def _unknown(self, known: Collection[str]) -> Iterator[str]:
        for reply in self.replies:
            told = told_by(reply)
            if told is not None and told.complete and told.request_id not in known:
                yield f"{told.request_id}: read to its end, and the ledger does not know it"

    def _charged_for_nothing(self, booked: Mapping[str, EndedRequest]) -> Iterator[str]:
        for reply in self.replies:
            request_id = reply.headers.get("x-request-id", "")
            if reply.status == UNAVAILABLE and request_id in booked and booked[request_id].charge_nano:
                yield f"{request_id}: told that it failed, and charged"

    async def _call(self, number: int) -> None:
        key = (None, self.money.keys[BUDGETED], self.money.keys[PREPAID], None)[number % 4]
        port = int(self.headrace.base_url.rsplit(":", 1)[1].split("/")[0])
        client = RawClient(port, key or self.headrace.api_key)
        while not self.is_over:
            reply = await client.post(CHAT, chat_request(PACED_MODEL, max_tokens=400, is_stream=number % 2 == 0))
            self.replies.append(reply)
            if reply.status != OK:
                await asyncio.sleep(AFTER_REFUSAL_SECONDS)
        client.close()

    @contextmanager
    def locked(self) -> Generator[None]:
        """Another process holds the file's write lock."""
        command = [sys.executable, "-c", LOCKER, str(self.headrace.home / "headrace.db")]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
            if other.stdin is None or other.stdout is None or other.stdout.readline() != b"locked\n":
                raise AssertionError("the other process did not get the lock")
            yield
            other.stdin.close()

    @contextmanager
    def full(self) -> Generator[None]:
        """No file of the server may grow beyond what the log of the store has now: the system refuses its writes."""
        if self.headrace.process is None:
            raise AssertionError("the server does not run")
        log = self.headrace.home / "headrace.db-wal"
        pid = self.headrace.process.pid
        before = resource.prlimit(pid, resource.RLIMIT_FSIZE, (log.stat().st_size, resource.RLIM_INFINITY))
        try:
            yield
        finally:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, before)

    @contextmanager
    def read_only(self) -> Generator[None]:
        """The store's connection takes no writes."""
        switch = self.folder / READ_ONLY
        switch.touch()
        try:
            yield
        finally:
            switch.unlink()

    @contextmanager
    def clock_off_by(self, seconds: int) -> Generator[None]:
        """The wall clock is off; it steps back at the end."""
        file = self.folder / CLOCK
        file.with_suffix(".new").write_text(str(seconds))
        file.with_suffix(".new").rename(file)
        try:
            yield
        finally:
            file.unlink()


def _told(reply: RawReply) -> Iterator[str]:
    """Yield what no client may be told: right are good replies, refusals for money, and 503 with Retry-After."""
    if reply.status == UNAVAILABLE:
        if not reply.headers.get("retry-after", "").isdigit() or b'"metering_unavailable"' not in reply.body:
            yield f"503 without Retry-After or reason: {dict(reply.headers)} {reply.body[:200]!r}"
    elif reply.status not in (OK, PAYMENT_REQUIRED):
        yield f"{reply.status}: {reply.body[:200]!r}"
    elif b'"error"' in reply.body and reply.status == OK and b"metering_unavailable" not in reply.body:
        yield f"an error in a stream: {reply.body[-300:]!r}"


def statuses(rounds: FaultRounds) -> Counter[int]:
    """How many replies of each status came."""
    return Counter(reply.status for reply in rounds.replies)


@asynccontextmanager
async def fault_rounds(folder: Path, seed: int, store: str = "") -> AsyncGenerator[FaultRounds]:
    """An installation that can be broken, with a paced upstream and money to spend.

    It keeps its books in the PostgreSQL database of this address, where there is one.
    """
    switches = folder / "switches"
    switches.mkdir()
    headrace = RunningHeadrace(folder / "home", environment={"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}, store=store)
    headrace.module = ("tests.e2e.fault_server", str(switches))
    async with FakeUpstream(paced(seed)) as upstream:
        headrace.add_provider("upstream", upstream.base_url, PACED_MODEL)
        with headrace:
            money = make_money(headrace, PACED_MODEL, ENOUGH_NANO)
            yield FaultRounds(headrace, upstream, money, switches)
