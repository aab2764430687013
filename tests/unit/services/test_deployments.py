"""Deployments as reconciler and operator change them at once; the routes' tests have the rest."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from headrace.domain.access import AccessKey
from headrace.domain.dedicated import Deployment, DeploymentStatus, Overflow
from headrace.domain.dedicated_draft import DeploymentDraft
from headrace.domain.errors import ConfigInvalid, Conflict, InvalidRequest, MeteringUnavailable, StoreUnusable
from headrace.domain.secret import Secret
from headrace.domain.team import DEFAULT_TEAM
from headrace.domain.uuids import uuid_of
from headrace.http.control.parts import ControlParts
from headrace.services.deployment_tokens import MAX_TOKENS
from headrace.services.deployments import Deployments
from headrace.testing.clock import FakeClock
from tests.control_world import NOON_MICROS, SHA, MemoryKeys, World
from tests.fakes.breakeven import a_gpu_price
from tests.fakes.hardware import CPU

pytestmark = pytest.mark.anyio

DRAFT = DeploymentDraft(name="prod", model="tiny", accelerator="cpu", min_scale=0, max_scale=2)


@pytest.fixture
def world() -> World:
    world = World()
    world.weights.here.add(SHA)
    return world


@pytest.fixture
async def parts(world: World) -> ControlParts:
    return await world.build()


@pytest.fixture
def deployments(parts: ControlParts) -> Deployments:
    return parts.deployments


async def made(deployments: Deployments, status: DeploymentStatus = DeploymentStatus.ACTIVE) -> Deployment:
    deployment, _ = await deployments.create(DRAFT, DEFAULT_TEAM)
    await deployments.settle_state(deployment.id, status=status)
    return deployments.find(deployment.id)


async def on(deployments: Deployments, present: Deployment, **fields: Any) -> Deployment:
    return await deployments.change(present.id, lambda _: replace(DRAFT, **fields), lambda _: None)


async def test_a_change_before_anything_was_started_is_in_force_at_once(deployments: Deployments) -> None:
    present = await made(deployments, DeploymentStatus.NEW)
    changed = await on(deployments, present, accelerator="big")
    assert (changed.pending, changed.wanted.accelerator, changed.nano_per_hour) == (None, "big", 2_590_000_000)


async def test_a_change_back_takes_the_pending_one_away(deployments: Deployments) -> None:
    present = await made(deployments)
    assert (await on(deployments, present, slots=2)).pending is not None
    changed = await on(deployments, present, max_scale=3)
    assert (changed.pending, changed.wanted.max_scale, changed.nano_per_hour) == (None, 3, present.nano_per_hour)


async def test_what_needs_no_other_start_is_in_force_while_the_rest_is_rolled_out(deployments: Deployments) -> None:
    present = await made(deployments)
    first = (await on(deployments, present, slots=2)).goal
    changed = await on(deployments, present, slots=2, max_scale=5, idle_seconds=9)
    assert (changed.wanted.slots, changed.wanted.max_scale, changed.wanted.idle_seconds) == (1, 5, 9)
    assert changed.pending == replace(first, max_scale=5, idle_seconds=9)
    await deployments.settle_state(present.id, status=DeploymentStatus.ACTIVE, wanted=first, clear_pending=True)
    found = deployments.find(present.id)
    assert (found.wanted, found.pending) == (changed.pending, changed.pending)


async def test_an_overflow_that_went_out_of_the_catalog_keeps_nobody_from_scaling(
    world: World, parts: ControlParts, deployments: Deployments
) -> None:
    present = await made(deployments)
    overflow = Overflow("acme/chat:large", 1)
    await on(deployments, present, overflow=overflow)
    del world.files.texts["acme"]
    await parts.door.snapshots.reload()
    assert (await on(deployments, present, overflow=overflow, max_scale=7)).wanted.max_scale == 7
    with pytest.raises(InvalidRequest, match='No model named "acme/chat:large"'):
        await on(deployments, present, overflow=Overflow("acme/chat:large", 2))


async def test_one_that_is_being_deleted_gets_no_token(deployments: Deployments) -> None:
    present = await made(deployments)
    found, minted = await deployments.add_token(present.id, "web")
    assert (found, minted.key.name, minted.key.deployment) == (present, "web", present.id)
    await deployments.remove(present.id, lambda _: None)
    with pytest.raises(Conflict, match='"prod" is being deleted'):
        await deployments.add_token(present.id, "late")


async def test_what_the_operator_changed_meanwhile_stays_pending(deployments: Deployments) -> None:
    present = await made(deployments)
    first = (await on(deployments, present, slots=2)).goal
    second = (await on(deployments, present, slots=3)).goal
    await deployments.settle_state(present.id, status=DeploymentStatus.ACTIVE, wanted=first, clear_pending=True)
    found = deployments.find(present.id)
    assert (found.wanted, found.pending, found.status) == (first, second, DeploymentStatus.UPDATING)
    await deployments.settle_state(present.id, status=DeploymentStatus.ACTIVE, wanted=second, clear_pending=True)
    found = deployments.find(present.id)
    assert (found.wanted, found.pending, found.status) == (second, None, DeploymentStatus.ACTIVE)
    await deployments.settle_state(present.id, status=DeploymentStatus.ACTIVE, wanted=first, clear_pending=True)
    assert deployments.find(present.id).wanted == first


async def test_what_changes_nothing_is_not_written(world: World, deployments: Deployments) -> None:
    present = await made(deployments)
    writes = world.deployments.writes
    await deployments.settle_state(present.id, status=DeploymentStatus.ACTIVE)
    await deployments.settle_state("nobody", status=DeploymentStatus.ACTIVE)
    assert world.deployments.writes == writes
    await deployments.settle_state(present.id, status=DeploymentStatus.ERROR, reason="No room.", retry_at_micros=7)
    found = deployments.find(present.id)
    assert (found.status, found.reason, found.retry_at_micros) == (DeploymentStatus.ERROR, "No room.", 7)


async def test_a_price_that_is_gone_stays_what_it_was(world: World, deployments: Deployments) -> None:
    present = await made(deployments)
    goal = (await on(deployments, present, accelerator="big")).goal
    world.hardware.accelerators.book = replace(world.hardware.accelerators.book, accelerators=())
    await deployments.settle_state(present.id, status=DeploymentStatus.ACTIVE, wanted=goal, clear_pending=True)
    assert deployments.find(present.id).nano_per_hour == present.nano_per_hour


async def test_a_price_that_comes_into_force_is_taken_over(world: World, deployments: Deployments) -> None:
    present = await made(deployments)
    pending = (await on(deployments, present, slots=2)).pending
    book, slept = world.hardware.accelerators.book, list[float]()
    dearer = a_gpu_price("2026-11-01", 2 * present.nano_per_hour)

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 1:
            world.hardware.accelerators.book = replace(book, accelerators=(replace(CPU, prices=(dearer,)),))
            world.deployments.failure = MeteringUnavailable("away")
        if len(slept) == 2:
            world.deployments.failure = None
        if len(slept) == 3:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await deployments.follow_prices(sleep)
    found = deployments.find(present.id)
    assert (found.nano_per_hour, found.pending) == (2 * present.nano_per_hour, pending)


async def test_a_file_that_is_wrong_is_told_to_who_asks(world: World, deployments: Deployments) -> None:
    world.hardware.accelerators.failure = ConfigInvalid("accelerators.toml:1: wrong.")
    with pytest.raises(InvalidRequest, match=r"accelerators\.toml:1"):
        await deployments.attempt(DRAFT, DEFAULT_TEAM)


async def test_a_new_token_of_the_models_source_is_a_change(deployments: Deployments) -> None:
    present = await made(deployments)
    changed = await deployments.change(present.id, lambda _: DRAFT, lambda _: None, Secret("hf_x"))
    assert present.sealed_model_token is None and changed.sealed_model_token is not None


async def test_public_names_are_looked_up_once_for_each_snapshot(world: World, parts: ControlParts) -> None:
    trial, snapshots = parts.deployments.trial, parts.door.snapshots
    assert trial.known_slugs() == {}
    for _ in range(3):
        assert (await trial.slugs(snapshots.current()))["tiny"] == "maker/Tiny-1B"
    assert world.hardware.architectures.reads == 1
    assert trial.known_slugs()["acme/chat:large"] == "maker/Large-100B"


async def test_public_names_stay_while_their_file_cannot_be_read(world: World, parts: ControlParts) -> None:
    trial, snapshots = parts.deployments.trial, parts.door.snapshots
    before = await trial.slugs(snapshots.current())
    world.hardware.architectures.failure = ConfigInvalid("architectures.toml:1: wrong.")
    assert await trial.slugs(await snapshots.publish_named()) == before != {}


class PassingClock(FakeClock):
    """A clock that goes on whenever somebody looks at it."""

    def unix_micros(self) -> int:
        self.advance(0.001)
        return super().unix_micros()


async def test_the_first_token_comes_with_the_deployment_however_long_that_took() -> None:
    world = World(clock=PassingClock(NOON_MICROS))
    world.weights.here.add(SHA)
    deployments = (await world.build()).deployments
    deployment, first = await deployments.create(DRAFT, DEFAULT_TEAM)
    assert first.key.created_at_micros == deployment.created_at_micros
    assert (await deployments.tokens.make(deployment, "web")).key.created_at_micros > deployment.created_at_micros


class FullKeys(MemoryKeys):
    """A key store that takes no more once it is full."""

    is_full = False

    async def add(self, key: AccessKey) -> None:
        if self.is_full:
            raise StoreUnusable("The store is full.")
        await super().add(key)


async def test_without_its_first_token_no_deployment_is_made() -> None:
    keys = FullKeys()
    world = World(keys=keys)
    world.weights.here.add(SHA)
    deployments = (await world.build()).deployments
    keys.is_full = True
    with pytest.raises(StoreUnusable):
        await deployments.create(DRAFT, DEFAULT_TEAM)
    assert world.deployments.stored == {} and deployments.all() == () and world.woken == []


async def test_tokens_have_an_end(world: World, parts: ControlParts, deployments: Deployments) -> None:
    present = await made(deployments)
    [token] = deployments.tokens.of(present)
    for number in range(MAX_TOKENS - 1):
        world.keys.keys[f"t{number}"] = replace(token, public_id=f"t{number}")
    await parts.door.snapshots.publish_keys()
    with pytest.raises(Conflict, match="has 1000 tokens already: delete one first"):
        await deployments.tokens.make(present, "more")


def test_an_id_of_ours_is_a_uuid_of_version_seven() -> None:
    assert uuid_of("deployment_0199ab00cdef7123a456789abcdef012") == "0199ab00-cdef-7123-a456-789abcdef012"
    assert uuid_of("deployment_000001") == "00000000-0000-7000-8000-000000000001"
