"""Teams below HTTP: deleted at the very moment at which somebody makes a key for them."""

from __future__ import annotations

import pytest

from headrace.domain.access import AccessKey, Role
from headrace.domain.errors import Conflict, InvalidRequest
from headrace.services.identity import NewKey
from tests.control_world import World

pytestmark = pytest.mark.anyio
WANTED = NewKey("web", Role.KEY, "desk", None)


async def test_a_key_whose_team_was_deleted_meanwhile_is_revoked() -> None:
    world = World()
    parts = await world.build()
    await parts.teams.create("desk", is_prepaid=True)
    add = world.keys.add

    async def add_late(key: AccessKey) -> None:
        await parts.teams.remove("desk", parts.alerts.require_unwatched)
        await add(key)

    world.keys.add = add_late
    with pytest.raises(InvalidRequest, match='No team named "desk"'):
        await parts.keys.create(WANTED)
    (made,) = [each for each in await parts.keys.list() if each.name == "web"]
    assert made.revoked_at_micros is not None


async def test_a_team_for_which_a_key_was_made_meanwhile_stays() -> None:
    world = World()
    parts = await world.build()
    made = await parts.teams.create("desk", is_prepaid=True)
    remove = world.teams.remove

    async def remove_late(name: str) -> bool:
        await parts.keys.create(WANTED)
        return await remove(name)

    world.teams.remove = remove_late
    with pytest.raises(Conflict, match='has keys in use \\("web" is one\\)'):
        await parts.teams.remove("desk", parts.alerts.require_unwatched)
    assert parts.teams.find("desk") == made
