"""A backup of before a deployment is put back: what runs at the cloud is left alone until the operator says more."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.running import RunningHeadrace, eventually, headrace

MODEL, NOTE = "smollm2-135m", "RESTORED"
SLOW_SECONDS = 60.0
LOOKED_SECONDS = 3.0

pytestmark = pytest.mark.timeout(200)


@pytest.fixture
def cloud(tmp_path: Path, weights_cache: Path, smollm_path: Path) -> Iterator[RunningHeadrace]:
    """Another server in the cloud's place."""
    assert smollm_path.exists()
    running = RunningHeadrace(tmp_path / "cloud")
    running.take_weights(weights_cache)
    with running:
        yield running


def at_the_cloud(cloud: RunningHeadrace) -> list[str]:
    with cloud.client(cloud.admin_token) as client:
        found: list[dict[str, Any]] = client.get("/v2/dedicated-inferences").json()["dedicated_inferences"]
    return [each["name"] for each in found]


def verb(*arguments: str, home: Path) -> Any:
    done = headrace(*arguments, "--json", home=home)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_what_a_restored_home_does_not_know_is_left_alone_until_the_note_is_deleted(
    cloud: RunningHeadrace, weights_cache: Path, tmp_path: Path
) -> None:
    token, server = tmp_path / "token", RunningHeadrace(tmp_path / "home")
    token.write_text(cloud.admin_token)
    server.take_weights(weights_cache)
    drivers = f'[drivers]\ncloud_address = "{cloud.base_url}"\ncloud_token_file = "{token}"\n'
    (server.home / "headrace.toml").write_text(drivers)
    with server:
        verb("backup", str(tmp_path / "before.tgz"), home=server.home)
        sizes = ("--accelerator", "cpu", "--scale", "1:1", "--slots", "1", "--context", "512")
        verb("deploy", MODEL, "--driver", "cloud", "--name", "prod", *sizes, home=server.home)
        (name,) = at_the_cloud(cloud)
        assert name.startswith("headrace-")
    verb("restore", str(tmp_path / "before.tgz"), "--force", home=server.home)
    assert "before.tgz" in (server.home / NOTE).read_text()
    with server:
        assert verb("deployments", "list", home=server.home)["dedicated_inferences"] == []
        assert "home restored" in server.log
        stays_until(cloud, LOOKED_SECONDS)
    (server.home / NOTE).unlink()
    with server:
        eventually(lambda: at_the_cloud(cloud) == [], "what nobody knows is deleted", SLOW_SECONDS)


def stays_until(cloud: RunningHeadrace, seconds: float) -> None:
    """Look for so long whether the deployment stays."""
    with pytest.raises(AssertionError):
        eventually(lambda: at_the_cloud(cloud) == [], "it is deleted", seconds)
