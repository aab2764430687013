"""Keys over their life, below HTTP."""

import asyncio

import pytest

from headrace.domain.access import OPERATOR_ACCOUNT, Role
from headrace.domain.errors import Conflict, InvalidRequest, NotFound
from headrace.services.identity import NewKey
from headrace.services.keys import Keys, check_label
from tests.control_world import NOON_MICROS, World


async def keys_of(world: World) -> Keys:
    return (await world.build()).keys


async def test_two_regenerations_at_once_leave_one_live_key() -> None:
    world = World()
    keys = await keys_of(world)
    results = await asyncio.gather(
        keys.regenerate(world.ids["key"]), keys.regenerate(world.ids["key"]), return_exceptions=True
    )
    assert [type(each).__name__ for each in results] == ["Minted", "Conflict"]
    alive = [each.name for each in await keys.list() if each.revoked_at_micros is None]
    assert alive == ["admin", "foreign", "key"]


async def test_what_check_refuses_changes_nothing() -> None:
    world = World()
    keys = await keys_of(world)

    def refuse(_: object) -> None:
        raise Conflict("changed meanwhile")

    before = await keys.list()
    with pytest.raises(Conflict):
        await keys.revoke(world.ids["key"], refuse)
    with pytest.raises(Conflict):
        await keys.regenerate(world.ids["key"], refuse)
    assert await keys.list() == before


async def test_revoking_again_keeps_the_first_time() -> None:
    world = World()
    keys = await keys_of(world)
    world.clock.advance(60)
    assert (await keys.revoke(world.ids["gone"])).revoked_at_micros == NOON_MICROS
    assert (await keys.revoke(world.ids["key"])).revoked_at_micros == NOON_MICROS + 60_000_000


async def test_the_operators_account_is_the_admin_tokens_only() -> None:
    keys = await keys_of(World())
    with pytest.raises(InvalidRequest):
        await keys.create(NewKey("web", Role.KEY, OPERATOR_ACCOUNT, None))
    minted = await keys.create(NewKey("second admin", Role.ADMIN, OPERATOR_ACCOUNT, None))
    assert (await keys.find(minted.key.public_id)).role is Role.ADMIN
    with pytest.raises(NotFound):
        await keys.find("nobody")


@pytest.mark.parametrize("text", ["a", "x" * 64, "Größe 1", "team/web-1"])
def test_a_printable_name_is_taken(text: str) -> None:
    check_label(text, "name")


@pytest.mark.parametrize("text", ["", "x" * 65, "a ", "\ta", "a\x00b", "a\u202eb"])
def test_any_other_name_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_label(text, "name")
    assert caught.value.param == "name"
