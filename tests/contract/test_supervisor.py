"""The supervisor over real processes: who starts, who ends when, and what each may see."""

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from headrace.domain.deployment import LaunchPlan, OwnerLoss
from headrace.domain.errors import EngineFailed
from headrace.domain.plan import Endpoint
from headrace.domain.secret import Secret
from headrace.drivers.compute.supervisor import ProcessSupervisor
from headrace.ports.fleet import Running
from headrace.testing.clock import FakeClock, FakeRandom
from tests.contract.toy_fleet import ask, eventually, is_running, plan, until_answers

pytestmark = pytest.mark.timeout(30)

ROOT = Path(__file__).parents[2]
GATEWAY = Path(__file__).with_name("toy_gateway.py")
GONE_SECONDS = 5.0


class Remembering(ProcessSupervisor):
    """Remembers what it started, so that the fixture can end it."""

    def __init__(self, home: Path) -> None:
        super().__init__(home, FakeClock(), FakeRandom(), {"LANG": "C"}, log_bytes=2_000)
        self.started: list[Running] = []

    async def start(self, plan: LaunchPlan) -> Running:
        running = await super().start(plan)
        self.started.append(running)
        return running


@pytest.fixture
async def supervisor(tmp_path: Path) -> AsyncIterator[Remembering]:
    supervisor = Remembering(tmp_path)
    yield supervisor
    for running in supervisor.started:
        await supervisor.stop(running, 1.0)


@dataclass(frozen=True)
class Gateway:
    """A gateway process with the pids of each replica: warden, engine and the engine's own child."""

    process: subprocess.Popen[str]
    replicas: list[list[int]]

    @property
    def pids(self) -> list[int]:
        return [pid for replica in self.replicas for pid in replica]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def gateways() -> Iterator[list[Gateway]]:
    running: list[Gateway] = []
    yield running
    for gateway in running:
        gateway.kill()
        if gateway.process.stdout is not None:
            gateway.process.stdout.close()
        for pid in gateway.pids:
            if is_running(pid):
                os.kill(pid, signal.SIGKILL)


def run_gateway(gateways: list[Gateway], home: Path, *replicas: str) -> Gateway:
    process = subprocess.Popen(
        [sys.executable, str(GATEWAY), str(home), *replicas],
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
    )
    assert process.stdout is not None
    pids = [[int(pid) for pid in process.stdout.readline().split()] for _ in replicas]
    gateway = Gateway(process, pids)
    gateways.append(gateway)
    assert all(each and all(map(is_running, each)) for each in pids)
    return gateway


async def test_starts_with_its_own_secret_and_only_the_environment_it_was_given(
    supervisor: ProcessSupervisor, tmp_path: Path
) -> None:
    running = await supervisor.start(plan("toy-0"))
    about = await until_answers(running.endpoint)
    secret_file = tmp_path / "run" / "toy-0.secret"
    assert stat.S_IMODE(secret_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(secret_file.parent.stat().st_mode) == 0o700
    secret = secret_file.read_text()
    port = running.endpoint.base_url.rpartition(":")[2]
    assert about["environment"] == {"LANG": "C", "TOY": port, "LC_CTYPE": "C.UTF-8"}
    assert secret not in str(about)
    assert len(secret) == 64
    assert (await ask(running.endpoint, secret="Bearer wrong"))[0] == 401


async def test_stop_ends_the_whole_group_and_removes_state_and_secret(
    supervisor: ProcessSupervisor, tmp_path: Path
) -> None:
    running = await supervisor.start(plan("toy-0", "--child"))
    about = await until_answers(running.endpoint)
    await supervisor.stop(running, 5.0)
    assert not any(is_running(int(str(pid))) for pid in (running.pid, about["pid"], about["child"]))
    assert list((tmp_path / "run").iterdir()) == []
    assert (await supervisor.exited(running)).startswith("it was ended by signal SIGTERM")


async def test_stop_forces_an_engine_that_ignores_the_polite_way(supervisor: ProcessSupervisor) -> None:
    running = await supervisor.start(plan("toy-0", "--deaf"))
    await until_answers(running.endpoint)
    await supervisor.stop(running, 0.2)
    assert not is_running(running.pid)
    assert (await supervisor.exited(running)).startswith("it was ended by signal SIGKILL")


async def test_exited_says_how_and_what_was_said_last(supervisor: ProcessSupervisor, tmp_path: Path) -> None:
    wait = "while not os.path.exists(sys.argv[1]): time.sleep(0.01)"
    code = f"import os, sys, time; print('first')\n{wait}\nsys.exit('no such model')"
    go_on = tmp_path / "go-on"
    command = (sys.executable, "-c", code, str(go_on))
    running = await supervisor.start(LaunchPlan("x", "x-0", command, (), 1, OwnerLoss.STOP))
    go_on.touch()
    how = await supervisor.exited(running)
    assert how.startswith("it exited with status 1; last lines: ")
    assert "no such model" in how


async def test_a_program_that_is_not_there_fails_the_start(supervisor: ProcessSupervisor, tmp_path: Path) -> None:
    with pytest.raises(EngineFailed, match=r"engine did not start: .*No such file.*nowhere"):
        await supervisor.start(LaunchPlan("x", "x-0", ("/nowhere",), (), 1, OwnerLoss.STOP))
    assert list((tmp_path / "run").iterdir()) == []


async def test_a_cancelled_start_leaves_nothing(supervisor: ProcessSupervisor, tmp_path: Path) -> None:
    others = psutil.Process().children()
    starting = asyncio.get_running_loop().create_task(supervisor.start(plan("toy-0")))
    await asyncio.sleep(0)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert set(psutil.Process().children()) <= set(others)
    assert list((tmp_path / "run").iterdir()) == []


async def test_logs_are_kept_within_their_bound(supervisor: ProcessSupervisor, tmp_path: Path) -> None:
    running = await supervisor.start(plan("toy-0", "--talk", "500"))
    await until_answers(running.endpoint)
    logs = tmp_path / "logs"
    await eventually(lambda: "line 499" in (logs / "toy-0.log").read_text(), 5.0)
    assert supervisor.tail(running) == "toy: line 499"
    assert sorted(path.name for path in logs.iterdir()) == ["toy-0.log", "toy-0.log.1"]
    assert all(path.stat().st_size <= 2_000 + 65_536 for path in logs.iterdir())


async def test_an_engine_dies_with_its_warden(supervisor: ProcessSupervisor) -> None:
    running = await supervisor.start(plan("toy-0", "--child"))
    about = await until_answers(running.endpoint)
    os.kill(running.pid, signal.SIGKILL)
    assert (await supervisor.exited(running)).startswith("its warden was killed")
    pids = [int(str(about["pid"])), int(str(about["child"]))]
    await eventually(lambda: not any(map(is_running, pids)), GONE_SECONDS)


async def test_killing_the_gateway_ends_every_engine(gateways: list[Gateway], tmp_path: Path) -> None:
    gateway = run_gateway(gateways, tmp_path, "one-0=stop", "two-0=stop")
    gateway.kill()
    took = await eventually(lambda: not any(map(is_running, gateway.pids)), GONE_SECONDS)
    assert took < GONE_SECONDS


async def test_a_fork_of_the_gateway_does_not_keep_engines_alive(gateways: list[Gateway], tmp_path: Path) -> None:
    gateway = run_gateway(gateways, tmp_path, "one-0=stop", "fork")
    engine, holder = gateway.replicas
    gateway.kill()
    await eventually(lambda: not any(map(is_running, engine)), GONE_SECONDS)
    assert all(map(is_running, holder))


def test_no_other_process_holds_a_lifelines_write_end(gateways: list[Gateway], tmp_path: Path) -> None:
    gateway = run_gateway(gateways, tmp_path, "one-0=stop", "two-0=stop")
    lifelines = written_pipes(gateway.process.pid) & read_pipes(gateway.replicas[0][0], gateway.replicas[1][0])
    assert len(lifelines) == 2
    for pid in gateway.pids:
        assert written_pipes(pid) & lifelines == set()


def written_pipes(*pids: int) -> set[str]:
    return {link for link, flags in pipes(*pids) if flags & os.O_ACCMODE == os.O_WRONLY}


def read_pipes(*pids: int) -> set[str]:
    return {link for link, flags in pipes(*pids) if flags & os.O_ACCMODE == os.O_RDONLY}


def pipes(*pids: int) -> Iterator[tuple[str, int]]:
    for pid in pids:
        for fd in Path(f"/proc/{pid}/fd").iterdir():
            link = str(fd.readlink())
            if link.startswith("pipe:"):
                info = Path(f"/proc/{pid}/fdinfo/{fd.name}").read_text()
                yield link, int(info.split("flags:")[1].split()[0], 8)


async def test_a_kept_engine_survives_its_gateway_and_is_adopted(gateways: list[Gateway], tmp_path: Path) -> None:
    gateway = run_gateway(gateways, tmp_path, "kept-0=keep", "bound-0=stop")
    gateway.kill()
    kept, bound = gateway.replicas
    await eventually(lambda: not any(map(is_running, bound)), GONE_SECONDS)
    supervisor = ProcessSupervisor(tmp_path, FakeClock(), FakeRandom())
    adopted = supervisor.adopt()
    assert [(each.replica, each.deployment, each.pid) for each in adopted] == [("kept-0", "kept", kept[0])]
    assert (await until_answers(adopted[0].endpoint))["pid"] == kept[1]
    await supervisor.stop(adopted[0], 2.0)
    assert not any(map(is_running, kept))
    assert (await supervisor.exited(adopted[0])).startswith("it was ended by signal SIGTERM")
    assert list((tmp_path / "run").iterdir()) == []


async def test_what_must_not_outlive_its_gateway_is_ended_at_the_next_start(
    gateways: list[Gateway], tmp_path: Path
) -> None:
    gateway = run_gateway(gateways, tmp_path, "one-0=stop")
    warden = gateway.replicas[0][0]
    os.kill(warden, signal.SIGSTOP)
    gateway.kill()
    supervisor = ProcessSupervisor(tmp_path, FakeClock(), FakeRandom())
    assert supervisor.adopt() == []
    await eventually(lambda: not any(map(is_running, gateway.pids)), GONE_SECONDS)
    assert list((tmp_path / "run").iterdir()) == []


def test_what_a_cut_off_start_left_is_removed_by_the_next_gateway(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "toy-0.secret").write_text("secret")
    (tmp_path / "run" / "toy-0.life").touch()
    assert list(Remembering(tmp_path).adopt()) == []
    assert list((tmp_path / "run").iterdir()) == []


async def test_a_pid_that_was_given_away_is_neither_adopted_nor_killed(gateways: list[Gateway], tmp_path: Path) -> None:
    gateway = run_gateway(gateways, tmp_path, "kept-0=keep")
    endpoint = endpoint_of(tmp_path, "kept-0")
    state = tmp_path / "run" / "kept-0.json"
    fields = json.loads(state.read_text())
    assert fields["engine_pid"] == gateway.replicas[0][1]
    fields["engine_created"] -= 100
    fields["warden_created"] -= 100
    state.write_text(json.dumps(fields))
    assert ProcessSupervisor(tmp_path, FakeClock(), FakeRandom()).adopt() == []
    assert (await ask(endpoint))[0] == 200
    assert all(map(is_running, gateway.pids))


def endpoint_of(home: Path, replica: str) -> Endpoint:
    port = json.loads((home / "run" / f"{replica}.json").read_text())["port"]
    secret = (home / "run" / f"{replica}.secret").read_text()
    return Endpoint(f"http://127.0.0.1:{port}", "authorization", Secret(f"Bearer {secret}"), replica)
