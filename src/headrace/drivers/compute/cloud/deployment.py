"""One deployment at the cloud: looks at what is there and takes the next step towards what is wanted.

Each step may be repeated and may fail anywhere: a dedicated inference is found again by its name, which carries our
deployment's id. The public contract knows no deployment without a replica, so none wanted means that it is deleted.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from headrace.domain.dedicated import Standing
from headrace.domain.deployment import DeploymentSpec, Replica, ReplicaState
from headrace.domain.errors import DriverUnusable, EngineFailed, HeadraceError
from headrace.domain.plan import Endpoint
from headrace.domain.secret import Secret
from headrace.drivers.compute.cloud.notes import CloudNote
from headrace.drivers.compute.cloud.parts import CloudParts
from headrace.drivers.compute.cloud.replica import CloudReplica
from headrace.drivers.compute.cloud.replies import (
    BAD,
    NOT_SERVING,
    CloudAccelerator,
    CloudInference,
    CloudPlan,
    CloudToken,
)
from headrace.drivers.compute.cloud.spec_json import changes_anything, public_plan, public_spec
from headrace.ports.fleet import Lease

ACTIVE, DELETING = "active", "deleting"
# What changes for long is looked at more seldom, each time after a tenth of the time that it has lasted.
BUSY_SHARE = 0.1
DOUBTED = 2


@dataclass(frozen=True, slots=True)
class _Sent:
    """What the cloud was asked for and what it shows of it, at first as it rolls it out and then for good."""

    asked: CloudPlan
    shown: CloudPlan | None
    at: float
    is_settled: bool = False


class CloudDeployment:
    """What we know and want of one deployment. `wanted` is None until the cloud was looked at, or somebody said it."""

    def __init__(self, spec: DeploymentSpec, name: str, parts: CloudParts, poke: Callable[[], None]) -> None:
        self.spec = spec
        self.name = name
        self.wanted: int | None = None
        self.waiting = 0
        self.next_at = 0.0
        self.failure: HeadraceError | None = None
        self.changed = asyncio.Event()
        self.is_looked_at = False
        self.is_leaving = False
        self._parts = parts
        self._poke = poke
        self._clock = parts.clock
        self._inference: CloudInference | None = None
        self._note = CloudNote()
        self._kept = CloudNote()
        self._sent: _Sent | None = None
        self._is_doubted = False
        self._looked_at = -math.inf
        self._busy_since: float | None = None
        self._problem_at = 0
        self._replicas: dict[str, CloudReplica] = {}
        self._drains_until = -math.inf
        self._failures = 0
        self._woken_at: float | None = None
        self._wake_seconds: float | None = None
        self._last_used_at = self._clock.monotonic()
        self._lock = asyncio.Lock()

    @property
    def in_flight(self) -> int:
        """Return how many requests it has of us."""
        return sum(each.leases for each in self._replicas.values())

    @property
    def is_gone(self) -> bool:
        """Whether nothing of it is at the cloud."""
        return self.is_looked_at and self._inference is None

    @property
    def problem(self) -> str:
        """Return why it cannot run now, empty where nothing is known against it."""
        return self._trouble if self.failure is None else self.failure.message

    def want(self, replicas: int) -> bool:
        """Note how many replicas should run; returns whether that changes anything."""
        if self.wanted == replicas:
            return False
        if not self.wanted and replicas:
            self._woken_at = self._clock.monotonic()
        if not replicas:
            self._drains_until = self._clock.monotonic() + self._parts.policy.drain_seconds
        self.wanted, self.next_at, self._busy_since = replicas, self._clock.monotonic(), None
        return True

    def doubt(self) -> None:
        """Look soon: a replica did not answer, or did not take the token. A cloud that fails is not asked sooner."""
        self._is_doubted = True
        if self.failure is None:
            soon = max(self._clock.monotonic(), self._looked_at + self._parts.policy.busy_seconds)
            self.next_at = min(self.next_at, soon)
            self._poke()

    def leave(self) -> None:
        """Want nothing any more, without waiting for requests."""
        self.is_leaving = True
        self.wanted, self._drains_until = 0, -math.inf

    async def step(self) -> None:
        """Look at the cloud and take the next step; raises what went wrong, which is also kept as `failure`."""
        try:
            async with self._lock:
                await self._step()
        except HeadraceError as error:
            self._failures += 1
            self.failure = error
            wait = min(
                self._parts.policy.busy_seconds * 2.0 ** min(self._failures, 30), self._parts.policy.backoff_seconds
            )
            self.next_at = self._clock.monotonic() + max(wait, error.retry_after_seconds or 0.0)
            raise
        else:
            self._failures, self.failure = 0, None
            self.next_at = self._clock.monotonic() + self._pause()
        finally:
            self._tell()

    def again(self) -> HeadraceError | None:
        """Return the last failure anew, with the seconds until the next try; None where all is well."""
        if self.failure is None:
            return None
        wait = max(1.0, self.next_at - self._clock.monotonic())
        return type(self.failure)(self.failure.message, retry_after_seconds=wait)

    def ready(self) -> list[CloudReplica]:
        """Return the replicas that can be sent to: while all of them rest, none is left out but those in doubt.

        One that failed more than once is in doubt until the cloud was asked after that, if it answers at all.
        """
        if self._endpoint(None) is None or not self.wanted:
            return []
        found = [each for each in self._replicas.values() if each.state is ReplicaState.READY]
        awake = [each for each in found if each.is_awake]
        return awake or [each for each in found if not self._is_in_doubt(each)]

    def _is_in_doubt(self, replica: CloudReplica) -> bool:
        return self.failure is None and replica.failures >= DOUBTED and replica.failed_at >= self._looked_at

    def lease(self, replica: CloudReplica) -> Lease | None:
        """Return the right to send one request to a replica."""
        endpoint = self._endpoint(replica.name)
        if endpoint is None or replica not in self.ready():
            return None
        self._last_used_at = self._clock.monotonic()
        return replica.lease(endpoint, self._released)

    def replica(self, name: str) -> CloudReplica | None:
        """Return a replica by its id."""
        return self._replicas.get(name)

    def observed(self) -> Iterator[Replica]:
        """Yield the replicas as last seen, and one that failed in the place of those that the cloud cannot run."""
        yield from (each.seen() for each in self._replicas.values())
        if self._trouble:
            at = self._problem_at
            reason = self._with_next(self._trouble)
            yield Replica(self.name, self.spec.id, ReplicaState.FAILED, None, None, at, reason, ended_at_micros=at)

    def standing(self) -> Standing | None:
        """Return how it stands, None until the cloud was looked at."""
        if not self.is_looked_at or self.is_leaving:
            return None
        wanted, ready = self.wanted or 0, len(self.ready())
        in_flight = self.in_flight
        return Standing(
            wanted=wanted,
            ready=ready,
            starting=max(0, wanted - ready),
            in_flight=in_flight,
            waiting=self.waiting,
            idle_seconds=0.0 if in_flight or self.waiting else self._clock.monotonic() - self._last_used_at,
            wake_seconds=self._wake_seconds,
        )

    def refusal(self, wait_seconds: float) -> EngineFailed:
        """Return why no replica came in time; what the operator has to set is for the operator alone."""
        if isinstance(self.failure, DriverUnusable):
            why = "The cloud cannot be asked now; the deployment's reason says what its operator can do."
        elif self.problem:
            why = self._with_next(self.problem)
        else:
            why = "The cloud is still starting it; retry in a moment."
        return EngineFailed(
            f'"{self.spec.name or self.spec.id}" has no replica at the cloud after {wait_seconds:g} s. {why}',
            retry_after_seconds=max(2.0, self._parts.policy.busy_seconds),
        )

    @property
    def _trouble(self) -> str:
        """What the cloud says against it, or we do; empty when nothing is."""
        there = self._inference
        if there is None:
            return ""
        if self._is_insecure(there):
            return f'its endpoint "{there.endpoint}" is not https, so no request and no token is sent to it'
        return there.problem

    @property
    def is_hopeless(self) -> bool:
        """Whether waiting is of no use before the operator or the cloud does something."""
        return isinstance(self.failure, DriverUnusable) or bool(self._trouble)

    async def _step(self) -> None:
        await self._look()
        if not self.wanted:
            await self._end()
        elif self._inference is None:
            await self._create()
        elif self._inference.status != DELETING:
            await self._keep(self._inference)
        await self._see()
        await self._write_down()

    async def _look(self) -> None:
        client, known = self._parts.client, self._inference
        self._looked_at = self._clock.monotonic()
        # What is not found by its id is looked for by its name before another one is made.
        self._inference = None if known is None else await client.get(known.id)
        if self._inference is None:
            self._inference = await client.find(self.name)
        if not self.is_looked_at:
            self._note = self._kept = await self._parts.notes.recall(self.spec.id) or CloudNote()
        if self._inference is not None and self._note.inference != self._inference.id:
            self._note = CloudNote(self._inference.id)
        if self.wanted is None:
            self.wanted = self._running_scale()
        self.is_looked_at = True

    def _running_scale(self) -> int:
        there = self._inference
        if there is None or there.status == DELETING:
            return 0
        return there.plan.scale if there.plan is not None else 1

    async def _end(self) -> None:
        there = self._inference
        is_drained = not self.in_flight or self._clock.monotonic() >= self._drains_until
        if there is None or there.status == DELETING or not is_drained:
            return
        await self._parts.client.delete(there.id)
        self._inference = await self._parts.client.get(there.id)

    async def _create(self) -> None:
        plan = public_plan(self.spec, self.wanted or 1)
        spec = public_spec(self.spec, plan, self.name)
        await self._parts.notes.keep(self.spec.id, CloudNote())
        self._kept = CloudNote()
        self._inference, token = await self._parts.client.create(spec, self._parts.model_token(self.spec.id))
        self._sent = _Sent(plan, self._inference.plan, self._looked_at)
        self._note = CloudNote(self._inference.id, token)

    async def _keep(self, there: CloudInference) -> None:
        token = await self._valid_token(there)
        if token is None:
            token = await self._parts.client.new_token(there.id, f"headrace-{self._clock.unix_micros()}")
            self._note = CloudNote(there.id, token, self._note.ready)
        asked = public_plan(self.spec, self.wanted or 1)
        if not self._must_ask(there, asked):
            return
        spec = public_spec(self.spec, asked, self.name, there.model_id)
        self._inference = await self._parts.client.change(there.id, spec)
        self._sent = _Sent(asked, self._inference.plan, self._looked_at)

    async def _valid_token(self, there: CloudInference) -> CloudToken | None:
        """Return the token, None where there is none or somebody has revoked it."""
        token, is_doubted = self._note.token, self._is_doubted
        self._is_doubted = False
        if token is None or not is_doubted or not token.id:
            return token
        return token if token.id in await self._parts.client.tokens(there.id) else None

    def _must_ask(self, there: CloudInference, asked: CloudPlan) -> bool:
        """Whether the cloud has to be asked for this; it may show in words of its own what it was asked for."""
        sent, now = self._sent, self._looked_at
        if sent is None or sent.asked != asked:
            if there.plan is None or changes_anything(there.plan, asked):
                return True
            self._sent = _Sent(asked, there.plan, now, is_settled=True)
            return False
        if there.status in BAD:
            return now - sent.at >= self._parts.policy.backoff_seconds
        if not sent.is_settled:
            self._sent = _Sent(asked, there.plan, sent.at, is_settled=there.status == ACTIVE)
            return False
        return there.plan != sent.shown and (there.plan is None or changes_anything(there.plan, asked))

    async def _see(self) -> None:
        there = self._inference
        found = () if there is None else await self._parts.client.accelerators(there.id)
        for gone in self._replicas.keys() - {each.id for each in found}:
            replica = self._replicas.pop(gone)
            replica.end()
            self._parts.on_change(replica.seen())
        for each in found:
            self._see_one(each, there.status if there is not None else "")
        ready = {name: each.ready_at_micros for name, each in self._replicas.items()}
        times = {name: micros for name, micros in ready.items() if micros is not None}
        self._note = CloudNote() if there is None else CloudNote(there.id, self._note.token, times)
        if not self._trouble:
            self._problem_at = 0
        elif not self._problem_at:
            self._problem_at = self._clock.unix_micros()
        if self._woken_at is not None and self.ready():
            self._wake_seconds, self._woken_at = self._clock.monotonic() - self._woken_at, None

    def _see_one(self, found: CloudAccelerator, status: str) -> None:
        replica = self._replicas.get(found.id)
        before = None if replica is None else replica.seen()
        if replica is None:
            started = found.created_at_micros or self._clock.unix_micros()
            replica = self._replicas[found.id] = CloudReplica(found.id, self.spec.id, started, self._clock)
            replica.ready_at_micros = self._note.ready.get(found.id)
        replica.become(*self._state_of(found, status), found.ready_at_micros)
        if replica.seen() != before:
            self._parts.on_change(replica.seen())

    def _state_of(self, found: CloudAccelerator, status: str) -> tuple[ReplicaState, str]:
        if found.status in BAD:
            return ReplicaState.FAILED, f'The cloud says that the accelerator is "{found.status}".'
        if not self.wanted or status == DELETING or found.status == DELETING:
            return ReplicaState.STOPPING, ""
        if found.status == ACTIVE and status not in NOT_SERVING and self._endpoint(found.id) is not None:
            return ReplicaState.READY, ""
        return ReplicaState.STARTING, ""

    def _endpoint(self, replica: str | None) -> Endpoint | None:
        """Return the public endpoint; an address without a scheme has that of the control plane."""
        there, token = self._inference, self._note.token
        if there is None or not there.endpoint or token is None or self._is_insecure(there):
            return None
        access = self._parts.client.access
        address = there.endpoint if "://" in there.endpoint else f"{access.scheme}://{there.endpoint}"
        base = address.rstrip("/")
        base = base if base.endswith("/v1") else f"{base}/v1"
        return Endpoint(base, "authorization", Secret(f"Bearer {token.value.reveal()}"), replica)

    def _is_insecure(self, there: CloudInference) -> bool:
        return there.endpoint.startswith("http:") and self._parts.client.access.scheme == "https"

    async def _write_down(self) -> None:
        if self._note.is_same_as(self._kept):
            return
        await self._parts.notes.keep(self.spec.id, self._note)
        self._kept = self._note

    def _pause(self) -> float:
        there = self._inference
        if there is None and not self.wanted:
            return math.inf
        is_up = self.wanted and self.wanted == len(self.ready())
        policy, now = self._parts.policy, self._clock.monotonic()
        if is_up and there is not None and there.status == ACTIVE:
            self._busy_since = None
            return policy.poll_seconds
        self._busy_since = now if self._busy_since is None else self._busy_since
        wait = min(policy.poll_seconds, max(policy.busy_seconds, (now - self._busy_since) * BUSY_SHARE))
        left = self._drains_until - now
        return min(wait, left) if not self.wanted and left > 0 else wait

    def _with_next(self, problem: str) -> str:
        wait = self.next_at - self._clock.monotonic()
        when = f"The cloud is asked again in {wait:.0f} s." if 1 <= wait < math.inf else "The cloud is asked again now."
        return f"{problem.rstrip('.')}. {when}"

    def _released(self) -> None:
        self._last_used_at = self._clock.monotonic()
        if not self.wanted and not self.in_flight:
            self.next_at = self._last_used_at
            self._poke()
        self._tell()

    def _tell(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()
