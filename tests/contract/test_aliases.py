"""Aliases over the control plane: made, changed, deleted, and seen by the data plane at once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from headrace.cli.config import AliasFile
from headrace.domain.json_value import JsonObject
from headrace.http.control.app import control_app
from tests.control_world import SHA, World, client_of

pytestmark = pytest.mark.anyio

PATH = "/v2/aliases"
DAILY: JsonObject = {"points_to": "tiny", "fallbacks": ["acme/chat:large"]}


@dataclass(slots=True)
class Plane:
    world: World
    client: httpx2.AsyncClient

    async def call(
        self, method: str, path: str, body: JsonObject | None = None, *, who: str = "admin", **headers: str
    ) -> httpx2.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.request(method, path, headers={**self.world.bearer(who), **named}, json=body)


@pytest.fixture
async def plane() -> AsyncIterator[Plane]:
    world = World(given={"ACME_API_KEY": "sk-1"})
    world.weights.here.add(SHA)
    async with client_of(control_app(await world.build())) as client:
        yield Plane(world, client)


async def test_an_alias_is_made_shown_changed_and_deleted(plane: Plane) -> None:
    made = await plane.call("POST", PATH, {"name": "team/daily", **DAILY})
    assert made.status_code == 201
    shown = await plane.call("GET", f"{PATH}/team/daily")
    assert shown.json() == made.json()
    assert {**DAILY, "name": "team/daily"}.items() <= shown.json()["alias"].items()
    plane.world.clock.advance(5)
    changed = await plane.call("PUT", f"{PATH}/team/daily", {"points_to": "acme/chat:large"})
    assert (changed.status_code, changed.json()["alias"]["fallbacks"]) == (200, [])
    assert changed.json()["alias"]["created_at"] == made.json()["alias"]["created_at"]
    assert changed.json()["alias"]["changed_at"] > made.json()["alias"]["changed_at"]
    listed = (await plane.call("GET", PATH)).json()
    assert (listed["aliases"], listed["meta"]) == ([changed.json()["alias"]], {"total": 1})
    assert (await plane.call("DELETE", f"{PATH}/team/daily")).json() == changed.json()
    assert (await plane.call("GET", f"{PATH}/team/daily")).json()["id"] == "alias_not_found"
    assert plane.world.aliases.aliases == {}


async def test_an_alias_of_the_file_is_shown_and_changed_only_there(tmp_path: Path) -> None:
    file = tmp_path / "headrace.toml"
    file.write_text('[aliases."team/daily"]\npoints_to = "tiny"\nfallbacks = ["acme/chat:large"]\n')
    world = World(given={"ACME_API_KEY": "sk-1"}, written_aliases=AliasFile(file))
    world.weights.here.add(SHA)
    async with client_of(control_app(await world.build())) as client:
        plane = Plane(world, client)
        shown = (await plane.call("GET", f"{PATH}/team/daily")).json()["alias"]
        assert shown == {**DAILY, "name": "team/daily", "source": "file", "created_at": None, "changed_at": None}
        tries = (
            await plane.call("PUT", f"{PATH}/team/daily", {"points_to": "tiny"}),
            await plane.call("POST", PATH, {"name": "team/daily", "points_to": "tiny"}),
            await plane.call("DELETE", f"{PATH}/team/daily"),
        )
        for refused in tries:
            assert (refused.status_code, refused.json()["id"]) == (409, "alias_in_file")
        assert world.aliases.aliases == {}
        await plane.call("PUT", f"{PATH}/other", {"points_to": "tiny"})
        listed = (await plane.call("GET", PATH)).json()["aliases"]
        assert [(each["name"], each["source"]) for each in listed] == [("other", "api"), ("team/daily", "file")]
        mine = (await plane.call("GET", "/v1/models/team/daily", who="key")).json()
        assert (mine["type"], mine["points_to"]) == ("alias", "tiny")


async def test_the_file_is_read_again_on_a_reload_and_a_bad_one_leaves_the_old_in_force(tmp_path: Path) -> None:
    file = tmp_path / "headrace.toml"
    file.write_text('[aliases.daily]\npoints_to = "tiny"\n')
    world = World(given={"ACME_API_KEY": "sk-1"}, written_aliases=AliasFile(file))
    async with client_of(control_app(await world.build())) as client:
        plane = Plane(world, client)
        await plane.call("PUT", f"{PATH}/weekly", {"points_to": "tiny"})
        file.write_text('[aliases.weekly]\npoints_to = "tiny"\n')
        refused = await plane.call("POST", "/v2/config/reload")
        assert (refused.status_code, refused.json()["id"]) == (400, "config_invalid")
        assert f"{file}:1: aliases.weekly: an alias of this name is stored too" in refused.json()["message"]
        assert (await plane.call("GET", f"{PATH}/daily")).status_code == 200
        file.write_text('[aliases.hourly]\npoints_to = "acme/chat:large"\n')
        assert (await plane.call("POST", "/v2/config/reload")).status_code == 200
        listed = (await plane.call("GET", PATH)).json()["aliases"]
        assert [each["name"] for each in listed] == ["hourly", "weekly"]


async def test_put_makes_what_is_not_there(plane: Plane) -> None:
    assert (await plane.call("PUT", f"{PATH}/daily", {"points_to": "tiny"})).status_code == 201
    assert plane.world.aliases.aliases["daily"].points_to == "tiny"
    again = await plane.call("POST", PATH, {"name": "daily", "points_to": "tiny"})
    assert (again.status_code, again.json()["id"]) == (409, "alias_exists")


@pytest.mark.parametrize(
    ("name", "body", "status", "code", "said"),
    [
        ("daily", {"points_to": "tinny"}, 400, "model_not_found", 'Did you mean "tiny"?'),
        ("daily", {"points_to": "tiny", "fallbacks": ["nobody"]}, 400, "model_not_found", '"nobody"'),
        ("daily", {"points_to": "tiny", "fallbacks": ["tiny"]}, 400, "invalid_request", "each once"),
        ("daily", {"points_to": "tiny", "fallbacks": "tiny"}, 400, "invalid_request", "must be a list"),
        ("daily", {"points_to": "tiny", "fallbacks": [1]}, 400, "invalid_request", "must be a string"),
        ("daily", {}, 400, "invalid_request", '"points_to" is missing'),
        ("daily", {"points_to": "tiny", "model": "x"}, 400, "unknown_field", '"model"'),
        ("daily", {"points_to": "weekly"}, 400, "invalid_request", 'Name "tiny" instead'),
        ("tiny", {"points_to": "acme/chat:large"}, 409, "alias_is_model", "is the id of a model"),
        ("da ily", {"points_to": "tiny"}, 400, "invalid_request", "letters, digits"),
        ("a//b", {"points_to": "tiny"}, 400, "invalid_request", "letters, digits"),
        ("x" * 129, {"points_to": "tiny"}, 400, "invalid_request", "1 to 128"),
    ],
)
async def test_a_bad_alias_is_refused_by_name(
    plane: Plane, name: str, body: JsonObject, status: int, code: str, said: str
) -> None:
    await plane.call("PUT", f"{PATH}/weekly", {"points_to": "tiny"})
    for reply in (
        await plane.call("POST", PATH, {"name": name, **body}),
        await plane.call("PUT", f"{PATH}/{name}", body),
    ):
        assert (reply.status_code, reply.json()["id"]) == (status, code)
        assert said in reply.json()["message"]
    assert list(plane.world.aliases.aliases) == ["weekly"]


async def test_a_stale_if_match_changes_nothing(plane: Plane) -> None:
    await plane.call("PUT", f"{PATH}/daily", {"points_to": "tiny"})
    tag = (await plane.call("GET", f"{PATH}/daily")).headers["etag"]
    body: JsonObject = {"points_to": "acme/chat:large"}
    assert (await plane.call("PUT", f"{PATH}/daily", body, if_match='"old"')).status_code == 409
    assert (await plane.call("DELETE", f"{PATH}/daily", if_match='"old"')).status_code == 409
    assert (await plane.call("PUT", f"{PATH}/other", body, if_match=tag)).status_code == 409
    assert plane.world.aliases.aliases["daily"].points_to == "tiny"
    assert (await plane.call("PUT", f"{PATH}/daily", body, if_match=tag)).status_code == 200
    assert (await plane.call("DELETE", f"{PATH}/daily", if_match=tag)).status_code == 409


async def test_the_model_list_shows_an_alias_to_whom_its_model_is_open(plane: Plane) -> None:
    await plane.call("PUT", f"{PATH}/daily", {"points_to": "tiny", "fallbacks": ["acme/chat:large"]})
    await plane.call("PUT", f"{PATH}/large", {"points_to": "acme/chat:large"})
    mine = {each["id"]: each for each in (await plane.call("GET", "/v1/models", who="key")).json()["data"]}
    assert (mine["daily"]["type"], mine["daily"]["points_to"]) == ("alias", "tiny")
    assert mine["daily"]["fallbacks"] == ["acme/chat:large"]
    assert mine["daily"]["context_length"] == mine["tiny"]["context_length"]
    theirs = {each["id"] for each in (await plane.call("GET", "/v1/models", who="foreign")).json()["data"]}
    assert theirs == {"acme/chat:large", "large", "inference-router"}
    assert (await plane.call("GET", "/v1/models/daily", who="key")).json() == mine["daily"]
    assert (await plane.call("GET", "/v1/models/daily", who="foreign")).status_code == 404


async def test_a_key_is_scoped_to_models_and_never_to_a_name_that_can_move(plane: Plane) -> None:
    await plane.call("PUT", f"{PATH}/daily", {"points_to": "tiny"})
    keys = "/v2/gen-ai/models/api_keys"
    refused = await plane.call("POST", keys, {"name": "x", "models": ["daily"]})
    assert (refused.status_code, refused.json()["id"]) == (400, "model_not_found")
