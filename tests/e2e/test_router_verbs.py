"""Routers on the real server by the command: made by hand, written to a file, changed there, kept over a restart."""

from __future__ import annotations

import json
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from tests.running import RunningHeadrace, headrace

BY_HAND = (
    "routers", "create", "support",
    "--task", "refund: customer disputes a charge or wants money back", "--pool", "qwen2.5-coder-0.5b,smollm2-135m",
    "--prefer", "cheapest", "--example", 'He said: "you charged me twice!"',
    "--task", "bug-fixing", "--pool", "qwen2.5-coder-0.5b",
    "--fallback", "smollm2-135m",
)  # fmt: skip


@pytest.fixture
def server(tmp_path: Path) -> RunningHeadrace:
    return RunningHeadrace(tmp_path / "home")


def said(server: RunningHeadrace, *argv: str) -> CompletedProcess[str]:
    return headrace(*argv, home=server.home)


def shown(server: RunningHeadrace) -> dict[str, Any]:
    ran = said(server, "routers", "show", "support", "--json")
    assert ran.returncode == 0, ran.stderr
    router: dict[str, Any] = json.loads(ran.stdout)["model_router"]
    return router


def test_a_router_made_by_hand_goes_through_a_file_and_a_restart(server: RunningHeadrace, tmp_path: Path) -> None:
    file = tmp_path / "support.toml"
    with server:
        assert said(server, *BY_HAND).stdout == "router:support is live.\n"
        first = shown(server)
        listed = said(server, "routers", "list").stdout
        assert "router:support  refund      qwen2.5-coder-0.5b, smollm2-135m  cheapest\n" in listed
        file.write_text(said(server, "routers", "export", "support").stdout)
        assert said(server, "routers", "apply", str(file)).stdout == "router:support is replaced.\n"
        assert shown(server) == {**first, "updated_at": shown(server)["updated_at"]}
        file.write_text(file.read_text().replace('"bug-fixing"', '"bug-fixin"'))
        wrong = said(server, "routers", "apply", str(file))
        assert wrong.returncode == 2
        assert 'support.toml:16: policies[1].task_slug: No task of the catalog has the slug "bug-fixin"' in wrong.stderr
        assert 'Did you mean "bug-fixing"?' in wrong.stderr
        assert said(server, "aliases", "set", "desk", "router:support", "--fallback", "smollm2-135m").returncode == 0
    server.start()
    try:
        assert shown(server)["config"] == first["config"]
        refused = said(server, "routers", "delete", "support")
        assert (refused.returncode, '("desk")' in refused.stderr) == (1, True)
        assert said(server, "aliases", "delete", "desk").returncode == 0
        assert said(server, "routers", "delete", "support").stdout == "router:support is deleted.\n"
        assert said(server, "routers", "apply", str(tmp_path / "no.toml")).returncode == 2
    finally:
        server.stop()


def test_the_catalog_brings_tasks_and_routers(server: RunningHeadrace) -> None:
    with server:
        tasks = json.loads(said(server, "routers", "tasks", "--json").stdout)["tasks"]
        presets = json.loads(said(server, "routers", "presets", "--json").stdout)["presets"]
        assert "router:general" in said(server, "routers", "presets").stdout
        taken = said(server, "routers", "create", "general", "--task", "bug-fixing", "--pool", "smollm2-135m")
    assert {"bug-fixing", "translation"} <= {each["task_slug"] for each in tasks}
    assert {"general", "writing"} <= {each["slug"] for each in presets}
    assert (taken.returncode, '"general" is a router of the catalog' in taken.stderr) == (1, True)
