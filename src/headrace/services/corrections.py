"""Corrections of routes: a request that went the wrong way becomes an example of the right task."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from headrace.domain.errors import Conflict, InvalidRequest, NotFound
from headrace.domain.names import did_you_mean
from headrace.domain.router import MANAGED_ROUTER, Correction, Router
from headrace.ports.ambient import Clock
from headrace.ports.routing import Decisions, RoutedRequest, RouterStore
from headrace.services.snapshots import Snapshots

MAX_CORRECTIONS = 2_000
SHOWN_CHARS = 128
# Why a decision has no features, by its basis.
_UNREAD: Mapping[str, str] = {
    "no_text": "its last message has no text",
    "tool_loop": "it went on with the turn before and was not read",
    "affinity": "its session decided, not its prompt",
}


@dataclass(frozen=True, slots=True)
class Corrected:
    """A correction with the name of its router, and the route that the request had; None when nothing matched."""

    correction: Correction
    router: str
    before: str | None


class Corrections:
    """Makes and takes back corrections, one at a time; each is in force before its caller is answered.

    `turn` is the lock that changes of routers take, so that no router ends while one of its routes is corrected.
    """

    def __init__(
        self, decisions: Decisions, store: RouterStore, snapshots: Snapshots, clock: Clock, turn: asyncio.Lock
    ) -> None:
        self._decisions = decisions
        self._store = store
        self._snapshots = snapshots
        self._clock = clock
        self._turn = turn

    async def correct(self, request_id: str, slug: str) -> Corrected:
        """Make the request an example of a task of its router, in the place of an earlier correction.

        Raises NotFound, InvalidRequest naming the closest task, and Conflict when nothing is known of the prompt.
        """
        async with self._turn:
            routed = await self._decided(request_id)
            router = self._router(routed)
            _check_task(router, slug)
            _check_features(routed)
            await self._check_room(router, request_id)
            correction = Correction(router.uuid, slug, request_id, routed.decision.features, self._clock.unix_micros())
            await self._store.correct(correction)
            await self._snapshots.publish_named()
            return Corrected(correction, router.name, routed.decision.route)

    async def take_back(self, request_id: str) -> None:
        """Forget the correction of a request; raises NotFound when there is none."""
        async with self._turn:
            if not await self._store.take_back(request_id):
                raise NotFound(
                    f'The route of request "{request_id[:SHOWN_CHARS]}" is not corrected.', code="correction_not_found"
                )
            await self._snapshots.publish_named()

    async def _decided(self, request_id: str) -> RoutedRequest:
        routed = await self._decisions.get(request_id)
        if routed is None:
            raise NotFound(
                f'No router\'s decision is kept for a request "{request_id[:SHOWN_CHARS]}": it is not known, it named a'
                " model, or its decision is older than keep_decisions_days. Replies carry their id in x-request-id.",
                code="decision_not_found",
            )
        return routed

    def _router(self, routed: RoutedRequest) -> Router:
        name = routed.decision.router
        if name == MANAGED_ROUTER:
            raise InvalidRequest(
                f'{MANAGED_ROUTER} decided request "{routed.request_id}": it has no tasks, so there is no route to'
                " correct. Make a router with tasks: headrace routers create.",
                param="route",
            )
        router = self._snapshots.current().routers.get(name)
        if router is None:
            hint = did_you_mean(name, self._snapshots.current().routers)
            raise NotFound(
                f'router:{name}, which decided request "{routed.request_id}", is no longer there.'
                f"{f' {hint}' if hint else ''}",
                code="router_not_found",
            )
        return router

    async def _check_room(self, router: Router, request_id: str) -> None:
        present = await self._store.corrections()
        others = [each for each in present if each.router_uuid == router.uuid and each.request_id != request_id]
        if len(others) >= MAX_CORRECTIONS:
            raise Conflict(
                f"router:{router.name} has {len(others)} corrections, as many as it may have. Take one back first, or"
                " put a few good examples into its tasks.",
                code="too_many_corrections",
            )


def _check_task(router: Router, slug: str) -> None:
    slugs = [each.task.slug for each in router.policies]
    if slug in slugs:
        return
    hint = did_you_mean(slug, slugs) or f"It has: {', '.join(slugs[:20])}."
    raise InvalidRequest(
        f'router:{router.name} has no task "{slug[:SHOWN_CHARS]}". {hint}', code="task_not_found", param="route"
    )


def _check_features(routed: RoutedRequest) -> None:
    if routed.decision.features:
        return
    why = _UNREAD.get(routed.decision.basis, "its prompt could not be read")
    raise Conflict(
        f'Nothing of the prompt of request "{routed.request_id}" is kept: {why}. Correct another request, or put the'
        " prompt into the task's examples.",
        code="features_not_kept",
    )
