"""Removing a model while its real engine runs: the engine ends, the disk is free, the model says so and comes back."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.e2e.deployed_server import MODEL
from tests.running import RunningHeadrace, headrace

OWN = "my-own"


@pytest.fixture
def server(smollm_path: Path, weights_cache: Path, tmp_path: Path) -> Iterator[RunningHeadrace]:
    assert smollm_path.exists()
    made = RunningHeadrace(tmp_path / "home")
    made.take_weights(weights_cache)
    with made:
        yield made


def ask(server: RunningHeadrace, model: str) -> httpx2.Response:
    body: dict[str, Any] = {"model": model, "max_tokens": 4, "messages": [{"role": "user", "content": "hi"}]}
    with server.client() as client:
        return client.post("/v1/chat/completions", json=body)


def replicas(server: RunningHeadrace) -> list[str]:
    with server.client(server.admin_token) as client:
        return [each["deployment"] for each in client.get("/v2/replicas").json()["replicas"]]


def models(server: RunningHeadrace, *arguments: str) -> str:
    done = headrace("models", *arguments, home=server.home)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_running_model_is_removed_and_comes_back(server: RunningHeadrace, smollm_path: Path) -> None:
    place = server.home / "weights" / "sha256" / smollm_path.name[:2] / smollm_path.name
    assert place.exists()
    assert ask(server, MODEL).status_code == 200
    assert replicas(server) == [MODEL]
    assert f"Removed {MODEL}" in models(server, "remove", MODEL)
    assert (replicas(server), place.exists()) == ([], False)
    refused = ask(server, MODEL)
    assert f"headrace models pull {MODEL}" in refused.text
    (server.home / "weights" / "partial").mkdir(exist_ok=True)
    shutil.copy(smollm_path, server.home / "weights" / "partial" / f"{smollm_path.name}.part")
    models(server, "pull", MODEL)
    assert ask(server, MODEL).status_code == 200


def test_an_added_model_is_forgotten_and_its_file_stays(
    server: RunningHeadrace, smollm_path: Path, tmp_path: Path
) -> None:
    models(server, "remove", MODEL)
    own = tmp_path / "own.gguf"
    shutil.copy(smollm_path, own)
    models(server, "add", str(own), "--name", OWN, "--yes")
    assert ask(server, OWN).status_code == 200
    assert f"Forgot {OWN}" in models(server, "remove", OWN)
    assert own.stat().st_size == smollm_path.stat().st_size
    assert ask(server, OWN).status_code == 404
    assert OWN not in (server.home / "architectures.toml").read_text()
