"""Webhooks as the operator changes them: addresses that are checked, secrets that are shown once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from headrace.domain.errors import HeadraceError, InvalidRequest, NotFound
from headrace.domain.secret import Secret
from headrace.domain.webhook import Webhook, is_taken
from headrace.ports.alerts import WebhookSender, WebhookStore
from headrace.ports.ambient import Clock, Ids, Randomness
from headrace.ports.stores import Secrets
from headrace.wire.webhook_message import SECRET_BYTES, Message, secret_text, signed_headers, trial_message

RequireUnused: TypeAlias = Callable[[str], Awaitable[None]]
Check: TypeAlias = Callable[[Webhook], None]

MOST_WEBHOOKS = 50
MICROS = 1_000_000


@dataclass(frozen=True, slots=True)
class Sent:
    """What a receiver made of a message: its status, or why there is none."""

    status: int | None
    error: str | None

    @property
    def is_taken(self) -> bool:
        """Whether the receiver has the message."""
        return self.status is not None and is_taken(self.status)


class WebhookPost:
    """Signs a message with its webhook's secret and sends it once."""

    def __init__(self, sender: WebhookSender, secrets: Secrets, clock: Clock) -> None:
        self._sender = sender
        self._secrets = secrets
        self._clock = clock

    async def send(self, webhook: Webhook, message: Message) -> Sent:
        """Return what came of it; it does not raise for the receiver's failures."""
        try:
            key = self._secrets.open(secret_context(webhook.id), webhook.sealed)
            headers = signed_headers(message, key, self._clock.unix_micros() // MICROS)
            status = await self._sender.post(webhook.url, headers, message.body)
        except HeadraceError as error:
            # A transport speaks of whom it serves most.
            return Sent(None, error.message.replace("The upstream", "The receiver"))
        return Sent(status, None if is_taken(status) else f"The receiver answered {status}.")


class Webhooks:
    """Changes webhooks one change at a time; a secret is made here, sealed, and shown in one reply."""

    def __init__(
        self,
        store: WebhookStore,
        sender: WebhookSender,
        secrets: Secrets,
        clock: Clock,
        ids: Ids,
        randomness: Randomness,
    ) -> None:
        self._store = store
        self._sender = sender
        self._secrets = secrets
        self._clock = clock
        self._ids = ids
        self._randomness = randomness
        self._turn = asyncio.Lock()

    async def list(self) -> tuple[Webhook, ...]:
        """Return every webhook, oldest first."""
        return await self._store.list()

    async def find(self, webhook_id: str) -> Webhook:
        """Return one webhook; raises NotFound."""
        for webhook in await self._store.list():
            if webhook.id == webhook_id:
                return webhook
        raise NotFound(
            f'No webhook has the id "{webhook_id[:80]}"; `headrace webhooks list` shows the ids.',
            code="webhook_not_found",
        )

    async def create(self, url: str) -> tuple[Webhook, Secret]:
        """Make a webhook; returns it and its secret, for the last time. Raises InvalidRequest for the address."""
        async with self._turn:
            if len(await self._store.list()) >= MOST_WEBHOOKS:
                raise InvalidRequest(f"There are {MOST_WEBHOOKS} webhooks already; delete one first.")
            await self._sender.check(url)
            webhook_id, key = self._ids.new("whk"), self._randomness.token_bytes(SECRET_BYTES)
            sealed, now = self._secrets.seal(secret_context(webhook_id), key), self._clock.unix_micros()
            webhook = Webhook(webhook_id, url, sealed, self._secrets.key_version, now, now)
            await self._store.put(webhook)
            return webhook, secret_text(key)

    async def change(self, webhook_id: str, url: str, check: Check) -> Webhook:
        """Send to another address from now on, with the same secret; raises NotFound, InvalidRequest, as `check`."""
        async with self._turn:
            webhook = await self.find(webhook_id)
            check(webhook)
            await self._sender.check(url)
            changed = replace(webhook, url=url, changed_at_micros=self._clock.unix_micros())
            await self._store.put(changed)
            return changed

    async def remove(self, webhook_id: str, check: Check, require_unused: RequireUnused) -> Webhook:
        """Forget a webhook and give up what was still to be sent; raises NotFound, and what the two checks raise."""
        async with self._turn:
            webhook = await self.find(webhook_id)
            check(webhook)
            await require_unused(webhook_id)
            await self._store.remove(webhook_id, self._clock.unix_micros())
            return webhook

    async def test(self, webhook_id: str) -> Sent:
        """Send a signed message now, once, and return what came of it; raises NotFound."""
        webhook = await self.find(webhook_id)
        message = trial_message(self._ids.new("msg"), webhook.id, self._clock.unix_micros())
        return await WebhookPost(self._sender, self._secrets, self._clock).send(webhook, message)


def secret_context(webhook_id: str) -> str:
    """Return what a webhook's sealed secret is bound to."""
    return f"webhook/{webhook_id}"
