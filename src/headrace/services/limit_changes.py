"""Rate limits as the operator sets them: checked, stored, and in force before the operator is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

from headrace.domain.errors import InvalidRequest, NotFound
from headrace.domain.names import did_you_mean
from headrace.domain.rate_limit import MAX_LIMIT, RateLimits, ScopedLimits
from headrace.ports.ambient import Clock
from headrace.ports.limits import LimitStore
from headrace.services.budget_book import check_scope
from headrace.services.snapshots import Snapshots

Check: TypeAlias = Callable[[ScopedLimits | None], None]
MAX_SCOPE_CHARS = 200


class LimitChanges:
    """Changes rate limits one change at a time; what was counted before a change stays counted."""

    def __init__(self, store: LimitStore, snapshots: Snapshots, clock: Clock) -> None:
        self._store = store
        self._snapshots = snapshots
        self._clock = clock
        self._turn = asyncio.Lock()

    def list(self) -> tuple[ScopedLimits, ...]:
        """Return the limits of every scope, by scope."""
        limits = self._snapshots.current().limits
        return tuple(limits[scope] for scope in sorted(limits))

    def find(self, scope: str) -> ScopedLimits:
        """Return the limits of a scope; raises NotFound naming the closest that has some."""
        limits = self._snapshots.current().limits
        if scope in limits:
            return limits[scope]
        hint = did_you_mean(scope, limits)
        raise NotFound(
            f'No limits are set for "{scope[:MAX_SCOPE_CHARS]}". {hint or "`headrace limits list` lists what is set."}',
            code="limits_not_found",
        )

    async def put(self, scope: str, limits: RateLimits, check: Check) -> tuple[ScopedLimits, bool]:
        """Set all limits of a scope; returns them and whether it had none. `check` is given what is there, may raise.

        Raises InvalidRequest for a limit out of range, NotFound for a scope that there is not.
        """
        check_limits(limits)
        async with self._turn:
            snapshot = self._snapshots.current()
            check_scope(scope, snapshot)
            present = snapshot.limits.get(scope)
            check(present)
            scoped = ScopedLimits(scope, limits, self._clock.unix_micros())
            await self._store.put(scoped)
            await self._snapshots.publish_named()
            return scoped, present is None

    async def remove(self, scope: str, check: Check) -> ScopedLimits:
        """Lift the limits of a scope and return what they were; raises NotFound."""
        async with self._turn:
            scoped = self.find(scope)
            check(scoped)
            await self._store.remove(scope)
            await self._snapshots.publish_named()
            return scoped

    async def carry_key(self, old_id: str, new_id: str) -> None:
        """Let the key that replaces another have its limits too."""
        async with self._turn:
            scoped = self._snapshots.current().limits.get(f"key:{old_id}")
            if scoped is not None:
                await self._store.put(replace(scoped, scope=f"key:{new_id}"))
                await self._snapshots.publish_named()


def check_limits(limits: RateLimits) -> None:
    """Raise InvalidRequest unless at least one limit is set and each is in range."""
    given = [(kind, limit) for kind, limit in limits.by_kind() if limit is not None]
    for kind, limit in given:
        if not 1 <= limit <= MAX_LIMIT:
            raise InvalidRequest(
                f'"{kind.value}" must be from 1 to {MAX_LIMIT:,}, not {limit}. To let nothing through, revoke the key;'
                " for no limit, leave it out.",
                param=kind.value,
            )
    if not given:
        names = ", ".join(kind.value for kind, _ in limits.by_kind())
        raise InvalidRequest(f"No limit is given. Set at least one of {names}, or delete the scope's limits.")
