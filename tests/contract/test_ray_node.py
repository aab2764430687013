"""One replica on a node: a real child process behind the relay, asked as the cluster's proxy asks it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, MutableMapping
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from headrace.app.ray_node import NodeWeights
from headrace.domain.errors import EngineFailed, UpstreamUnavailable
from headrace.domain.plan import Endpoint
from headrace.domain.secret import Secret
from headrace.drivers.compute.ray.node_replica import NodeParts, NodeReplica
from headrace.drivers.compute.ray.order import ReplicaFacts, ReplicaOrder, order_of
from headrace.drivers.compute.ray.relay import Message, Relay
from headrace.drivers.compute.supervisor import ProcessSupervisor
from headrace.drivers.weights.store import WeightsStore
from headrace.testing.clock import FakeClock, FakeRandom
from tests.contract.toy_fleet import ToyEngine, ask, eventually, is_running
from tests.fakes.ray_answers import SECRET, SHA256, a_spec
from tests.weights_fixtures import SMOLLM, ThreadOffload

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]
ORDER = order_of(replace(a_spec(), engine="toy"), SECRET)


class Caller:
    """The cluster's proxy: one request by ASGI, with what was sent back."""

    def __init__(self, path: str, secret: str = "open sesame", body: bytes = b"", *, stays: bool = True) -> None:
        self.scope: MutableMapping[str, object] = {
            "type": "http",
            "method": "POST",
            "path": f"/headrace-dep{path}",
            "root_path": "/headrace-dep",
            "query_string": b"a=1",
            "headers": [(b"Authorization", f"Bearer {secret}".encode()), (b"X-Kept", b"1"), (b"Host", b"proxy")],
        }
        self.sent: list[Message] = []
        self.came = asyncio.Event()
        self.gone = asyncio.Event()
        self._body: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
        if not stays:
            self._body = []
            self.gone.set()

    async def receive(self) -> Message:
        if self._body:
            return self._body.pop(0)
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.sent.append(message)
        self.came.set()

    @property
    def status(self) -> object:
        return self.sent[0]["status"]

    @property
    def body(self) -> bytes:
        return b"".join(each["body"] for each in self.sent[1:] if isinstance(each["body"], bytes))


class Upstream:
    """An engine in this process that streams two pieces, the second when it is let."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.left = asyncio.Event()
        self.asked: list[web.Request] = []
        self.active_count = 0
        self.breaks = False
        self.endpoint = Endpoint("")

    def active(self) -> None:
        self.active_count += 1

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        await request.read()
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        try:
            await response.write(b"data: 1\n\n")
            await self.go_on.wait()
            if self.breaks:
                assert request.transport is not None
                request.transport.abort()
                return response
            await response.write(b"data: [DONE]\n\n")
        except asyncio.CancelledError:
            self.left.set()
            raise
        return response


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    upstream = Upstream()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", upstream.answer)
    runner = web.AppRunner(application, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    (address,) = runner.addresses
    upstream.endpoint = Endpoint(f"http://127.0.0.1:{address[1]}", "authorization", Secret("Bearer inner"))
    yield upstream
    await runner.cleanup()


@pytest.fixture
async def relay(upstream: Upstream) -> AsyncIterator[Relay]:
    relay = Relay(ORDER, upstream)
    yield relay
    await relay.close()


async def test_an_answer_comes_piece_by_piece_with_the_engines_own_secret(relay: Relay, upstream: Upstream) -> None:
    caller = Caller("/v1/chat/completions", body=b'{"stream":true}')
    task = asyncio.get_running_loop().create_task(relay(caller.scope, caller.receive, caller.send))
    await eventually(lambda: len(caller.sent) == 2, 10.0)
    assert (caller.status, caller.body) == (200, b"data: 1\n\n")
    assert relay.in_flight == 1
    upstream.go_on.set()
    await task
    assert caller.body == b"data: 1\n\ndata: [DONE]\n\n"
    assert caller.sent[-1]["more_body"] is False
    (request,) = upstream.asked
    assert (request.method, request.path_qs) == ("POST", "/v1/chat/completions?a=1")
    assert request.headers["authorization"] == "Bearer inner"
    assert (request.headers["x-kept"], request.headers["content-length"]) == ("1", "15")
    assert relay.in_flight == 0
    assert upstream.active_count >= 3


async def test_a_caller_who_leaves_takes_the_request_with_him(relay: Relay, upstream: Upstream) -> None:
    caller = Caller("/v1/chat/completions")
    task = asyncio.get_running_loop().create_task(relay(caller.scope, caller.receive, caller.send))
    await eventually(lambda: len(caller.sent) == 2, 10.0)
    caller.gone.set()
    await task
    async with asyncio.timeout(5):
        await upstream.left.wait()
    early = Caller("/v1/chat/completions", stays=False)
    await relay(early.scope, early.receive, early.send)
    assert early.sent == []


async def test_an_answer_that_breaks_off_gets_no_end(relay: Relay, upstream: Upstream) -> None:
    upstream.breaks = True
    upstream.go_on.set()
    caller = Caller("/v1/chat/completions")
    with pytest.raises(Exception, match=r"(?i)payload|disconnect|closed|reset"):
        await relay(caller.scope, caller.receive, caller.send)
    assert all(each.get("more_body", True) for each in caller.sent[1:])


async def test_without_the_secret_nothing_passes(relay: Relay, upstream: Upstream) -> None:
    caller = Caller("/v1/models", secret="other")
    await relay(caller.scope, caller.receive, caller.send)
    assert caller.status == 401
    waker = Caller("/-/wake")
    await relay(waker.scope, waker.receive, waker.send)
    assert waker.status == 200
    beside = Caller("@elsewhere/")
    await relay(beside.scope, beside.receive, beside.send)
    assert beside.status == 404
    assert upstream.asked == []


async def test_an_engine_that_does_not_answer_is_503(relay: Relay, upstream: Upstream) -> None:
    upstream.endpoint = Endpoint("http://127.0.0.1:1")
    caller = Caller("/v1/models")
    await relay(caller.scope, caller.receive, caller.send)
    assert caller.status == 503


async def test_the_lifespan_protocol_is_spoken(relay: Relay) -> None:
    messages: list[Message] = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent: list[Message] = []

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    await relay({"type": "lifespan"}, receive, send)
    assert [each["type"] for each in sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


def node(home: Path, engine: ToyEngine, clock: FakeClock, order: ReplicaOrder = ORDER) -> NodeReplica:
    async def weights(_: ReplicaOrder) -> tuple[Path, ...]:
        return ()

    supervisor = ProcessSupervisor(home, clock, FakeRandom(), {})
    return NodeReplica(order, NodeParts("ray-a", {"toy": engine}, supervisor, weights, clock, home / "facts.json"))


async def test_a_replica_starts_tells_when_it_was_ready_and_ends(tmp_path: Path) -> None:
    clock = FakeClock()
    replica = node(tmp_path, ToyEngine(), clock)
    with pytest.raises(EngineFailed, match="is not running"):
        _ = replica.endpoint
    await replica.start()
    pid = (await ask(replica.endpoint))[1]["pid"]
    assert isinstance(pid, int)
    facts = msgspec.json.decode((tmp_path / "facts.json").read_bytes(), type=ReplicaFacts)
    assert facts.ready_at_micros == clock.unix_micros()
    await replica.check()
    await replica.stop()
    assert not is_running(pid)
    with pytest.raises(EngineFailed, match="it was not started"):
        await replica.check()


async def test_a_dead_engine_and_a_silent_one_are_found(tmp_path: Path) -> None:
    clock, engine = FakeClock(), ToyEngine()
    replica = node(tmp_path, engine, clock)
    await replica.start()
    probes = engine.probes
    await replica.check()
    assert engine.probes == probes
    clock.advance(6.0)
    await replica.check()
    assert engine.probes == probes + 1
    await ask(replica.endpoint, "/crash")
    await eventually(lambda: not any((tmp_path / "run").glob("*.json")), 10.0)
    with pytest.raises(EngineFailed, match="has ended: it exited with status 7"):
        await replica.check()
    await replica.stop()


async def test_the_end_of_an_engine_is_heard_and_being_stopped_is_none(tmp_path: Path) -> None:
    replica = node(tmp_path, ToyEngine(), FakeClock())
    with pytest.raises(EngineFailed, match="is not running"):
        await replica.ended()
    await replica.start()
    hearing = asyncio.get_running_loop().create_task(replica.ended())
    await ask(replica.endpoint, "/crash")
    assert "it exited with status 7" in await hearing
    await replica.stop()
    await replica.start()
    hearing = asyncio.get_running_loop().create_task(replica.ended())
    await asyncio.sleep(0)
    await replica.stop()
    with pytest.raises(asyncio.CancelledError):
        await hearing


async def test_an_engine_that_ends_while_starting_says_why(tmp_path: Path) -> None:
    engine = ToyEngine("--starts", str(tmp_path / "starts"), "--fail-starts", "1")
    with pytest.raises(EngineFailed, match="ended while starting: it exited with status 1"):
        await node(tmp_path, engine, FakeClock()).start()


async def test_an_engine_that_the_node_does_not_have_is_refused(tmp_path: Path) -> None:
    order = order_of(replace(a_spec(), engine="other"), SECRET)
    with pytest.raises(EngineFailed, match='has no engine "other"; it has: toy'):
        node(tmp_path, ToyEngine(), FakeClock(), order)


def node_weights(home: Path) -> NodeWeights:
    return NodeWeights(home, WeightsStore(home, (), FakeClock(), ThreadOffload()))


async def test_weights_are_those_of_the_node_else_of_a_shared_path(tmp_path: Path) -> None:
    home, shared = tmp_path / "node", tmp_path / "gateway" / "weights" / "sha256" / "ab" / SHA256
    shared.parent.mkdir(parents=True)
    shared.write_bytes(b"x")
    order = order_of(replace(a_spec(), weights=(shared,)), SECRET)
    assert await node_weights(home).of(order) == (shared,)
    own = home / "weights" / "sha256" / "ab" / SHA256
    own.parent.mkdir(parents=True)
    own.write_bytes(b"x")
    assert await node_weights(home).of(order) == (own,)


async def test_weights_that_are_nowhere_are_named_or_pulled_by_their_hash(tmp_path: Path) -> None:
    with pytest.raises(EngineFailed, match="are not on this node, and its catalog has none of this sha256"):
        await node_weights(tmp_path).of(ORDER)
    known = replace(a_spec(), weights=(tmp_path / SMOLLM.sha256[:2] / SMOLLM.sha256,))
    with pytest.raises(UpstreamUnavailable, match="could not be fetched"):
        await node_weights(tmp_path).of(order_of(known, SECRET))
