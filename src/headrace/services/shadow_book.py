"""The answers of reference models as the operator reads and judges them; having them made is the shadows'."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

import msgspec

from headrace.domain.errors import Conflict, MeteringUnavailable, NotFound
from headrace.domain.shadow import ShadowAnswer, Verdict
from headrace.ports.ambient import Clock
from headrace.ports.routing import ShadowStore
from headrace.ports.stores import Blobs
from headrace.services.router_history import find_any
from headrace.services.shadows import BLOB, DAY_MICROS, ShadowTexts, blob_owner
from headrace.services.snapshots import Snapshots

SWEEP_SECONDS = 3_600.0
Sleep: TypeAlias = Callable[[float], Awaitable[object]]
_TEXTS = msgspec.json.Decoder(ShadowTexts)


@dataclass(frozen=True, slots=True)
class ShadowPair:
    """An answer of a reference model, and the texts where they are still kept."""

    answer: ShadowAnswer
    texts: ShadowTexts | None


class ShadowBook:
    """Lists the answers of reference models, takes verdicts and forgets what is old."""

    def __init__(self, store: ShadowStore, blobs: Blobs, snapshots: Snapshots, clock: Clock, keep_days: int) -> None:
        self._store = store
        self._blobs = blobs
        self._snapshots = snapshots
        self._clock = clock
        self._keep_micros = keep_days * DAY_MICROS

    async def list(
        self, router: str, limit: int, before: str | None = None, *, unjudged: bool = False
    ) -> tuple[str, tuple[ShadowPair, ...]]:
        """Return a router's name and its newest pairs first; with `before`, those before that request.

        Raises NotFound, also for the managed router, which has no shadow.
        """
        found = find_any(router, self._snapshots.current())
        if found is None:
            raise NotFound("inference-router has no shadow: give one to a router of your own.", code="router_not_found")
        mark = None if before is None else await self._mark(before)
        answers = await self._store.list(found.uuid, limit, mark, unjudged=unjudged)
        return found.name, tuple([ShadowPair(each, await self._texts(each)) for each in answers])

    async def judge(self, request_id: str, verdict: Verdict, judge: str) -> ShadowAnswer:
        """Store what somebody says of a pair; raises NotFound, and Conflict where there is nothing to compare."""
        if not await self._store.judge(request_id, verdict, judge, self._clock.unix_micros()):
            answer = await self._find(request_id)
            raise Conflict(
                f'The answers to request "{request_id[:80]}" cannot be compared: the reference\'s is {answer.state}'
                f"{f' ({answer.failure})' if answer.failure else ''}.",
                code="shadow_not_kept",
            )
        return await self._find(request_id)

    async def sweep_for_ever(self, sleep: Sleep = asyncio.sleep) -> None:
        """Forget what is older than answers are kept, once an hour, until cancelled."""
        while True:
            with contextlib.suppress(MeteringUnavailable):
                await self._store.sweep(self._clock.unix_micros() - self._keep_micros)
            await sleep(SWEEP_SECONDS)

    async def _mark(self, request_id: str) -> tuple[int, str]:
        answer = await self._find(request_id)
        return answer.made_at_micros, answer.request_id

    async def _find(self, request_id: str) -> ShadowAnswer:
        answer = await self._store.get(request_id)
        if answer is None:
            raise NotFound(f'No reference model answered request "{request_id[:80]}".', code="shadow_not_found")
        return answer

    async def _texts(self, answer: ShadowAnswer) -> ShadowTexts | None:
        content = await self._blobs.get(blob_owner(answer.router_uuid), BLOB, answer.request_id)
        return None if content is None else _TEXTS.decode(content)
