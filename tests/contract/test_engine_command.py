"""Engines as commands over real processes: the program is found, of the right version, and proves that it works."""

import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from headrace.domain.engine_command import EngineCommand
from headrace.domain.errors import DriverUnusable, EngineFailed
from headrace.domain.plan import Endpoint
from headrace.drivers.ambient import SystemClock
from headrace.drivers.compute.local import LocalCompute, LocalPolicy
from headrace.drivers.engines.command import CommandEngine
from tests.contract.compute_world import scaled_spec
from tests.contract.local_world import BACKOFF, PATIENCE, WatchedSupervisor
from tests.contract.toy_fleet import TOY_ENGINE, ask

pytestmark = pytest.mark.timeout(30)

SPEC = replace(scaled_spec("dep-one"), source="some/model", engine="toy-server")


def command(folder: Path, **changes: str) -> EngineCommand:
    """A toy as an operator would write it: its secret is in the environment, in no argument."""
    program = folder / "toy-server"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {TOY_ENGINE} "$@"\n')
    program.chmod(0o700)
    engine = EngineCommand(
        name="toy-server",
        display_name="Toy",
        file="engines/toy-server.toml",
        executable="toy-server",
        arguments=("--port", "{port}", "--private", "{private_file}", "--model", "{model}", "{name}"),
        install="pip install toy-server==1.2.3",
        docs_url="",
        checked_on="2026-11-28",
        version="1.2.3",
        version_arguments=("--version",),
        environment=(("TOY_SECRET", "{secret}"), ("TOY_DEVICES", "[{devices}]")),
        private_text="about {model}: {secret}\n",
        metrics_path="/metrics",
        figures={"running": "toy_running", "waiting": "toy_waiting"},
    )
    return replace(engine, **changes)


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[tuple[LocalCompute, CommandEngine, Endpoint]]:
    """A replica of the toy, ready."""
    engine = CommandEngine(command(tmp_path), {"PATH": f"{tmp_path}:/usr/bin:/bin"})
    supervisor = WatchedSupervisor(tmp_path, {"PATH": f"{tmp_path}:/usr/bin:/bin"})
    policy = LocalPolicy(patience=PATIENCE, backoff=BACKOFF)
    compute = LocalCompute({"toy-server": engine}, supervisor, SystemClock(), policy)
    await compute.apply(SPEC)
    try:
        lease = await compute.acquire("dep-one", 10.0)
        yield compute, engine, lease.endpoint
    finally:
        await compute.remove("dep-one")
        await compute.close()


async def test_a_command_serves_under_its_base_path(served: tuple[LocalCompute, CommandEngine, Endpoint]) -> None:
    compute, engine, endpoint = served
    assert endpoint.base_url.endswith("/v1")
    assert await engine.ready(endpoint)
    assert await engine.load(endpoint) == {"running": 3.0, "waiting": 4.0}
    assert await compute.figures("dep-one") == {endpoint.replica: {"running": 3.0, "waiting": 4.0}}
    assert await compute.figures("nobody") == {}
    assert not await engine.ready(Endpoint(endpoint.base_url))
    assert not await engine.ready(Endpoint("http://127.0.0.1:9/v1"))
    assert await engine.load(Endpoint("http://127.0.0.1:9/v1")) == {}
    (replica,) = compute.observe()
    assert replica.base_url == endpoint.base_url


async def test_the_secret_is_in_no_argument_and_shown_in_no_log(
    served: tuple[LocalCompute, CommandEngine, Endpoint], tmp_path: Path
) -> None:
    compute, _, endpoint = served
    assert endpoint.auth_value is not None
    secret = endpoint.auth_value.reveal().removeprefix("Bearer ")
    (replica,) = compute.observe()
    assert replica.pid is not None
    warden = psutil.Process(replica.pid)
    for process in (warden, *warden.children(recursive=True)):
        assert secret not in " ".join(process.cmdline())
    private = tmp_path / "run" / f"{replica.id}.private"
    assert private.stat().st_mode & 0o777 == 0o600
    assert private.read_text() == f"about some/model: {secret}\n"
    lines = (await compute.logs("dep-one", replica.id, 10))[replica.id]
    assert "about some/model: …" in lines
    status, about = await ask(Endpoint(endpoint.base_url.removesuffix("/v1"), auth_value=endpoint.auth_value))
    assert status == 200
    assert isinstance(about["environment"], dict)
    assert about["environment"]["TOY_DEVICES"] == "[]"


async def test_a_program_that_is_not_there_says_what_to_install(tmp_path: Path) -> None:
    engine = CommandEngine(command(tmp_path, executable="nowhere-server"), {"PATH": "/usr/bin"})
    compute = LocalCompute(
        {"toy-server": engine}, WatchedSupervisor(tmp_path), SystemClock(), LocalPolicy(patience=PATIENCE)
    )
    with pytest.raises(DriverUnusable, match=r'"nowhere-server", which is not in PATH. Install it: pip install toy'):
        await compute.apply(SPEC)
    assert compute.standing("dep-one") is None
    with pytest.raises(EngineFailed):
        await compute.acquire("dep-one", 1.0)


async def test_another_version_than_the_file_s_is_refused(tmp_path: Path) -> None:
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    await CommandEngine(command(tmp_path), environment).check()
    older = CommandEngine(command(tmp_path, version="1.3.0"), environment)
    for _ in range(2):
        with pytest.raises(
            DriverUnusable, match=r"is version 1\.2\.3; engines/toy-server\.toml is written for 1\.3\.0"
        ):
            await older.check()
    quiet = tmp_path / "quiet"
    quiet.write_text("#!/bin/sh\necho no number\n")
    quiet.chmod(0o700)
    await CommandEngine(command(tmp_path, executable=str(quiet)), environment).check()
    quiet.write_text("#!/nowhere/sh\n")
    with pytest.raises(DriverUnusable, match="cannot be run"):
        await CommandEngine(command(tmp_path, executable=str(quiet)), environment).check()
