"""A deployment's own endpoint: which path is served, who reaches it, and which model is called whatever was asked."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest

from headrace.domain.access import Caller
from headrace.domain.dedicated import DeploymentStatus
from headrace.domain.errors import Forbidden, NotFound
from headrace.domain.json_value import JsonObject
from headrace.http.dedicated import OWN_ROUTES, OwnEndpoints, Pinned, deployment_for, names_of
from headrace.http.edge import Message, Scope, data_path, speaks_messages
from headrace.http.gateway import AsgiApp, Gateway, InFlight
from headrace.http.inference import InferenceParts
from tests.fakes.deployed import a_deployed_snapshot, a_deployment, a_wanted
from tests.fakes.nouns import CALLER

PROD = a_deployment(a_wanted())
SNAPSHOT = a_deployed_snapshot(PROD, a_deployment(a_wanted(name="other"), "dep_2"))
TOKEN = replace(CALLER, models=frozenset({"prod-llm"}), deployment="dep_1")
SLUGS = {"one": "maker/One-7B"}
PATH = "/dedicated/dep_1/v1/chat/completions"


def scope_of(path: str, **more: object) -> Scope:
    return {"type": "http", "method": "POST", "path": path, "headers": [], **more}


def pinned(asked: JsonObject, caller: Caller = TOKEN, path: str = PATH) -> JsonObject:
    Pinned(lambda: SLUGS)(scope_of(path), SNAPSHOT, caller, asked)
    return asked


@pytest.mark.parametrize("asked", [None, "prod-llm", "one", "maker/One-7B", 7])
def test_the_model_is_the_deployment_whatever_stands_for_it(asked: str | int | None) -> None:
    body: JsonObject = {"messages": []} if asked is None else {"model": asked, "messages": []}
    assert pinned(body) == {"model": "prod-llm", "messages": []}


def test_another_model_is_not_served_here() -> None:
    with pytest.raises(NotFound, match='that of the deployment "prod-llm" only, not of "two"') as refused:
        pinned({"model": "two"})
    assert (refused.value.code, refused.value.param) == ("model_not_found", "model")


def test_who_may_call_it_reaches_it_by_token_by_key_or_as_the_operator() -> None:
    for caller in (TOKEN, CALLER, replace(CALLER, models=frozenset({"prod-llm", "two"}))):
        assert deployment_for("dep_1", SNAPSHOT, caller) == PROD


def test_the_token_of_another_deployment_learns_nothing() -> None:
    for deployment_id in ("dep_2", "dep_9"):
        with pytest.raises(Forbidden, match="that of another deployment"):
            deployment_for(deployment_id, SNAPSHOT, TOKEN)


def test_a_key_that_may_not_call_it_is_not_told_whether_it_is_there() -> None:
    narrow = replace(CALLER, models=frozenset({"two"}))
    for deployment_id in ("dep_1", "dep_9"):
        with pytest.raises(NotFound) as refused:
            deployment_for(deployment_id, SNAPSHOT, narrow)
        assert refused.value.message == f'No deployment that this key may call has the id "{deployment_id}".'


def test_one_that_is_being_deleted_serves_no_more() -> None:
    leaving = replace(PROD, status=DeploymentStatus.DELETING)
    with pytest.raises(NotFound, match="is being deleted"):
        deployment_for("dep_1", a_deployed_snapshot(leaving), CALLER)


def test_its_names_are_those_that_callers_who_moved_here_write() -> None:
    assert names_of(PROD, SNAPSHOT, SLUGS) >= {"prod-llm", "one", "maker/One-7B"}
    assert names_of(PROD, SNAPSHOT, {}) >= {"prod-llm", "one"}


def test_paths_of_the_own_endpoint_stand_for_those_of_the_shared_one() -> None:
    assert data_path("/dedicated/dep_1/v1/messages") == "/v1/messages"
    assert data_path("/dedicated/dep_1") == ""
    assert data_path("/v1/messages") == "/v1/messages"
    assert speaks_messages(scope_of("/dedicated/dep_1/v1/messages"))
    assert speaks_messages(scope_of("/dedicated/dep_1/v1/models", headers=[(b"anthropic-version", b"x")]))
    assert not speaks_messages(scope_of("/dedicated/dep_1/v1/models"))
    assert speaks_messages(scope_of("/dedicated/no/such:id/v1/messages/count_tokens"))
    assert not speaks_messages(scope_of("/dedicated/dep_1"))


def test_chat_messages_responses_completions_and_embeddings_are_served() -> None:
    found = OwnEndpoints(cast("InferenceParts", None), lambda: SLUGS)
    served = {path for path in (each.path for each in OWN_ROUTES) if found.find(path.replace("{deployment}", "dep_1"))}
    assert served == {
        f"/dedicated/{{deployment}}/v1/{rest}"
        for rest in ("chat/completions", "messages", "responses", "completions", "embeddings")
    }
    assert found.find("/v1/chat/completions") is None
    assert found.find("/dedicated/dep_1/v1/rerank") is None
    assert found.find("/dedicated/dep_1") is None


@pytest.mark.anyio
async def test_the_gateway_asks_for_own_endpoints_after_the_shared_ones() -> None:
    asked: list[str] = []

    def named(name: str) -> AsgiApp:
        async def app(scope: Scope, receive: object, send: object) -> None:
            asked.append(name)

        return app

    async def receive() -> Message:
        return {}

    async def send(message: Message) -> None:
        return None

    own = {"/dedicated/x/v1/chat/completions": named("own")}
    gateway = Gateway({"/v1/chat/completions": named("hot")}, named("others"), InFlight(), own.get)
    for path in ("/v1/chat/completions", "/dedicated/x/v1/chat/completions", "/v2/me"):
        await gateway(scope_of(path), receive, send)
    await gateway(scope_of("/dedicated/x/v1/chat/completions", method="GET"), receive, send)
    assert asked == ["hot", "own", "others", "others"]
