"""The `ray` compute driver: each deployment is one application of Ray Serve, which places, scales and heals replicas.

This driver writes applications, looks at them in the background, wakes sleeping ones and picks proxies. It never joins
the cluster. Replicas outlive it: the next one finds them by the names of their applications.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine, Mapping, Sequence
from contextlib import suppress

from headrace.domain.dedicated import Standing
from headrace.domain.deployment import DeploymentSpec, Replica, ReplicaState
from headrace.domain.errors import DriverUnusable, EngineFailed, HeadraceError
from headrace.domain.json_value import JsonObject
from headrace.domain.picking import ReadyReplica
from headrace.domain.plan import Endpoint
from headrace.domain.secret import Secret
from headrace.drivers.compute.ray.config import application_config, is_within, serve_config
from headrace.drivers.compute.ray.deployment import RayDeployment
from headrace.drivers.compute.ray.order import replica_name
from headrace.drivers.compute.ray.parts import RayParts
from headrace.drivers.compute.ray.proxies import Proxies
from headrace.drivers.compute.ray.sight import Sight
from headrace.ports.fleet import Lease


class RayCompute:
    """Runs deployments as applications of Ray Serve; call `open` once before the first `apply`.

    `trouble` is why the cluster could not be looked at the last time, None when it could.
    """

    scales_itself = True

    def __init__(self, parts: RayParts) -> None:
        self._parts = parts
        self._deployments: dict[str, RayDeployment] = {}
        self._proxies = Proxies(parts.clock)
        self._sight = Sight(parts.serve.log, parts.clock, parts.on_change, parts.pace.facts_seconds)
        self._writing = asyncio.Lock()
        self._looking = asyncio.Lock()
        self._look_now = asyncio.Event()
        self.trouble: HeadraceError | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Begin to look at the cluster in the background, as soon as there is a deployment."""
        self._keep(self._look_for_ever(), "look at ray")

    async def apply(self, spec: DeploymentSpec) -> None:
        """Make the application say this; raises DriverUnusable, EngineFailed when the cluster refuses or is silent."""
        name = self._parts.naming.application(spec.id)
        entry = self._deployments.get(spec.id)
        if entry is None:
            entry = self._deployments[spec.id] = RayDeployment(spec, self._parts.clock.monotonic())
        elif entry.spec != spec:
            entry.spec, entry.is_ending = spec, False
        elif self._stands(entry):
            if self.trouble is not None:
                raise self.trouble
            if self._is_given_up(entry):
                await self._write(name, None)
            return
        await self._write(name, self._config(entry))

    async def scale(self, deployment: str, replicas: int) -> None:
        """Wake a sleeping deployment, or with 0 let all replicas end as soon as they are idle; else Ray decides."""
        entry = self._known(deployment)
        entry.is_ending = replicas == 0
        if entry.is_ending and entry.waking is not None and not entry.waiting:
            entry.waking.cancel()
        if not self._stands(entry):
            await self._write(self._parts.naming.application(deployment), self._config(entry))
        if replicas and not entry.replicas:
            self._wake(entry)

    def observe(self) -> Sequence[Replica]:
        """Return all replicas as Ray last reported them, and the last one of each deployment that failed."""
        found: list[Replica] = []
        for entry in self._deployments.values():
            found.extend(each.told() for each in entry.replicas.values())
            if entry.failed is not None:
                found.append(entry.failed.told())
        return found

    def standing(self, deployment: str) -> Standing | None:
        """Return how a deployment stands, from what was last seen; None when it is not known."""
        entry = self._deployments.get(deployment)
        return None if entry is None else entry.standing(self._parts.clock.monotonic())

    def ready(self, deployment: str) -> Sequence[ReadyReplica]:
        """Return the replicas that answer."""
        entry = self._deployments.get(deployment)
        if entry is None or self._proxies.choose() is None:
            return ()
        return [ReadyReplica(each.id, each.leases) for each in entry.trusted(self._parts.clock.monotonic())]

    def lease(self, deployment: str, replica: str) -> Lease | None:
        """Return an endpoint through the proxy on the replica's node, which asks that replica first."""
        entry = self._deployments.get(deployment)
        found = None if entry is None else entry.replicas.get(replica)
        if entry is None or found is None or found.state is not ReplicaState.READY:
            return None
        found.proxy = self._proxies.choose(found.node)
        if found.proxy is None:
            return None

        def released() -> None:
            entry.used_at = self._parts.clock.monotonic()

        return found.lease(self._endpoint(deployment, found.proxy, found.id), released)

    async def acquire(self, deployment: str, wait_seconds: float) -> Lease:
        """Return the least busy replica's endpoint, waking one when there is none; raises EngineFailed."""
        entry = self._known(deployment)
        entry.waiting += 1
        try:
            async with asyncio.timeout(wait_seconds):
                return await self._lease(entry)
        except TimeoutError:
            raise self._not_in_time(entry, wait_seconds) from None
        finally:
            entry.waiting -= 1

    def report(self, deployment: str, replica: str, *, is_well: bool) -> None:
        """Leave a replica and the proxy before it out for a while; Ray's own health checks replace what is dead."""
        entry = self._deployments.get(deployment)
        found = None if entry is None else entry.replicas.get(replica)
        if entry is None or found is None:
            return
        if found.proxy is not None:
            (self._proxies.answered if is_well else self._proxies.failed)(found.proxy)
        if is_well:
            found.answered()
            entry.notify()
        else:
            found.failed(self._parts.clock.monotonic(), self._parts.pace.rest_seconds)
            self._look_now.set()

    async def figures(self, deployment: str) -> Mapping[str, Mapping[str, float]]:
        """Return nothing: an engine on a node answers nobody but its relay."""
        del deployment
        return {}

    async def logs(self, deployment: str, replica: str | None, lines: int) -> Mapping[str, Sequence[str]]:
        """Return the last lines of engines' logs from the nodes, of the last replicas that ended too."""
        entry = self._deployments.get(deployment)
        if entry is None:
            return {}
        asked = [each for each in (*entry.gone, *entry.replicas.values()) if replica in (None, each.id)]
        texts = await asyncio.gather(
            *(self._sight.file(each.node, f"{replica_name(each.id)}.log", lines) for each in asked)
        )
        return {
            each.id: text.decode("utf-8", "replace").splitlines()[-lines:]
            for each, text in zip(asked, texts, strict=True)
            if text is not None
        }

    async def remove(self, deployment: str) -> None:
        """Delete the application and return when it is gone; all others in the cluster stay as they are."""
        name = self._parts.naming.application(deployment)
        entry = self._deployments.get(deployment)
        if entry is not None:
            entry.is_ending = True
            if entry.waking is not None:
                entry.waking.cancel()
        if name in (await self._parts.serve.cluster()).configs:
            await self._write(name, None)
        await self._until_gone(name)
        # Not while a look that began earlier still takes in what there was.
        async with self._looking:
            self._deployments.pop(deployment, None)
            if entry is not None:
                self._sight.end(entry, tuple(entry.replicas), is_wanted=True)
                entry.notify()

    async def end_unknown(self, known: Collection[str]) -> None:
        """Delete applications of this installation whose deployments are not known any more."""
        cluster = await self._parts.serve.cluster()
        for name in cluster.configs:
            deployment = self._parts.naming.deployment(name)
            if deployment is not None and deployment not in known:
                await self.remove(deployment)

    async def close(self) -> None:
        """Stop looking; everything goes on to run."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._parts.serve.close()

    async def look(self) -> None:
        """Look at the cluster once and take in what is there; raises DriverUnusable, EngineFailed."""
        async with self._looking:
            began = self._parts.clock.monotonic()
            cluster = await self._parts.serve.cluster()
            self._proxies.update(cluster.addresses())
            for deployment, entry in tuple(self._deployments.items()):
                application = cluster.applications.get(self._parts.naming.application(deployment))
                entry.looked_at = began
                await self._sight.take(entry, application)

    async def _look_for_ever(self) -> None:
        while True:
            self._look_now.clear()
            if self._deployments:
                await self._look_or_note()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._next_look_seconds()):
                    await self._look_now.wait()

    async def _look_or_note(self) -> None:
        began = self._parts.clock.monotonic()
        try:
            await self.look()
            self.trouble = None
        except HeadraceError as error:
            # What was seen last goes on to be used: a silent dashboard says nothing about replicas.
            self.trouble = error
            for entry in self._deployments.values():
                entry.looked_at = began
                entry.notify()

    def _next_look_seconds(self) -> float | None:
        pace = self._parts.pace
        if not self._deployments:
            return None
        if self.trouble is not None:
            return pace.troubled_seconds
        is_settled = all(each.is_settled for each in self._deployments.values())
        return pace.settled_seconds if is_settled else pace.busy_seconds

    async def _lease(self, entry: RayDeployment) -> Lease:
        while True:
            if self._deployments.get(entry.spec.id) is not entry:
                raise self._unknown(entry.spec.id)
            changed = entry.changed
            for each in sorted(self.ready(entry.spec.id), key=lambda one: one.in_flight):
                lease = self.lease(entry.spec.id, each.id)
                if lease is not None:
                    return lease
            if entry.has_failed:
                raise EngineFailed(self._why(entry), retry_after_seconds=5.0)
            self._wake(entry)
            self._look_now.set()
            await changed.wait()

    def _wake(self, entry: RayDeployment) -> None:
        if entry.waking is None or entry.waking.done():
            entry.waking = self._keep(self._wake_or_note(entry), f"wake {entry.spec.id}")

    async def _wake_or_note(self, entry: RayDeployment) -> None:
        """Wake a deployment; what its cluster has against that is told, and the next try comes after a while."""
        try:
            await self._wake_one(entry)
            entry.trouble = None
        except HeadraceError as error:
            entry.trouble = error
            entry.notify()
            await asyncio.sleep(self._parts.pace.troubled_seconds)

    async def _wake_one(self, entry: RayDeployment) -> None:
        """Ask the application for a sign of life until it has a replica or nobody waits any more."""
        entry.is_ending = False
        if not self._stands(entry):
            await self._write(self._parts.naming.application(entry.spec.id), self._config(entry))
        if not entry.replicas:
            entry.woken_at = self._parts.clock.monotonic()
        is_asked = False
        while not entry.ready and (entry.waiting or not is_asked):
            changed, proxy = entry.changed, self._proxies.choose()
            if proxy is not None and entry.application is not None:
                is_asked = await self._ask(entry, proxy) or is_asked
            self._look_now.set()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._parts.pace.settled_seconds):
                    await changed.wait()

    async def _ask(self, entry: RayDeployment, proxy: str) -> bool:
        """Ask for a sign of life; a proxy that fails at once is left out, one that waits for a replica is not."""
        now, seconds = self._parts.clock.monotonic, self._parts.pace.wake_seconds
        began = now()
        has_answered = await self._parts.serve.wake(self._endpoint(entry.spec.id, proxy, None), seconds)
        if not has_answered and now() - began < seconds:
            self._proxies.failed(proxy)
        return has_answered

    def _is_given_up(self, entry: RayDeployment) -> bool:
        """Whether Ray tries no more to start it, and it is time to delete it: the next `apply` writes it anew."""
        now = self._parts.clock.monotonic()
        if not entry.has_failed or entry.retry_at is None:
            entry.retry_at = now + self._parts.pace.retry_seconds if entry.has_failed else None
            return False
        return now >= entry.retry_at

    def _stands(self, entry: RayDeployment) -> bool:
        """Whether the application was last seen to be configured as is wanted."""
        found = None if entry.application is None else entry.application.config
        return found is not None and is_within(self._config(entry), found)

    def _config(self, entry: RayDeployment) -> JsonObject:
        parts = self._parts
        secret = parts.secret_of(entry.spec.id)
        return application_config(entry.spec, secret, parts.naming, parts.policy, is_ending=entry.is_ending)

    async def _write(self, name: str, config: JsonObject | None) -> None:
        """Set or delete one application's configuration and leave all others as they are."""
        async with self._writing:
            cluster = await self._parts.serve.cluster()
            configs = cluster.configs
            if config is None:
                configs.pop(name, None)
            elif is_within(config, configs.get(name)):
                configs = None
            else:
                configs[name] = config
            if configs is not None:
                await self._parts.serve.put(serve_config(cluster, tuple(configs.values()), self._parts.policy))
        await self.look()
        self._look_now.set()

    async def _until_gone(self, name: str) -> None:
        seconds = self._parts.policy.drain_seconds + self._parts.pace.removal_seconds
        try:
            async with asyncio.timeout(seconds):
                while name in (await self._parts.serve.cluster()).applications:  # noqa: ASYNC110 - Ray tells by asking
                    await asyncio.sleep(self._parts.pace.busy_seconds)
        except TimeoutError:
            raise EngineFailed(
                f'Ray Serve still has the application "{name}" {seconds:g} s after it was deleted. Look at the'
                " cluster's dashboard."
            ) from None

    def _endpoint(self, deployment: str, proxy: str, replica: str | None) -> Endpoint:
        secret = self._parts.secret_of(deployment).reveal()
        base_url = proxy + self._parts.naming.route(deployment)
        return Endpoint(base_url, "authorization", Secret(f"Bearer {secret}"), replica)

    def _known(self, deployment: str) -> RayDeployment:
        entry = self._deployments.get(deployment)
        if entry is None:
            raise self._unknown(deployment)
        return entry

    def _unknown(self, deployment: str) -> EngineFailed:
        return EngineFailed(f'The deployment "{deployment}" is not known or is being removed.')

    def _not_in_time(self, entry: RayDeployment, wait_seconds: float) -> EngineFailed:
        return EngineFailed(
            f"{self._why(entry)} There was no replica after {wait_seconds:g} s. Retry in a moment.",
            retry_after_seconds=2.0,
        )

    def _why(self, entry: RayDeployment) -> str:
        trouble = self.trouble or entry.trouble
        if isinstance(trouble, DriverUnusable):
            return "The Ray cluster cannot be asked now; the deployment's reason says what its operator can do."
        if trouble is not None:
            return trouble.message
        reason = "" if entry.application is None else entry.application.reason
        does = "could not start" if entry.has_failed else "is starting"
        return f'Ray Serve {does} "{entry.spec.name or entry.spec.id}". {reason}'.strip()

    def _keep(self, work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        failure = None if task.cancelled() else task.exception()
        if failure is not None:
            task.get_loop().call_exception_handler(
                {"message": f"{task.get_name()} failed", "exception": failure, "task": task}
            )
