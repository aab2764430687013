"""`POST /v2/fit` as a client sees it: who may ask, one answer or all, and what is refused with which words."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2
import pytest

from headrace.domain.architecture import ArchitectureBook
from headrace.http.control import fit
from headrace.http.control.app import build_app
from headrace.http.control.parts import ControlParts
from headrace.services.fit_questions import FitQuestions
from headrace.services.fitting import Fitting
from tests.control_world import World, client_of
from tests.fakes.breakeven import InPlace, MemoryAccelerators
from tests.fakes.sizes import MemoryArchitectures, an_architecture

pytestmark = pytest.mark.anyio

PATH = "/v2/fit"
MODEL = "acme/chat:large"


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def parts(world: World) -> ControlParts:
    return await world.build()


@pytest.fixture
def questions(parts: ControlParts) -> FitQuestions:
    book = ArchitectureBook((an_architecture("acme/large", MODEL),))
    return FitQuestions(parts.door.snapshots, Fitting(MemoryArchitectures(book), MemoryAccelerators()), InPlace())


@pytest.fixture
async def client(parts: ControlParts, questions: FitQuestions) -> AsyncIterator[httpx2.AsyncClient]:
    async with client_of(build_app(parts.door, fit.routes(questions), frozenset())) as opened:
        yield opened


async def test_only_the_admin_token_may_ask(client: httpx2.AsyncClient, world: World) -> None:
    body = {"model": MODEL}
    assert (await client.post(PATH, json=body)).status_code == 401
    assert (await client.post(PATH, json=body, headers=world.bearer("key"))).status_code == 403
    assert (await client.post(PATH, json=body, headers=world.bearer("admin"))).status_code == 200


async def test_one_accelerator_gets_one_answer_and_none_gets_all(client: httpx2.AsyncClient, world: World) -> None:
    one = await client.post(PATH, json={"model": MODEL, "accelerator": "small"}, headers=world.bearer("admin"))
    (answer,) = one.json()["fits"]
    assert (answer["fits"], answer["computed"], answer["gpus"], answer["sizes"]) == (True, True, 2, "verified")
    assert answer["answer"].startswith(f"{MODEL} fits on 2 ")
    every = await client.post(PATH, json={"model": MODEL}, headers=world.bearer("admin"))
    assert [each["accelerator"]["slug"] for each in every.json()["fits"]] == ["big", "small"]


async def test_what_is_not_known_is_said(client: httpx2.AsyncClient, world: World) -> None:
    reply = await client.post(PATH, json={"model": "unpriced", "accelerator": "big"}, headers=world.bearer("admin"))
    (answer,) = reply.json()["fits"]
    assert (answer["fits"], answer["computed"], answer["sizes"], answer["needed_bytes"]) == (
        True,
        False,
        "unknown",
        None,
    )


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({"model": "nobody"}, "model", "model_not_found"),
        ({"model": MODEL, "accelerator": "bigg"}, "accelerator", "unknown_accelerator"),
        ({"model": MODEL, "gpu": "big"}, "gpu", "unknown_field"),
        ({"model": MODEL, "slots": "many"}, "slots", "invalid_request"),
    ],
)
async def test_what_is_wrong_is_named(
    client: httpx2.AsyncClient, world: World, body: dict[str, str], param: str, code: str
) -> None:
    reply = await client.post(PATH, json=body, headers=world.bearer("admin"))
    error = reply.json()
    assert (reply.status_code, error["param"], error["id"]) == (400, param, code)


async def test_the_table_of_models_and_machines(questions: FitQuestions) -> None:
    (config,) = await questions.configs()
    assert (config.model, config.slug, config.is_gated) == (MODEL, "acme/large", False)
    assert config.machines == ("gpu-bigx1-192gb", "gpu-bigx1-192gb-spot", "gpu-bigx8-1536gb")
