"""A deployment of the real embedded model under a load trace: none, two, none; through a lost gateway; to its end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.deployed_server import PATH, SLOW_SECONDS, Deployed, deployed_server
from tests.running import eventually, headrace

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def deployed(smollm_path: Path, weights_cache: Path, tmp_path: Path) -> Iterator[Deployed]:
    assert smollm_path.exists()
    with deployed_server(tmp_path / "home", weights_cache) as made:
        yield made


def test_none_two_none_under_a_load_trace(deployed: Deployed) -> None:
    deployed.deploy("0:2", "3s")
    assert deployed.get("")["dedicated_inference"]["reason"] == "It sleeps until a request comes."
    assert deployed.pids() == set()
    with deployed.load(4):
        eventually(lambda: deployed.standing()["ready"] == 2, "two replicas are ready", SLOW_SECONDS)
        assert len(deployed.pids()) == 2
        answered = len(deployed.statuses)
        eventually(lambda: len(deployed.statuses) > answered + 4, "both answer", SLOW_SECONDS)
    assert set(deployed.statuses) == {200}
    eventually(lambda: deployed.standing()["ready"] == 0, "it sleeps again", SLOW_SECONDS)
    eventually(lambda: deployed.pids() == set(), "no engine runs", SLOW_SECONDS)
    assert 0 < deployed.standing()["wake_seconds"] < SLOW_SECONDS
    with deployed.server.client(deployed.server.admin_token) as client:
        metrics = client.get("/metrics").text
    assert 'headrace_deployment_replicas{deployment="prod",state="ready"} 0.0' in metrics


def test_a_lost_gateway_leaves_its_replicas_and_the_next_one_takes_them_over(deployed: Deployed) -> None:
    deployed.deploy("1:2", "10m")
    before = deployed.pids()
    assert len(before) == 1
    deployed.server.kill()
    assert deployed.pids() == before
    deployed.server.start()
    deployed.ask()
    assert deployed.statuses == [200], "who comes before it was looked at waits for that"
    eventually(lambda: deployed.standing()["ready"] == 1, "the replica is taken over", SLOW_SECONDS)
    assert deployed.pids() == before


def test_deleting_lets_requests_end_first(deployed: Deployed) -> None:
    deployed.deploy("1:1", "10m")
    asking = threading.Thread(target=deployed.ask, args=(64,))
    asking.start()
    eventually(lambda: deployed.standing()["in_flight"] == 1, "the request is in flight")
    done = headrace("deployments", "delete", "prod", home=deployed.server.home)
    assert done.returncode == 0, done.stdout + done.stderr
    asking.join()
    assert deployed.statuses == [200]
    assert deployed.pids() == set()
    with deployed.server.client(deployed.server.admin_token) as client:
        assert client.get(f"{PATH}/{deployed.id}").status_code == 404
    deployed.id = ""
