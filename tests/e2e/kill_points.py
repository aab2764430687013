"""A server that kills itself where it is told to: `python -m tests.e2e.kill_points POINT TIMES serve --home ...`.

It is the application as it ships, composed with subclasses of ledger, writer, transport and edge that count how often a
point was passed, and end the process by SIGKILL at the given time. The product has no such switch.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from headrace.app import foundation, platform, serving
from headrace.app.local_verbs import InstalledVerbs
from headrace.cli.command import run
from headrace.domain.books import Held, Opening, Progress, Refused, Settlement
from headrace.domain.plan import Deadlines, Endpoint
from headrace.drivers.stores import database
from headrace.drivers.stores.database import Database
from headrace.drivers.stores.ledger import SqlLedger
from headrace.drivers.stores.postgres import database as postgres_database
from headrace.drivers.stores.postgres.writer import PostgresWriter
from headrace.drivers.stores.writer import Operation, Writer
from headrace.drivers.transports.http1_transport import Http1Transport
from headrace.http.edge import Receive, Scope, Send
from headrace.http.gateway import AsgiApp
from headrace.http.server import make_server
from headrace.ports.ambient import Clock
from headrace.ports.upstream import Exchange, Prepared

CHAT = "/v1/chat/completions"
SIDES = ("before", "after")
POINTS = tuple(
    f"{side} {what}"
    for what in ("hold", "commit", "send", "first byte", "checkpoint", "settle", "ack")
    for side in SIDES
)


@dataclass(slots=True)
class Trigger:
    """Counts how often its point is passed once the server listens, and kills the process."""

    point: str
    times: int
    is_armed: bool = False

    def passed(self, point: str) -> None:
        """Note a passage; does not return when it is the one."""
        if self.is_armed and point == self.point:
            self.times -= 1
            if self.times <= 0:
                os.kill(os.getpid(), signal.SIGKILL)


class KillingLedger(SqlLedger):
    """The ledger, with points around holds, checkpoints and settlements."""

    def __init__(self, store: Database, clock: Clock, trigger: Trigger) -> None:
        super().__init__(store, clock)
        self._trigger = trigger

    async def hold(self, opening: Opening) -> Held | Refused:
        self._trigger.passed("before hold")
        answer = await super().hold(opening)
        self._trigger.passed("after hold")
        return answer

    def checkpoint(self, attempt_id: str, progress: Progress) -> None:
        self._trigger.passed("before checkpoint")
        super().checkpoint(attempt_id, progress)
        self._trigger.passed("after checkpoint")

    async def settle(self, settlement: Settlement) -> None:
        self._trigger.passed("before settle")
        await super().settle(settlement)
        self._trigger.passed("after settle")


class KillingWriter(Writer):
    """SQLite's writer, with points before a batch is begun and when it is durable but nobody has been told."""

    trigger: Trigger

    def _transact(self, batch: list[Operation]) -> list[object]:
        self.trigger.passed("before commit")
        outcomes = super()._transact(batch)
        self.trigger.passed("after commit")
        return outcomes


class KillingPostgresWriter(PostgresWriter):
    """PostgreSQL's writer, with the same points."""

    trigger: Trigger

    def _transact(self, batch: list[Operation]) -> list[object]:
        self.trigger.passed("before commit")
        outcomes = super()._transact(batch)
        self.trigger.passed("after commit")
        return outcomes


class KillingTransport(Http1Transport):
    """The transport, with points before the request leaves and after the upstream's status line came."""

    def __init__(self, user_agent: str, trigger: Trigger) -> None:
        super().__init__(user_agent)
        self._trigger = trigger

    async def send(self, endpoint: Endpoint, prepared: Prepared, deadlines: Deadlines) -> Exchange:
        self._trigger.passed("before send")
        exchange = await super().send(endpoint, prepared, deadlines)
        self._trigger.passed("after send")
        return exchange


class KillingEdge:
    """The gateway, with points around the first and the last bytes of every reply of a model."""

    def __init__(self, gateway: AsgiApp, trigger: Trigger) -> None:
        self._gateway = gateway
        self._trigger = trigger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_call = scope["type"] == "http" and scope["path"] == CHAT
        await self._gateway(scope, receive, self._watched(send) if is_call else send)

    def _watched(self, send: Send) -> Send:
        status, is_begun = 0, False

        async def watched(message: Any) -> None:
            nonlocal status, is_begun
            status = message.get("status", status)
            is_content = status == 200 and message["type"] == "http.response.body"
            points = ["first byte"] if is_content and message.get("body") and not is_begun else []
            points += ["ack"] if is_content and not message.get("more_body") else []
            is_begun = is_begun or "first byte" in points
            for point in points:
                self._trigger.passed(f"before {point}")
            await send(message)
            for point in points:
                self._trigger.passed(f"after {point}")

        return watched


def compose(trigger: Trigger) -> None:
    """Put the subclasses where the composition root finds its parts; the trigger is armed when the server listens."""

    def writer(*parts: Any) -> Writer:
        KillingWriter.trigger = trigger
        return KillingWriter(*parts)

    def postgres_writer(*parts: Any) -> PostgresWriter:
        KillingPostgresWriter.trigger = trigger
        return KillingPostgresWriter(*parts)

    def server(gateway: AsgiApp, *parts: Any) -> object:
        trigger.is_armed = True
        return make_server(KillingEdge(gateway, trigger), *parts)

    def ledger(store: Database, clock: Clock) -> SqlLedger:
        return KillingLedger(store, clock, trigger)

    def transport(user_agent: str) -> Http1Transport:
        return KillingTransport(user_agent, trigger)

    replaced: tuple[tuple[object, str, Callable[..., object]], ...] = (
        (database, "Writer", writer),
        (postgres_database, "PostgresWriter", postgres_writer),
        (foundation, "SqlLedger", ledger),
        (platform, "Http1Transport", transport),
        (serving, "make_server", server),
    )
    for module, name, part in replaced:
        if name not in vars(module):
            raise AssertionError(f"{module} has no {name}: the composition root has changed")
        setattr(module, name, part)


if __name__ == "__main__":
    compose(Trigger(sys.argv[1], int(sys.argv[2])))
    sys.exit(run(sys.argv[3:], InstalledVerbs()))
