"""A Ray cluster in memory as its HTTP interfaces show it: the dashboard's Serve API, logs of nodes, one proxy a node.

It moves on at every look: what starts becomes ready, what is too much ends when it has no request. What it answers has
the shapes that Ray 2.60 was seen to send.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any, cast

import httpx2

from headrace.drivers.compute.ray.client import ServeApi
from tests.fakes.ray_answers import HEAD, OTHER, a_replica, an_answer, an_application

Json = dict[str, Any]
DASHBOARD = "http://192.0.2.1:8265"
STARTED = 1_795_896_092
HOSTS = {"192.0.2.2": HEAD, "192.0.2.3": OTHER}


@dataclass
class FakeReplica:
    """A replica on a node; `plan` is what it was started with, `held` are its requests."""

    tag: str
    node: str
    plan: Json
    state: str = "STARTING"
    held: int = 0

    @property
    def is_current(self) -> bool:
        return self.state in ("STARTING", "RUNNING")


@dataclass
class FakeApplication:
    """An application with its replicas."""

    config: Json
    status: str = "RUNNING"
    message: str = ""
    replicas: list[FakeReplica] = field(default_factory=list[FakeReplica])
    is_woken: bool = False

    @property
    def target(self) -> int:
        scaling: Json = self.config["deployments"][0]["autoscaling_config"]
        if not self.replicas and not self.is_woken:
            return int(scaling["min_replicas"])
        is_ending = scaling["downscale_to_zero_delay_s"] == 0.0
        now = sum(each.is_current for each in self.replicas)
        least = scaling["min_replicas"] if is_ending else max(scaling["min_replicas"], 1 if self.is_woken else now)
        return int(min(least, scaling["max_replicas"]))


class FakeRay:
    """The cluster. `puts` are the configurations that were written, `refusal` is answered to every control request.

    `put_refusal` is answered to every one that would write, and looks wait for `holds_looks`. The proxies of `silent`
    nodes answer nobody; `waiting` are the requests that have no replica yet.
    """

    def __init__(self) -> None:
        self.applications: dict[str, FakeApplication] = {}
        self.puts: list[Json] = []
        self.nodes = [HEAD, OTHER]
        self.refusal: httpx2.Response | Exception | None = None
        self.put_refusal: httpx2.Response | None = None
        self.silent: set[str] = set()
        self.holds_looks = asyncio.Event()
        self.holds_looks.set()
        self.is_silent_about_files = False
        self.is_stuck = False
        self.started: float = STARTED
        self.release = asyncio.Event()
        self.served: list[tuple[str, str, str | None]] = []
        self.waiting = 0
        self.files: dict[str, bytes] = {}
        self.token: str | None = None
        self._count = 0

    def serve(self, **options: Any) -> ServeApi:
        """Return the driver's client of this cluster."""
        return ServeApi(DASHBOARD, transport=self.transport, **options)

    @property
    def transport(self) -> httpx2.MockTransport:
        return httpx2.MockTransport(self._answer)

    async def _answer(self, request: httpx2.Request) -> httpx2.Response:
        # A network would let others have their turn.
        await asyncio.sleep(0)
        if request.url.host in HOSTS:
            return await self._proxy(HOSTS[request.url.host], request)
        if isinstance(self.refusal, Exception):
            raise self.refusal
        if self.refusal is not None:
            return self.refusal
        self.token = request.headers.get("authorization")
        if request.url.path == "/api/v0/logs/file":
            if self.is_silent_about_files:
                await asyncio.Event().wait()
            found = self.files.get(f"{request.url.params['node_id']}:{request.url.params['filename']}")
            return httpx2.Response(500, text="no such file") if found is None else httpx2.Response(200, content=found)
        assert request.url.path == "/api/serve/applications/"
        if request.method == "PUT" and self.put_refusal is not None:
            return self.put_refusal
        if request.method == "PUT":
            self._put(json.loads(request.content))
            return httpx2.Response(200)
        await self.holds_looks.wait()
        self.move()
        return httpx2.Response(200, json=self.answer())

    def answer(self) -> Json:
        """Return what the dashboard says now."""
        shown: list[Json] = []
        for name, each in self.applications.items():
            replicas = [a_replica(one.tag, one.state, one.node, self.started) for one in each.replicas]
            config = None if each.status == "DELETING" else each.config
            told = cast("Json", an_application(name, config, *replicas, status=each.status, message=each.message))
            told["deployments"]["replica"]["target_num_replicas"] = each.target
            shown.append(told)
        return cast("Json", an_answer(*shown, nodes=tuple(self.nodes)))

    def move(self) -> None:
        """Let a little time pass."""
        for name, each in tuple(self.applications.items()):
            each.replicas = [one for one in each.replicas if one.state != "STOPPING" or one.held]
            if each.status == "DELETING":
                for one in each.replicas:
                    one.state = "STOPPING"
                if not each.replicas:
                    del self.applications[name]
                continue
            self._place(each)

    def _place(self, application: FakeApplication) -> None:
        plan, target = application.config["args"], application.target
        for one in application.replicas:
            if one.state == "STARTING" and not self.is_stuck:
                one.state = "RUNNING"
                application.is_woken = False
                self.files[f"{one.node}:headrace/ray-{one.tag}.log"] = b"loading\nlistening\n"
                facts = {"ready_at_micros": (STARTED + 3) * 1_000_000, "pid": 1}
                self.files[f"{one.node}:headrace/ray-{one.tag}.json"] = json.dumps(facts).encode()
        fresh = [one for one in application.replicas if one.plan == plan and one.is_current]
        old = [one for one in application.replicas if one.plan != plan and one.is_current]
        for _ in range(target - len(fresh)):
            self._count += 1
            node = self.nodes[len(fresh) % len(self.nodes)]
            fresh.append(FakeReplica(f"tag{self._count}", node, plan))
            application.replicas.append(fresh[-1])
        if all(one.state == "RUNNING" for one in fresh):
            for one in (*old, *fresh[target:]):
                one.state = "STOPPING"

    def _put(self, config: Json) -> None:
        self.puts.append(config)
        wanted = {each["name"]: each for each in config["applications"]}
        for name, each in wanted.items():
            self.applications.setdefault(name, FakeApplication(each)).config = each
        for name, each in self.applications.items():
            if name not in wanted:
                each.status = "DELETING"

    async def _proxy(self, node: str, request: httpx2.Request) -> httpx2.Response:
        if node not in self.nodes or node in self.silent:
            raise httpx2.ConnectError("refused")
        name, _, path = request.url.path.removeprefix("/").partition("/")
        application = self.applications.get(name)
        if application is None:
            return httpx2.Response(404)
        self.served.append((node, path, request.headers.get("authorization")))
        self.waiting += 1
        try:
            running = await self._running(application)
        finally:
            self.waiting -= 1
        replica = next((one for one in running if one.node == node), running[0])
        if path == "hold":
            replica.held += 1
            await self.release.wait()
            replica.held -= 1
        return httpx2.Response(200, json={"replica": replica.tag})

    async def _running(self, application: FakeApplication) -> list[FakeReplica]:
        while not (running := [one for one in application.replicas if one.state == "RUNNING"]):
            application.is_woken = True
            await asyncio.sleep(0.01)
        return running
