"""Routing with the encoder that ships: real prompts find their task, and odd ones get a clean answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from headrace.testing.upstream import running_upstream
from tests.running import RunningHeadrace, eventually

pytestmark = pytest.mark.timeout(240)
DECISIONS, ROUTERS = "/v1/routing/decisions", "/v2/gen-ai/models/routers"
REFUND = {"name": "refund", "description": "A customer disputes a charge or wants money back"}
BUG = {"name": "bug-fix", "description": "Find and repair what is wrong in a program"}
READY_SECONDS = 180.0
PICTURE: list[dict[str, Any]] = [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]


def said(content: Any, **more: Any) -> dict[str, Any]:
    return {"model": "router:desk", "messages": [{"role": "user", "content": content}], **more}


@pytest.fixture(scope="module")
def client(
    tmp_path_factory: pytest.TempPathFactory, weights_cache: Path, minilm_paths: tuple[Path, Path]
) -> Iterator[httpx2.Client]:
    assert all(each.is_file() for each in minilm_paths)
    home = tmp_path_factory.mktemp("real") / "home"
    server = RunningHeadrace(home)
    server.take_weights(weights_cache)
    with running_upstream() as upstream:
        server.add_provider("fake", upstream.base_url, "a", "b", "c")
        with server, server.client(server.admin_token) as caller:
            eventually(lambda: [*home.glob("encoders/routing-*.npz")] != [], "it reads ahead unasked", READY_SECONDS)
            policies = [{"custom_task": task, "models": [model]} for task, model in ((REFUND, "a"), (BUG, "b"))]
            made = caller.post(ROUTERS, json={"name": "desk", "policies": policies, "fallback_models": ["c"]})
            assert made.status_code == 200, made.text
            eventually(lambda: decided(caller, said("Hello"))["basis"] != "unread", "it reads", READY_SECONDS)
            yield caller


def decided(client: httpx2.Client, body: dict[str, Any]) -> dict[str, Any]:
    reply = client.post(DECISIONS, json=body)
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()
    return found


@pytest.mark.parametrize(
    ("prompt", "route", "model"),
    [
        ("You charged me twice for order 4711, I want my money back.", "refund", "a"),
        ("My Python loop raises IndexError, please find the bug.", "bug-fix", "b"),
        ("What is the tallest mountain of Africa?", None, "c"),
    ],
)
def test_prompts_find_their_task(client: httpx2.Client, prompt: str, route: str | None, model: str) -> None:
    decision = decided(client, said(prompt))
    assert (decision["route"], decision["model"]) == (route, model)
    assert 0 <= decision["score"] <= 1
    assert decision["predicted_output_tokens"] > 0
    reply = client.post("/v1/chat/completions", json=said(prompt))
    assert reply.headers.get("x-model-router-selected-route") == route
    assert reply.headers["x-headrace-model"] == model


@pytest.mark.parametrize("content", ["", "   ", "?!", PICTURE])
def test_what_has_nothing_to_read_goes_to_the_fallback_models(client: httpx2.Client, content: Any) -> None:
    decision = decided(client, said(content))
    assert (decision["route"], decision["basis"]) == (None, "no_text")


def test_a_very_long_prompt_is_decided_as_quickly(client: httpx2.Client) -> None:
    long = "I want my money back, you charged me twice. " * 20_000
    decision = decided(client, said(long))
    assert decision["basis"] in ("matched", "no_match")
    assert {each["code"] for each in decision["candidates"]} <= {"may_not_fit", "context_length_exceeded"}


def test_the_managed_router_reads_too(client: httpx2.Client) -> None:
    decision = decided(client, {**said("Prove that there are infinitely many primes."), "model": "inference-router"})
    assert decision["basis"] == "managed"
    assert decision["difficulty"] is not None
