"""Delivers events to webhooks until they are taken or given up; each is sent at least once, always under one id.

What is pending lies in the store, so a restart goes on with it. Waits are kept on the monotonic clock: a clock that is
set does not hurry or hold up a delivery. A receiver that hangs holds up nobody but itself.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

from headrace.domain.errors import HeadraceError
from headrace.domain.webhook import Delivery, DeliveryState, Outgoing, retry_seconds, state_after
from headrace.ports.alerts import WebhookStore
from headrace.ports.ambient import Clock, Randomness
from headrace.services.tasks import Tasks
from headrace.services.webhooks import WebhookPost
from headrace.wire.webhook_message import event_message

Sleep: TypeAlias = Callable[[float], Awaitable[object]]
Report: TypeAlias = Callable[[Delivery], None]

ROUND_SECONDS = 1.0
MOST_AT_ONCE = 1000


class WebhookDeliveries:
    """Sends what is due, one message at a time to each webhook; `report` hears of each that is given up."""

    def __init__(
        self,
        store: WebhookStore,
        post: WebhookPost,
        tasks: Tasks,
        clock: Clock,
        randomness: Randomness,
        report: Report,
    ) -> None:
        self._store = store
        self._post = post
        self._tasks = tasks
        self._clock = clock
        self._randomness = randomness
        self._report = report
        self._due: dict[str, float] = {}
        self._busy: set[str] = set()

    async def deliver_for_ever(self, sleep: Sleep = asyncio.sleep) -> None:
        """Deliver until cancelled; what fails because of the store is tried again the next time."""
        while True:
            with contextlib.suppress(HeadraceError):
                await self.begin_round()
            await sleep(ROUND_SECONDS)

    async def begin_round(self) -> tuple[asyncio.Task[None], ...]:
        """Start sending what is due and return the tasks, one for each webhook that is not sent to already."""
        now = self._clock.monotonic()
        by_webhook: dict[str, list[Outgoing]] = {}
        outgoing = await self._store.outgoing(MOST_AT_ONCE)
        for each in outgoing:
            is_due = self._due.get(each.delivery.id, 0.0) <= now
            if is_due and each.webhook.id not in self._busy:
                by_webhook.setdefault(each.webhook.id, []).append(each)
        pending = {each.delivery.id for each in outgoing}
        self._due = {name: due for name, due in self._due.items() if name in pending}
        self._busy |= by_webhook.keys()
        return tuple([self._tasks.start("webhook", self._send_all(name, due)) for name, due in by_webhook.items()])

    async def _send_all(self, webhook_id: str, due: Sequence[Outgoing]) -> None:
        try:
            for each in due:
                if not await self._send(each):
                    return
        finally:
            self._busy.discard(webhook_id)

    async def _send(self, outgoing: Outgoing) -> bool:
        delivery = outgoing.delivery
        sent = await self._post.send(outgoing.webhook, event_message(delivery.id, outgoing.event))
        attempts = delivery.attempts + 1
        draw = self._randomness.token_bytes(1)[0]
        self._due[delivery.id] = self._clock.monotonic() + retry_seconds(attempts, draw)
        told = replace(
            delivery,
            state=state_after(sent.status, attempts),
            attempts=attempts,
            last_status=sent.status,
            last_error=sent.error,
            changed_at_micros=self._clock.unix_micros(),
        )
        await self._store.tried(told)
        if told.state is DeliveryState.FAILED:
            self._report(told)
        return sent.is_taken
