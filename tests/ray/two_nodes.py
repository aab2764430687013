"""`make ray`: a deployment with two replicas on two Ray nodes, one of which is killed under eight streams.

Prints what it measures. Nodes, replicas and where they run are taken from Ray's own answers.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from headrace.domain.deployment import DeploymentSpec, Replica
from headrace.drivers.compute.ray.compute import RayCompute
from headrace.drivers.transports.http1_transport import Http1Transport
from tests.ray.cluster import RayCluster
from tests.ray.worlds import Callers, Stream, a_ray_deployment, driver, engines, ray_spec

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(900)]
STREAMS, SLOTS, TOKENS = 8, 4, 100
SECONDS = 180.0


async def until(condition: Callable[[], bool], what: str, compute: RayCompute | None = None) -> float:
    """Poll until the condition holds and return how long it took, in seconds."""
    began = time.monotonic()
    while not condition():
        seen = "" if compute is None else compute.observe()
        assert time.monotonic() - began < SECONDS, f"not in time: {what}; {seen}"
        await asyncio.sleep(0.05)
    return time.monotonic() - began


def say(what: str, figure: float | str) -> None:
    """Print one line of the table."""
    shown = figure if isinstance(figure, str) else f"{figure:.2f} s"
    print(f"{what:<72}{shown}", flush=True)  # noqa: T201 - what the run is for


def nodes_of(compute: RayCompute, deployment: str) -> dict[str, str]:
    return {each.id: each.node for each in compute.observe() if each.deployment == deployment}


async def test_a_node_dies_under_eight_streams(tmp_path: Path, smollm_path: Path) -> None:
    deployment, guest = a_ray_deployment("dep-two", 2, 2, SLOTS), a_ray_deployment("dep-guest", 0, 1, SLOTS, 3)
    seen: list[Replica] = []
    with tempfile.TemporaryDirectory(prefix="hr-") as short, RayCluster(Path(short) / "r", tmp_path, cpus=3) as cluster:
        compute, other = driver(cluster, on_change=seen.append), driver(cluster, "somebody-else")
        async with Http1Transport("headrace-test") as transport:
            await compute.open()
            await other.open()
            say("nodes that Ray reports", str(len(cluster.alive())))
            await other.apply(ray_spec(guest, smollm_path))
            began = time.monotonic()
            await compute.apply(ray_spec(deployment, smollm_path))
            await until(lambda: len(compute.ready("dep-two")) == 2, "two replicas", compute)
            say("apply to two replicas that made a token", time.monotonic() - began)
            callers = Callers.of(compute, transport, deployment)
            await kill_under_load(cluster, compute, callers, seen)
            compute = await adopted(cluster, compute, ray_spec(deployment, smollm_path), seen)
            await sleeps_and_wakes(other, transport)
            await compute.remove("dep-two")
            say("engines left after the deployment was deleted", str(len(engines("dep-two"))))
            assert engines("dep-two") == set()
            assert compute.standing("dep-two") is None
            standing = other.standing("dep-guest")
            await other.look()
            assert standing is not None, "somebody else's application is untouched"
            lease = await other.acquire("dep-guest", SECONDS)
            lease.release()
            say("somebody else's application after that", "answers")
            await compute.close()
            await other.close()
    left = await until(lambda: not engines("dep-two") | engines("dep-guest"), "no engine after the cluster's end")
    say("engines of a running deployment outlive the whole cluster by at most", left)
    assert cluster.processes() == []


async def kill_under_load(cluster: RayCluster, compute: RayCompute, callers: Callers, seen: list[Replica]) -> None:
    """Kill the node that is not the head with eight streams on both and eight more that have no first byte yet."""
    alive, placed = cluster.alive(), nodes_of(compute, "dep-two")
    assert set(placed.values()) == set(alive), "each replica is on a node of its own, by Ray's word"
    doomed = next(node for node, address in alive.items() if address != cluster.nodes[0].address)
    (dead,) = [replica for replica, node in placed.items() if node == doomed]
    running = [callers.stream(f"Count from {number} on, in words.", TOKENS) for number in range(STREAMS)]
    await until(lambda: all(each.sink.blocks for each in running), "first bytes of eight streams")
    waiting = [callers.stream(f"Say {number} in words.", 8) for number in range(STREAMS)]
    busy = {each.id: each.in_flight for each in compute.ready("dep-two")}
    say("requests on each replica when the node is killed", str(sorted(busy.values())))
    assert all(busy.values()), "both replicas have streams"
    assert all(each.outcome == "whole" for each in running if each.task is not None and each.task.done())
    cluster.kill(doomed)
    killed = time.monotonic()
    watch = asyncio.get_running_loop().create_task(recovery(cluster, compute, (doomed, dead), seen))
    await asyncio.gather(*(each.task for each in (*running, *waiting) if each.task is not None))
    say("until all requests had ended", time.monotonic() - killed)
    tell("of 8 streams with a first byte", running)
    tell("of 8 requests without one", waiting)
    assert {each.outcome for each in waiting} == {"whole"}
    assert {each.outcome for each in running} <= {"whole", "broken, reported"}
    say("requests without a first byte that needed another replica", str(sum(each.attempts > 1 for each in waiting)))
    longest = max(each.first_byte - each.began for each in waiting if each.first_byte is not None)
    say("the longest of them waited for its first byte", longest)
    await watch
    assert set(nodes_of(compute, "dep-two").values()) == set(alive) - {doomed}
    await until(lambda: len(engines("dep-two")) == 2, "no engine of the dead node")
    say("engines on this machine then, two of them of replicas", str(len(engines("dep-two"))))


async def recovery(cluster: RayCluster, compute: RayCompute, lost: tuple[str, str], seen: list[Replica]) -> None:
    """Note when Ray says that the node is dead, when its replica is told gone, and when there are two again."""
    (node, replica), killed = lost, time.monotonic()
    told: dict[str, Callable[[], bool]] = {
        "until its replica is told gone": lambda: any(each.id == replica and each.ended_at_micros for each in seen),
        "until there are two replicas again": lambda: (
            replica not in nodes_of(compute, "dep-two") and len(compute.ready("dep-two")) == 2
        ),
        "until Ray says that the node is dead": lambda: node not in cluster.alive(),
    }
    while told:
        assert time.monotonic() - killed < SECONDS, f"not in time: {list(told)}"
        for what in [what for what, condition in told.items() if condition()]:
            say(what, time.monotonic() - killed)
            del told[what]
        await asyncio.sleep(0.25)


def tell(what: str, streams: list[Stream]) -> None:
    """Print how streams ended."""
    counted = Counter(each.outcome for each in streams)
    say(what, ", ".join(f"{count} {outcome}" for outcome, count in sorted(counted.items())))
    for each in streams:
        if each.error is not None:
            print(f"    {type(each.error).__name__}: {each.error.message}"[:160])  # noqa: T201 - as above


async def adopted(cluster: RayCluster, compute: RayCompute, spec: DeploymentSpec, seen: list[Replica]) -> RayCompute:
    """Let the control plane end and another begin: it finds the same replicas with the same times."""
    replicas = {each.id: each for each in compute.observe()}
    await compute.close()
    began = time.monotonic()
    successor = driver(cluster, on_change=seen.append)
    await successor.open()
    await successor.apply(spec)
    await until(lambda: len(successor.ready("dep-two")) == 2, "adopted")
    say("a new control plane has both replicas again after", time.monotonic() - began)
    after = {each.id: each for each in successor.observe()}
    assert set(after) == set(replicas)
    for name, replica in after.items():
        before = replicas[name]
        assert (replica.node, replica.pid) == (before.node, before.pid)
        assert (replica.started_at_micros, replica.ready_at_micros) == (
            before.started_at_micros,
            before.ready_at_micros,
        )
    return successor


async def sleeps_and_wakes(other: RayCompute, transport: Http1Transport) -> None:
    """From no replica to an answer, and back to none when nobody asks any more."""
    standing = other.standing("dep-guest")
    assert standing is not None
    assert standing.ready == 0
    callers = Callers.of(other, transport, a_ray_deployment("dep-guest", 0, 1, SLOTS, 3))
    stream = callers.stream("Say hello.", 8)
    assert stream.task is not None
    await stream.task
    assert stream.outcome == "whole", stream.error
    assert stream.first_byte is not None
    say("from no replica to the first byte", stream.first_byte - stream.began)
    idle = await until(lambda: not other.observe(), "asleep again")
    say("asleep again, with idle_seconds 3, after", idle)
