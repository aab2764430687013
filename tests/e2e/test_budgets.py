"""Budgets, teams and prepaid balances on the real server, by the command and by what callers meet."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from headrace.testing.upstream import FakeUpstream, running_upstream
from tests.running import RunningHeadrace, headrace

CHAT = "/v1/chat/completions"
KEYS = "/v2/gen-ai/models/api_keys"
BODY: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 1000}
FREE = """
[provider]
name = "free"
wire_format = "openai"
base_url = "{base_url}"
auth = "none"
docs_url = "https://example.com"
checked_on = 2026-11-24
[[models]]
id = "free"
context_length = 8192
max_output_tokens = 1024
released_on = 2026-01-01
source = "https://example.com"
checked_on = 2026-11-24
[[models.prices]]
effective = 2026-01-01
source = "tests"
input = "0"
output = "0"
"""


@dataclass(frozen=True)
class World:
    """A running installation, its provider, and the operator's command."""

    server: RunningHeadrace
    upstream: FakeUpstream

    def run(self, *argv: str) -> Any:
        """Run a verb with --json and return its result."""
        ran = headrace(*argv, "--json", home=self.server.home)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return json.loads(ran.stdout)

    def key(self, team: str = "default") -> tuple[str, str]:
        """Make a key and return its scope and its secret."""
        info = self.run("keys", "create", "web", "--team", team)["api_key_info"]
        return f"key:{info['uuid']}", info["secret_key"]

    def ask(self, secret: str, path: str = CHAT, **fields: Any) -> Any:
        with self.server.client(secret) as client:
            return client.post(path, json={**BODY, **fields})


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    server = RunningHeadrace(tmp_path_factory.mktemp("budgets") / "home")
    with running_upstream() as upstream:
        server.add_provider("fake", upstream.base_url, "m")
        (Path(server.home) / "catalog" / "free.toml").write_text(FREE.format(base_url=upstream.base_url))
        with server:
            yield World(server, upstream)


def test_a_budget_refuses_what_could_pass_it_and_says_what_would_fit(world: World) -> None:
    scope, secret = world.key()
    made = world.run("budgets", "create", scope, "--usd", "0.0001", "--window", "day")["budget"]
    before = len(world.upstream.requests)
    refused = world.ask(secret)
    error = refused.json()["error"]
    assert (refused.status_code, error["code"], error["budget"]) == (402, "budget_exceeded", made["id"])
    assert refused.headers["x-should-retry"] == "false"
    assert len(world.upstream.requests) == before
    served = world.ask(secret, max_tokens=error["affordable_output_tokens"])
    assert served.status_code == 200
    now = world.run("budgets", "show", made["id"])["budget"]
    assert now["spent_nano_usd"] == int(served.headers["x-headrace-cost-nano-usd"])
    assert (now["held_nano_usd"], now["left_nano_usd"]) == (0, 100_000 - now["spent_nano_usd"])


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, BODY),
        ("/v1/messages", BODY),
        ("/v1/responses", {"model": "m", "input": "hi", "max_output_tokens": 1000}),
    ],
)
def test_a_clamped_call_is_served_with_a_smaller_cap_in_every_dialect(
    world: World, path: str, body: dict[str, Any], stream: bool
) -> None:
    scope, secret = world.key()
    made = world.run("budgets", "create", scope, "--usd", "0.0001", "--mode", "clamp")["budget"]
    with world.server.client(secret) as client:
        served = client.post(path, json={**body, "stream": stream})
    assert served.status_code == 200, served.text
    asked = world.upstream.requests[-1].fields
    cap = asked.get("max_tokens") or asked.get("max_completion_tokens")
    assert isinstance(cap, int)
    assert 0 < cap < 1000
    assert served.headers["x-headrace-clamped"] == f"max_tokens={cap}"
    now = world.run("budgets", "show", made["id"])["budget"]
    assert 0 < now["spent_nano_usd"] <= now["limit_nano_usd"]


def test_a_call_without_a_cap_is_held_at_the_one_that_goes_upstream(world: World) -> None:
    scope, secret = world.key()
    world.run("budgets", "create", scope, "--usd", "1")
    body = {name: value for name, value in BODY.items() if name != "max_tokens"}
    with world.server.client(secret) as client:
        served = client.post(CHAT, json=body)
    cap = world.upstream.requests[-1].fields["max_tokens"]
    receipt = world.server.receipt(served.headers["x-request-id"])
    (attempt,) = receipt["attempts"]
    assert isinstance(cap, int)
    assert attempt["bound_nano_usd"] >= cap * 200


def test_a_regenerated_key_has_what_the_old_one_left(world: World) -> None:
    scope, secret = world.key()
    made = world.run("budgets", "create", scope, "--usd", "0.0001")["budget"]
    cap = world.ask(secret).json()["error"]["affordable_output_tokens"]
    assert world.ask(secret, max_tokens=cap).status_code == 200
    spent = world.run("budgets", "show", made["id"])["budget"]["spent_nano_usd"]
    with world.server.client(world.server.admin_token) as admin:
        anew = admin.put(f"{KEYS}/{scope.removeprefix('key:')}/regenerate").json()["api_key_info"]
    with world.server.client(anew["secret_key"]) as client:
        (own,) = client.get("/v2/budgets").json()["budgets"]
    assert (own["scope"], own["spent_nano_usd"]) == (f"key:{anew['uuid']}", spent)
    assert world.ask(anew["secret_key"]).json()["error"]["budget"] == made["id"]
    assert spent > 0


def test_a_prepaid_team_stops_at_zero_and_its_free_models_go_on(world: World) -> None:
    world.run("teams", "create", "crew", "--prepaid")
    _, secret = world.key("crew")
    stopped = world.ask(secret)
    assert (stopped.status_code, stopped.json()["error"]["code"]) == (402, "balance_exhausted")
    assert stopped.headers["x-should-retry"] == "false"
    assert world.ask(secret, model="free", max_tokens=5).status_code == 200
    world.run("teams", "top-up", "crew", "--usd", "1", "--reference", "INV-1")
    again = headrace("teams", "top-up", "crew", "--usd", "1", "--reference", "INV-1", home=world.server.home)
    assert (again.returncode, "booked already" in again.stderr) == (1, True)
    served = world.ask(secret)
    assert served.status_code == 200
    balance = world.run("teams", "adjust", "crew", "--usd", "-1")["balance"]
    assert (balance["paid_nano_usd"], balance["left_nano_usd"]) == (0, 0)
    assert balance["spent_nano_usd"] == int(served.headers["x-headrace-cost-nano-usd"])
    assert world.ask(secret).status_code == 402
    kinds = [each["kind"] for each in world.run("teams", "transfers", "crew")["transfers"]]
    assert kinds == ["adjustment", "top_up"]


def test_a_restart_forgets_no_budget_and_no_spending(world: World) -> None:
    scope, secret = world.key()
    made = world.run("budgets", "create", scope, "--usd", "0.0001")["budget"]
    cap = world.ask(secret).json()["error"]["affordable_output_tokens"]
    world.ask(secret, max_tokens=cap)
    before = world.run("budgets", "show", made["id"])
    world.server.kill()
    world.server.start()
    assert world.run("budgets", "show", made["id"]) == before
    assert world.ask(secret).status_code == 402


def test_the_command_tells_what_is_wrong(world: World) -> None:
    for argv, says in (
        (("budgets", "create", "team:crw", "--usd", "1"), "There is no team"),
        (("budgets", "create", "platform", "--usd", "NaN"), '"NaN"'),
        (("budgets", "create", "platform", "--usd", "1", "--zone", "Mars/Olympus"), "Mars/Olympus"),
        (("keys", "create", "web", "--team", "defaults"), 'Did you mean "default"?'),
        (("teams", "delete", "default"), "it stays"),
    ):
        ran = headrace(*argv, home=world.server.home)
        assert ran.returncode == 1
        assert says in ran.stderr
