"""Replays: what a router, as it is or as it might be, would have done with the requests of the past.

No model is called. Only the features of each request's last message are kept, so that a follow-up is decided as if
nothing had been said before; one whose prompt was not read then cannot be decided anew.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, cast

from headrace.domain.errors import CallerError, InvalidRequest
from headrace.domain.replay import Replay, ReplaySums
from headrace.domain.router import MANAGED_ROUTER, Correction, Router, RoutingPreference
from headrace.domain.router_draft import RouterDraft
from headrace.domain.routing import Match, TaskSet
from headrace.domain.snapshot import Snapshot
from headrace.ports.ambient import Offload
from headrace.ports.fleet import Progress
from headrace.ports.routing import Decisions, PromptScorer, RoutedRequest
from headrace.services.planning import live_models
from headrace.services.replaying import Ground, redecide, rerank
from headrace.services.route_figures import RouteFigures
from headrace.services.router_history import Past, find_any, logged_name, pages
from headrace.services.router_rules import check_content, router_of
from headrace.services.router_tasks import task_set
from headrace.services.snapshots import Snapshots

# So many are decided at a time: together they are matched for a third of what each costs alone, and the decisions of
# running requests still get in between within milliseconds.
SLICE = 16
NOT_SERVED = "not_served"
FIELD = "router"


@dataclass(frozen=True, slots=True)
class ReplayQuestion:
    """Which router's past is replayed, by name or uuid, and as what: as it is, as a draft, under a preference."""

    router: str
    past: Past
    draft: RouterDraft | None = None
    preference: RoutingPreference | None = None


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """What a replay found; `left_out` counts requests that could not be decided anew, by the basis of then.

    `known` is how many requests there are in that time; of more than were wanted the newest were replayed.
    """

    router: str
    past: Past
    is_draft: bool
    preference: RoutingPreference | None
    known: int
    left_out: Mapping[str, int]
    replay: Replay


@dataclass(frozen=True, slots=True)
class ReplayParts:
    """What replays work with; all of it lives as long as the process."""

    decisions: Decisions
    scorer: PromptScorer
    figures: RouteFigures
    snapshots: Snapshots
    offload: Offload


@dataclass(frozen=True, slots=True)
class _Rules:
    """How requests are decided anew: by a router with its tasks, or, where there is none, by preference."""

    name: str
    router: Router | None
    tasks: TaskSet | None
    preference: RoutingPreference | None


Step: TypeAlias = Progress | ReplayReport


class Replays:
    """Replays the past, one replay at a time."""

    def __init__(self, parts: ReplayParts) -> None:
        self._parts = parts
        self._turn = asyncio.Lock()

    async def begin(self, question: ReplayQuestion) -> AsyncGenerator[Step, None]:
        """Return the steps of a replay, the last of which is its report; closing them ends it.

        Raises NotFound, InvalidRequest for a draft that could not be a router, and EngineFailed without weights.
        """
        snapshot = self._parts.snapshots.current()
        rules, past = _rules(question, snapshot), question.past
        known = await self._parts.decisions.count(rules.name, past.since_micros, past.until_micros)
        if known and rules.tasks is not None:
            await self._parts.scorer.prepare(rules.tasks)
        return self._steps(question, rules, snapshot, known)

    async def whole(self, question: ReplayQuestion) -> ReplayReport:
        """Return the report of a replay, its last step; raises as begin does."""
        last: Step | None = None
        async with contextlib.aclosing(await self.begin(question)) as steps:
            async for step in steps:
                last = step
        return cast("ReplayReport", last)

    async def _steps(
        self, question: ReplayQuestion, rules: _Rules, snapshot: Snapshot, known: int
    ) -> AsyncGenerator[Step, None]:
        past, run = question.past, _Run(self._parts, rules, snapshot)
        async with self._turn:
            total, done = min(known, past.most), 0
            yield Progress("requests", 0, total, "requests")
            async for page in pages(self._parts.decisions, rules.name, past):
                await run.add(page)
                done += len(page)
                yield Progress("requests", done, max(total, done), "requests")
            yield ReplayReport(
                router=rules.name,
                past=past,
                is_draft=question.draft is not None,
                preference=rules.preference,
                known=known,
                left_out=dict(run.left_out),
                replay=await self._parts.offload.run(run.sums.replay),
            )


class _Run:
    """One replay while it runs."""

    def __init__(self, parts: ReplayParts, rules: _Rules, snapshot: Snapshot) -> None:
        self._parts = parts
        self._rules = rules
        self._ground = Ground(snapshot, parts.figures)
        self._live = tuple(live_models(snapshot)) if rules.router is None else ()
        self.sums = ReplaySums()
        self.left_out: Counter[str] = Counter()

    async def add(self, page: Sequence[RoutedRequest]) -> None:
        """Add requests, given oldest first."""
        newest_first = page[::-1]
        if self._rules.router is None or self._rules.tasks is None:
            await self._add_managed(newest_first)
            return
        for start in range(0, len(newest_first), SLICE):
            part = newest_first[start : start + SLICE]
            await self._add_matched([each for each in part if self._has(each.decision.features, each)])

    async def _add_matched(self, part: Sequence[RoutedRequest]) -> None:
        router, tasks = self._rules.router, self._rules.tasks
        if not part or router is None or tasks is None:
            return
        matches = await self._parts.scorer.rematch(tasks, [each.decision.features for each in part])
        await self._parts.offload.run(self._sum_matched, part, matches, router)

    def _sum_matched(self, part: Sequence[RoutedRequest], matches: Sequence[Match], router: Router) -> None:
        for each, match in zip(part, matches, strict=True):
            self.sums.add(redecide(each, match, router, self._ground))

    async def _add_managed(self, page: Sequence[RoutedRequest]) -> None:
        for start in range(0, len(page), SLICE):
            await self._parts.offload.run(self._sum_managed, page[start : start + SLICE])

    def _sum_managed(self, part: Sequence[RoutedRequest]) -> None:
        preference = self._rules.preference or RoutingPreference.BALANCED
        for each in part:
            figures = each.decision.figures
            if not self._has(figures, each) or figures is None:
                continue
            if each.served_by is None:
                self.left_out[NOT_SERVED] += 1
                continue
            self.sums.add(rerank(each, figures, preference, self._live, self._ground))

    def _has(self, kept: object, routed: RoutedRequest) -> bool:
        if kept:
            return True
        self.left_out[routed.decision.basis] += 1
        return False


def _rules(question: ReplayQuestion, snapshot: Snapshot) -> _Rules:
    router = find_any(question.router, snapshot)
    if router is None:
        if question.draft is not None:
            raise InvalidRequest(
                f'{MANAGED_ROUTER} has no tasks, so no draft can stand in its place. Send "routing_preference".',
                param=FIELD,
            )
        return _Rules(MANAGED_ROUTER, None, None, question.preference or RoutingPreference.BALANCED)
    if question.preference is not None:
        raise InvalidRequest(
            f'"routing_preference" is for "{MANAGED_ROUTER}" only: how a router of your own ranks its pools is its'
            ' policies\' to say. Send the router that you think of as "router".',
            param="routing_preference",
        )
    if question.draft is None:
        return _Rules(router.name, router, snapshot.task_sets[router.name], None)
    _check_draft(question.draft, snapshot)
    wanted = router_of(question.draft, router.uuid, 0, 0)
    pairs = snapshot.task_sets[router.name].corrections
    corrections = [Correction(router.uuid, slug, "", features, 0) for slug, features in pairs]
    return _Rules(logged_name(router), wanted, task_set(wanted, snapshot.presets, corrections), None)


def _check_draft(draft: RouterDraft, snapshot: Snapshot) -> None:
    try:
        check_content(draft, snapshot)
    except CallerError as error:
        error.param = FIELD if error.param is None else f"{FIELD}.{error.param}"
        raise
