"""A deployment of the real embedded model at its own endpoint, by the official SDKs: who reaches it, and as what."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from tests.running import RunningHeadrace, headrace

pytestmark = pytest.mark.timeout(240)

MODEL = "smollm2-135m"
HELLO: Any = [{"role": "user", "content": "Say hello."}]


@pytest.fixture
def server(smollm_path: Path, weights_cache: Path, tmp_path: Path) -> Iterator[RunningHeadrace]:
    assert smollm_path.exists()
    running = RunningHeadrace(tmp_path / "home")
    running.take_weights(weights_cache)
    with running:
        yield running


def cli(server: RunningHeadrace, *arguments: str) -> Any:
    """Run a verb to its good end and return what it says in JSON."""
    done = headrace(*arguments, "--json", home=server.home)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


@contextmanager
def deployed(server: RunningHeadrace, name: str, scale: str, *more: str) -> Generator[dict[str, Any]]:
    """Deploy the embedded model, and delete it at the end."""
    sizes = ("--slots", "2", "--context", "512", *more)
    yield cli(server, "deploy", MODEL, "--accelerator", "cpu", "--name", name, "--scale", scale, *sizes)
    cli(server, "deployments", "delete", name)


def test_the_official_clients_talk_to_it_by_address_and_token_alone(server: RunningHeadrace) -> None:
    with deployed(server, "prod", "0:1") as made:
        base_url, token = made["dedicated_inference"]["endpoints"]["base_url"], made["token"]["value"]
        client = openai.OpenAI(base_url=base_url, api_key=token, max_retries=0)
        for model in ("prod", MODEL):
            answer = client.chat.completions.create(model=model, messages=HELLO, max_tokens=4)
            assert answer.model == "prod" and answer.choices[0].message.content
        chunks = list(client.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=4, stream=True))
        assert "".join(each.choices[0].delta.content or "" for each in chunks if each.choices)
        assert [each.id for each in client.models.list()] == ["prod"]
        kept = client.responses.create(model="prod", input="Say hello.", max_output_tokens=4)
        assert (kept.model, client.responses.retrieve(kept.id).id) == ("prod", kept.id)
        client.responses.delete(kept.id)
        with pytest.raises(openai.NotFoundError):
            client.responses.retrieve(kept.id)
        with pytest.raises(openai.NotFoundError) as other:
            client.chat.completions.create(model="all-minilm-l6-v2", messages=HELLO)
        assert other.value.code == "model_not_found"
        theirs = anthropic.Anthropic(base_url=base_url.removesuffix("/v1"), api_key=token, max_retries=0)
        assert theirs.messages.create(model=MODEL, messages=HELLO, max_tokens=4).model == "prod"
        assert theirs.messages.count_tokens(model=MODEL, messages=HELLO).input_tokens > 0
    with pytest.raises(openai.AuthenticationError):
        client.models.list()


def test_a_token_reaches_its_own_deployment_and_a_key_what_it_may(server: RunningHeadrace) -> None:
    with deployed(server, "a", "0:1") as one, deployed(server, "b", "0:1") as two:
        tokens = {each["dedicated_inference"]["name"]: each["token"]["value"] for each in (one, two)}
        path = f"/dedicated/{two['dedicated_inference']['id']}/v1/chat/completions"
        for token, status in ((tokens["a"], 403), (tokens["b"], 200), (server.api_key, 200), (server.admin_token, 200)):
            with server.client(token) as client:
                reply = client.post(path, json={"messages": HELLO, "max_tokens": 2})
            assert reply.status_code == status, reply.text
            if status == 200:
                assert reply.headers["x-headrace-model"] == "b"
        with server.client(tokens["a"]) as client:
            own = client.post("/v1/chat/completions", json={"model": "a", "messages": HELLO, "max_tokens": 2})
            other = client.post("/v1/chat/completions", json={"model": MODEL, "messages": HELLO, "max_tokens": 2})
        assert (own.status_code, other.status_code, other.json()["error"]["code"]) == (200, 403, "model_forbidden")
        keys = {each["name"] for each in cli(server, "keys", "list")["api_key_infos"]}
        assert "default" not in keys


def test_a_token_is_served_by_the_overflow_and_cannot_name_it(server: RunningHeadrace) -> None:
    with deployed(server, "prod", "0:1", "--overflow", MODEL, "--when-asleep", "overflow") as made:
        own = f"/dedicated/{made['dedicated_inference']['id']}/v1/chat/completions"
        with server.client(made["token"]["value"]) as client:
            for path, named, served in (
                (own, {}, (MODEL,)),
                ("/v1/chat/completions", {"model": "prod"}, (MODEL, "prod")),
            ):
                reply = client.post(path, json={"messages": HELLO, "max_tokens": 2, **named})
                assert reply.status_code == 200, reply.text
                assert reply.headers["x-headrace-model"] in served
                assert server.receipt(reply.headers["x-request-id"])["requested_model"] == "prod"
            refused = client.post("/v1/chat/completions", json={"model": MODEL, "messages": HELLO, "max_tokens": 2})
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "model_forbidden")


def test_the_same_key_of_idempotency_is_another_one_at_another_deployment(server: RunningHeadrace) -> None:
    with deployed(server, "a", "0:1") as one, deployed(server, "b", "0:1") as two, server.client() as client:
        asked: Any = {"json": {"messages": HELLO, "max_tokens": 2}, "headers": {"idempotency-key": "same"}}
        served = [
            client.post(f"/dedicated/{each['dedicated_inference']['id']}/v1/chat/completions", **asked)
            for each in (one, two, one)
        ]
    assert [each.headers["x-headrace-model"] for each in served] == ["a", "b", "a"]
    assert [each.headers.get("idempotency-replayed") for each in served] == [None, None, "true"]


def test_what_is_deleted_is_refused_while_it_is_in_use(server: RunningHeadrace) -> None:
    cli(server, "deploy", MODEL, "--accelerator", "cpu", "--name", "prod", "--scale", "0:1")
    cli(server, "aliases", "set", "daily", "prod")
    refused = headrace("deployments", "delete", "prod", home=server.home)
    assert refused.returncode == 1 and 'by alias "daily"' in refused.stderr
    cli(server, "aliases", "set", "daily", MODEL)
    deleted = headrace("deployments", "delete", "prod", home=server.home)
    assert (deleted.returncode, deleted.stdout) == (0, "prod is deleted.\n"), deleted.stderr
    assert cli(server, "deployments", "list")["meta"]["total"] == 0
