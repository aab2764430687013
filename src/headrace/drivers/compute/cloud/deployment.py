"""One deployment at the cloud: looks at what is there and takes the next step towards what is wanted.

Each step may be repeated and may fail anywhere: a dedicated inference is found again by its name, which carries our
deployment's id. The public contract knows no deployment without a replica, so none wanted means that it is deleted.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from headrace.domain.dedicated import Standing
from headrace.domain.deployment import DeploymentSpec, Replica, ReplicaState
from headrace.domain.errors import DriverUnusable, EngineFailed, HeadraceError
from headrace.domain.plan import Endpoint
from headrace.domain.secret import Secret
from headrace.drivers.compute.cloud.client import CloudClient
from headrace.drivers.compute.cloud.notes import CloudNote, CloudNotes
from headrace.drivers.compute.cloud.replica import CloudReplica
from headrace.drivers.compute.cloud.replies import BAD, NOT_SERVING, CloudAccelerator, CloudInference, CloudPlan
from headrace.drivers.compute.cloud.spec_json import changes_anything, public_plan, public_spec
from headrace.ports.ambient import Clock
from headrace.ports.fleet import Lease

DELETING = "deleting"


@dataclass(frozen=True, slots=True)
class CloudPolicy:
    """How often the cloud is asked and how long is waited, in seconds.

    While something changes it is asked every `busy_seconds`, else every `poll_seconds`; after a failure the wait
    doubles from there up to `backoff_seconds`. Requests in flight are waited for at most `drain_seconds` before
    a deletion, which may take `remove_seconds` to be seen done.
    """

    busy_seconds: float = 2.0
    poll_seconds: float = 15.0
    backoff_seconds: float = 300.0
    drain_seconds: float = 60.0
    rest_seconds: float = 5.0
    remove_seconds: float = 60.0


def _ignore(_replica: Replica) -> None:
    return None


def _no_token(_deployment: str) -> Secret | None:
    return None


@dataclass(frozen=True, slots=True)
class CloudParts:
    """What every deployment of the driver shares.

    `on_change` hears of each replica as it changes. `model_token` says which token fetches the weights of a deployment
    whose model is gated, None where they are open.
    """

    client: CloudClient
    notes: CloudNotes
    clock: Clock
    policy: CloudPolicy = field(default_factory=CloudPolicy)
    on_change: Callable[[Replica], None] = _ignore
    model_token: Callable[[str], Secret | None] = _no_token


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
        self._sent: tuple[CloudPlan, CloudPlan | None] | None = None
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
        self.wanted, self.next_at = replicas, self._clock.monotonic()
        return True

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

    def ready(self) -> Iterator[CloudReplica]:
        """Yield the replicas that can be sent to."""
        if self._endpoint(None) is not None and self.wanted:
            yield from (each for each in self._replicas.values() if each.is_ready)

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
        wanted, ready = self.wanted or 0, len(tuple(self.ready()))
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

    def refusal(self, wait_seconds: float) -> HeadraceError:
        """Return why no replica came in time."""
        if isinstance(self.failure, DriverUnusable):
            return DriverUnusable(self.failure.message)
        why = self._with_next(self.problem) if self.problem else "The cloud is still starting it; retry in a moment."
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
        client = self._parts.client
        if self._inference is None:
            self._inference = await client.find(self.name)
        else:
            self._inference = await client.get(self._inference.id)
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
        self._sent = plan, self._inference.plan
        self._note = CloudNote(self._inference.id, token)

    async def _keep(self, there: CloudInference) -> None:
        if self._note.token is None:
            token = await self._parts.client.new_token(there.id, f"headrace-{self._clock.unix_micros()}")
            self._note = CloudNote(there.id, token, self._note.ready)
        asked = public_plan(self.spec, self.wanted or 1)
        if self._sent == (asked, there.plan) or (there.plan is not None and not changes_anything(there.plan, asked)):
            return
        spec = public_spec(self.spec, asked, self.name, there.model_id)
        self._inference = await self._parts.client.change(there.id, spec)
        # The cloud may write in words of its own what it was sent.
        self._sent = asked, self._inference.plan

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
        if self._woken_at is not None and any(self.ready()):
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
            return ReplicaState.FAILED, self._with_next(f'the cloud says that the accelerator is "{found.status}"')
        if not self.wanted or status == DELETING or found.status == DELETING:
            return ReplicaState.STOPPING, ""
        if found.status == "active" and status not in NOT_SERVING and self._endpoint(found.id) is not None:
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
        return Endpoint(base, "authorization", Secret(f"Bearer {token.reveal()}"), replica)

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
        is_up = self.wanted and self.wanted == len(tuple(self.ready()))
        is_settled = is_up and there is not None and there.status == "active"
        return self._parts.policy.poll_seconds if is_settled else self._parts.policy.busy_seconds

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
