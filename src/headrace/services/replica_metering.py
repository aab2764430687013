"""Owns metering the replicas of deployments: who runs since when, and booking their time in lines until they are gone.

A line reaches at most to the next quarter of an hour of UTC. A run has one price: at a midnight of UTC from which on
there is another, it ends and the next one begins. What is heard waits in memory until it is booked; a
booking that the store could not take is made again at the next look, and one that it had taken changes nothing then.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from headrace.domain.dedicated import Deployment
from headrace.domain.deployment import Replica, ReplicaState
from headrace.domain.errors import HeadraceError, MeteringUnavailable
from headrace.domain.replica_identity import START_SLACK_MICROS, is_ended, is_process, is_same, replica_of
from headrace.domain.replica_run import ReplicaRun, cuts
from headrace.ports.ambient import Clock, Ids
from headrace.ports.dedicated import ReplicaRuns
from headrace.services.replica_prices import ReplicaPrice

Place: TypeAlias = tuple[str, str]
"""A deployment's id and a replica's name in it; a name may be used again when its replica is gone."""

NAME = "replica metering"
MICROS = 1_000_000
MOST_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class MeteringParts:
    """What metering works with.

    `deployment` finds one by its id and has none for embedded models, which have token prices. `price` says what its
    replicas cost at a time, None when that is not known. `scopes` are those that pay for an account's model at a time.
    `observe` are all replicas as the drivers saw them last. `on_failure` hears what the store refuses for good, as a
    task's failure.
    """

    runs: ReplicaRuns
    deployment: Callable[[str], Deployment | None]
    price: Callable[[Deployment, int], Awaitable[ReplicaPrice | None]]
    scopes: Callable[[str, str, int], Sequence[str]]
    observe: Callable[[], Iterable[Replica]]
    clock: Clock
    ids: Ids
    on_failure: Callable[[str, BaseException], None]


@dataclass(frozen=True, slots=True)
class MeteringTimes:
    """How long a line is at most, how often it is written down that a replica runs, and when a missing one is gone.

    One that a driver no longer tells of, without a word on its end, is gone since it was last seen; that is decided
    after `missing_seconds`, because a cluster that cannot be reached tells of none for a while.
    """

    meter_seconds: float = 300.0
    seen_seconds: float = 10.0
    missing_seconds: float = 60.0


DEFAULT_TIMES = MeteringTimes()


@dataclass(slots=True)
class _Life:
    """A replica as it was heard of, and its run as it was last sent to the store: its deployment before that.

    `ended_at` is None while its end is not known. `is_begun` says that the store has the run.
    """

    replica: Replica
    run: ReplicaRun | Deployment
    seen_at: int
    ended_at: int | None = None
    missing_since: float | None = None
    is_begun: bool = False

    def is_only_begun(self, heard: Replica) -> bool:
        """Whether it is still starting and what was heard may say better when that began; nothing is owed for it."""
        has_other_pid = None not in (self.replica.pid, heard.pid) and self.replica.pid != heard.pid
        return self.ended_at is None and self.replica.ready_at_micros is None and not has_other_pid

    def booked(self) -> ReplicaRun | None:
        """Return its run when it is in the books to its end."""
        run = self.run
        if isinstance(run, ReplicaRun) and self.ended_at is not None and run.gone_at_micros == self.ended_at:
            return run
        return None


class ReplicaMetering:
    """Meters every replica of a deployment; all but `hear` waits for the store."""

    def __init__(self, parts: MeteringParts, times: MeteringTimes = DEFAULT_TIMES) -> None:
        self._parts = parts
        self._times = times
        self._lives: dict[Place, _Life] = {}
        self._over: list[_Life] = []
        self._done: dict[Place, ReplicaRun] = {}
        self._is_recovered = False
        self._turn = asyncio.Lock()
        self._wake = asyncio.Event()

    @property
    def waiting(self) -> int:
        """How many ended replicas are not in the books to their end."""
        return len(self._over) + sum(life.ended_at is not None for life in self._lives.values())

    def hear(self, replica: Replica) -> None:
        """Take note of what a driver says of a replica, in the order in which it says so; booking it comes later."""
        if self._fold(replica):
            self._wake.set()

    def nano_per_hour(self, deployment_id: str, replica: str) -> int | None:
        """Return what a replica costs an hour by its run, None while it has none."""
        life = self._lives.get((deployment_id, replica))
        return None if life is None or isinstance(life.run, Deployment) else life.run.nano_per_hour

    async def run(self) -> None:
        """Meter for ever: when something was heard, and every `seen_seconds`; until cancelled."""
        while True:
            self._wake.clear()
            try:
                await (self.meter() if self._is_recovered else self.recover())
            except MeteringUnavailable:
                pass
            except HeadraceError as failure:
                self._parts.on_failure(NAME, failure)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._times.seen_seconds):
                    await self._wake.wait()

    async def recover(self) -> None:
        """Take over the runs that an earlier process left unfinished, then meter; raises MeteringUnavailable."""
        async with self._turn:
            for run in () if self._is_recovered else await self._parts.runs.unfinished():
                self._take_over(run)
            self._is_recovered = True
        await self.meter()

    async def meter(self) -> None:
        """Book every run up to now, as far as a line is due; what the store does not take is tried again later.

        Raises what went wrong otherwise with one run, when all others are booked.
        """
        await self._look(self._times.meter_seconds)

    async def close(self) -> None:
        """Book all that is known at the end of this process, whatever is due: replicas that go on are found again."""
        await self._look(0.0)

    async def _look(self, meter_seconds: float) -> None:
        async with self._turn:
            if not self._is_recovered:
                return
            self._observe()
            lives = [*self._over, *self._lives.values()]
            booking = (self._book(life, round(meter_seconds * MICROS)) for life in lives)
            outcomes = await asyncio.gather(*booking, return_exceptions=True)
            for life in lives:
                run = life.booked()
                if run is not None:
                    self._finish(life, run)
        for failure in outcomes:
            if failure is not None:
                raise failure

    def _fold(self, replica: Replica) -> bool:
        """Join what is said of a replica with what is known of it; returns whether there is something to book."""
        life = self._life_of(replica)
        if life is None:
            return False
        now, before = self._parts.clock.unix_micros(), (life.replica.ready_at_micros, life.ended_at)
        ready_at = life.replica.ready_at_micros or replica.ready_at_micros
        if ready_at is None and replica.state is ReplicaState.READY:
            ready_at = now
        pid = life.replica.pid if replica.pid is None else replica.pid
        life.replica, life.missing_since = replace(replica, ready_at_micros=ready_at, pid=pid), None
        if not is_ended(replica):
            life.seen_at, life.ended_at = now, None
        else:
            life.ended_at = replica.ended_at_micros or life.ended_at or now
        return before != (ready_at, life.ended_at) or isinstance(life.run, Deployment)

    def _life_of(self, replica: Replica) -> _Life | None:
        """Return what is known of a replica, from now on if it is new; None for one that is not metered or over."""
        place = (replica.deployment, replica.id)
        life = self._lives.get(place)
        if life is not None and (is_same(life.replica, replica) or life.is_only_begun(replica)):
            return life
        if life is not None and replica.started_at_micros < life.replica.started_at_micros:
            earlier = (each for each in self._over if each.replica.deployment == replica.deployment)
            return next((each for each in earlier if is_process(each.replica, replica)), None)
        born = self._born(place, replica)
        if born is None:
            return None
        if life is not None:
            life.ended_at = life.ended_at or life.seen_at
            self._over.append(life)
        self._lives[place] = born
        return born

    def _born(self, place: Place, replica: Replica) -> _Life | None:
        """Return a replica that was not known to live: a new one, or one that was taken for gone."""
        now, done = self._parts.clock.unix_micros(), self._done.get(place)
        if done is not None and is_same(replica_of(done), replica):
            return None if is_ended(replica) else _Life(replica_of(done), done, now, is_begun=True)
        deployment = self._parts.deployment(replica.deployment)
        owes_nothing = is_ended(replica) and replica.ready_at_micros is None
        return None if deployment is None or owes_nothing else _Life(replica, deployment, now)

    def _take_over(self, run: ReplicaRun) -> None:
        """Join a run of the store with the replica that it is of, when a driver has told of that already."""
        place, replica = (run.deployment_id, run.replica), replica_of(run)
        life = self._lives.get(place)
        for each in self._over if life is None else (life, *self._over):
            if isinstance(each.run, Deployment) and is_process(each.replica, replica):
                each.run, each.is_begun = run, True
                return
        known = (run.started_at_micros, run.metered_to_micros, run.seen_at_micros)
        left = _Life(replica, run, max(each for each in known if each is not None), is_begun=True)
        if life is None:
            self._lives[place] = left
        else:
            left.ended_at = left.seen_at
            self._over.append(left)

    def _observe(self) -> None:
        """Look at all replicas; one that no driver tells of any more is gone since it was last seen."""
        seen: set[Place] = set()
        for replica in self._parts.observe():
            seen.add((replica.deployment, replica.id))
            self._fold(replica)
        now = self._parts.clock.monotonic()
        for place, life in self._lives.items():
            if place in seen or life.ended_at is not None:
                continue
            if life.missing_since is None:
                life.missing_since = now
            elif now - life.missing_since >= self._times.missing_seconds:
                life.ended_at = life.seen_at

    async def _book(self, life: _Life, due_micros: int) -> None:
        with contextlib.suppress(MeteringUnavailable):
            run = life.run
            if isinstance(run, Deployment):
                # Kept before it is stored: when the store's answer is lost, the same run is begun again.
                run = life.run = await self._known_run(life.replica) or await self._new_run(life.replica, run)
            await self._begin(life, run)
            await self._meter(life, run, due_micros)

    async def _begin(self, life: _Life, run: ReplicaRun) -> None:
        if not life.is_begun:
            await self._parts.runs.begin(run)
            life.is_begun = True

    async def _known_run(self, replica: Replica) -> ReplicaRun | None:
        """Return the last run of a replica that the store knows: an end may be told again to the next process."""
        return next(reversed(await self._runs_of(replica)), None)

    async def _runs_of(self, replica: Replica) -> list[ReplicaRun]:
        """Return the runs of one process, oldest first."""
        about = (replica.started_at_micros - START_SLACK_MICROS - 1, replica.started_at_micros + START_SLACK_MICROS + 1)
        runs = await self._parts.runs.of(replica.deployment, *about)
        return [run for run in runs if is_process(replica_of(run), replica)]

    async def _new_run(self, replica: Replica, deployment: Deployment) -> ReplicaRun:
        price = await self._parts.price(deployment, replica.started_at_micros)
        price = price or ReplicaPrice(deployment.nano_per_hour, deployment.price_source)
        goal = deployment.goal
        return ReplicaRun(
            id=self._parts.ids.new("run"),
            deployment_id=deployment.id,
            deployment=deployment.name,
            account=deployment.account,
            model_id=goal.model,
            replica=replica.id,
            driver=goal.driver,
            accelerator=goal.accelerator,
            gpus=goal.gpus,
            nano_per_hour=price.nano_per_hour,
            price_source=price.source,
            started_at_micros=replica.started_at_micros,
            pid=replica.pid,
        )

    async def _meter(self, life: _Life, kept: ReplicaRun, due_micros: int) -> None:
        """Book the lines that are due; the first of them says already when the replica was last seen, or its end."""
        replica, ended_at = life.replica, life.ended_at
        run = replace(
            kept,
            started_at_micros=replica.started_at_micros,
            ready_at_micros=kept.ready_at_micros or replica.ready_at_micros,
            gone_at_micros=None,
            pid=replica.pid,
            seen_at_micros=life.seen_at if ended_at is None else ended_at,
        )
        until = life.seen_at if ended_at is None else ended_at
        if run.ready_at_micros is not None:
            since = run.metered_to_micros or run.ready_at_micros
            if since < until:
                run = await self._at_its_price(life, run, since)
            for cut in cuts(since, until):
                run, since = await self._store(life, replace(run, metered_to_micros=cut), cut), cut
                run = await self._at_its_price(life, run, cut)
            if ended_at is not None or 0 < until - since >= due_micros:
                run = replace(run, metered_to_micros=until)
        run = replace(run, gone_at_micros=ended_at)
        if ended_at is not None and run.ready_at_micros is not None and ended_at < run.ready_at_micros:
            await self._take_back(replica, run, ended_at)
        if self._is_news(run, life.run):
            await self._store(life, run, until)

    async def _take_back(self, replica: Replica, run: ReplicaRun, ended_at: int) -> None:
        """Reverse what runs before this one were charged for after the end: it was told after the price had changed."""
        for each in await self._runs_of(replica):
            if each.id != run.id and each.gone_at_micros is not None and each.gone_at_micros > ended_at:
                await self._parts.runs.meter(replace(each, gone_at_micros=ended_at), ())

    async def _at_its_price(self, life: _Life, run: ReplicaRun, at_micros: int) -> ReplicaRun:
        """Return the run that goes on then, a new one where another price holds from then on.

        The books have the run up to then, so asking again, after a failure or in the next process, comes to the same.
        """
        if not run.is_on_another_day(at_micros):
            return run
        deployment = self._parts.deployment(run.deployment_id)
        if deployment is None or (deployment.goal.accelerator, deployment.goal.gpus) != (run.accelerator, run.gpus):
            return run
        price = await self._parts.price(deployment, at_micros)
        if price is None or price.nano_per_hour == run.nano_per_hour:
            return run
        await self._store(life, replace(run, gone_at_micros=at_micros), at_micros)
        following = replace(
            run,
            id=self._parts.ids.new("run"),
            nano_per_hour=price.nano_per_hour,
            price_source=price.source,
            ready_at_micros=at_micros,
            metered_to_micros=None,
        )
        # Kept before it is stored, as a first run is.
        life.run, life.is_begun = following, False
        await self._begin(life, following)
        return following

    def _is_news(self, run: ReplicaRun, kept: ReplicaRun | Deployment) -> bool:
        """Whether the store should know: anything but that it was seen again, and that too after a while."""
        if isinstance(kept, Deployment) or run != replace(kept, seen_at_micros=run.seen_at_micros):
            return True
        return (run.seen_at_micros or 0) - (kept.seen_at_micros or 0) >= self._times.seen_seconds * MICROS

    async def _store(self, life: _Life, run: ReplicaRun, until_micros: int) -> ReplicaRun:
        scopes = self._parts.scopes(run.account, run.deployment, until_micros - 1)
        await self._parts.runs.meter(run, scopes)
        life.run = run
        return run

    def _finish(self, life: _Life, run: ReplicaRun) -> None:
        """Forget a replica that is in the books to its end, but for what tells it from the next one of its name."""
        place = (life.replica.deployment, life.replica.id)
        if self._lives.get(place) is not life:
            self._over.remove(life)
            return
        del self._lives[place]
        self._done[place] = run
        while len(self._done) > MOST_REMEMBERED:
            del self._done[next(iter(self._done))]
