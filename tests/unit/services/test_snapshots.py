"""Building, swapping and refusing snapshots."""

import asyncio

import pytest

from headrace.domain.access import AccessKey, Role
from headrace.domain.alias import Alias, WrittenAlias
from headrace.domain.catalog import Provider, WeightsFile
from headrace.domain.credential import DEFAULT_LABEL
from headrace.domain.dedicated import Deployment
from headrace.domain.errors import ConfigInvalid, StoreUnusable
from headrace.domain.router import Correction, Presets
from headrace.domain.snapshot import Snapshot
from headrace.domain.strength import Strength
from headrace.ports.stores import SealedCredential
from headrace.services.snapshots import Snapshots, SnapshotSources, credential_context, given_credentials
from headrace.testing.clock import FakeClock
from headrace.wire.catalog_file import CatalogText
from tests.fakes.deployed import a_deployment, a_wanted
from tests.fakes.routers import GENERAL, PRESETS, SUPPORT, GivenPresets, MemoryRouters

NOON_MICROS = 1_795_521_600_000_000  # 2026-11-24 12:00 UTC
CATALOG = """
[provider]
name = "acme"
base_url = "https://api.example.com/v1"
key_variable = "ACME_API_KEY"

[[models]]
id = "one"
context_length = 8192
max_output_tokens = 2048

[[models.prices]]
effective = 2026-11-01
source = "x"
input = "1"
output = "4"

[[models.prices]]
effective = 2026-11-25
source = "x"
input = "2"
output = "8"
"""
LOCAL = """
[provider]
name = "here"
base_url = "local:"
auth = "none"

[[models]]
id = "one"
context_length = 4096
max_output_tokens = 1024

[[models.prices]]
effective = 2026-11-01
source = "x"
input = "0.1"
output = "0.4"

[models.local]
engine = "e"
memory_mib = 1

[[models.local.weights]]
name = "one.gguf"
sha256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
size_bytes = 1
licence = "MIT"
sources = ["https://example.com/one.gguf"]
"""


class Files:
    """A catalog source whose texts a test replaces."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {"acme": CATALOG, "here": LOCAL}
        self.reads = 0

    def read(self) -> tuple[CatalogText, ...]:
        self.reads += 1
        return tuple(CatalogText(f"{name}.toml", name, "operator", text.encode()) for name, text in self.texts.items())

    def digest(self) -> str:
        return repr(self.texts)


class GivenStrengths:
    """Strengths that a test replaces."""

    def __init__(self) -> None:
        self.strengths: tuple[Strength, ...] = ()

    def read(self) -> tuple[Strength, ...]:
        return self.strengths

    def digest(self) -> str:
        return repr(self.strengths)


class Keys:
    """A key store in memory; `gate` holds a list call back."""

    def __init__(self) -> None:
        self.stored: tuple[AccessKey, ...] = ()
        self.gate: asyncio.Event | None = None
        self.reached = asyncio.Event()

    async def add(self, key: AccessKey) -> None:
        self.stored = (*self.stored, key)

    async def change(self, key: AccessKey) -> bool:
        raise NotImplementedError

    async def revoke(self, public_id: str, at_micros: int) -> bool:
        raise NotImplementedError

    async def list(self) -> tuple[AccessKey, ...]:
        self.reached.set()
        if self.gate is not None:
            await self.gate.wait()
        return self.stored


class Credentials:
    """A credential store in memory."""

    def __init__(self) -> None:
        self.stored: dict[tuple[str, str], SealedCredential] = {}

    async def put(self, credential: SealedCredential) -> None:
        self.stored[credential.provider, credential.label] = credential

    async def remove(self, provider: str, label: str) -> bool:
        return self.stored.pop((provider, label), None) is not None

    async def list(self) -> tuple[SealedCredential, ...]:
        return tuple(self.stored.values())


class Written:
    """Aliases of a configuration file that a test replaces."""

    def __init__(self) -> None:
        self.aliases: tuple[WrittenAlias, ...] = ()

    def read(self) -> tuple[WrittenAlias, ...]:
        return self.aliases

    def digest(self) -> str:
        return repr(self.aliases)


class AliasRows:
    """A store of aliases in memory."""

    def __init__(self) -> None:
        self.rows: dict[str, Alias] = {}

    async def put(self, alias: Alias) -> None:
        self.rows[alias.name] = alias

    async def remove(self, name: str) -> bool:
        return self.rows.pop(name, None) is not None

    async def list(self) -> tuple[Alias, ...]:
        return tuple(self.rows.values())


class DeploymentRows:
    """A store of deployments in memory."""

    def __init__(self) -> None:
        self.rows: tuple[Deployment, ...] = ()

    async def put(self, deployment: Deployment) -> None:
        raise NotImplementedError

    async def remove(self, deployment_id: str) -> bool:
        raise NotImplementedError

    async def list(self) -> tuple[Deployment, ...]:
        return self.rows


class Seals:
    """Sealing that only marks its context."""

    key_version = 1

    def seal(self, context: str, plain: bytes) -> bytes:
        return context.encode() + b"\0" + plain

    def open(self, context: str, sealed: bytes) -> bytes:
        found, _, plain = sealed.partition(b"\0")
        if found != context.encode():
            raise StoreUnusable("sealed elsewhere")
        return plain


class World:
    """Everything snapshots are built from, for a test to change."""

    def __init__(self, environment: dict[str, str] | None = None) -> None:
        self.files = Files()
        self.keys = Keys()
        self.credentials = Credentials()
        self.seals = Seals()
        self.clock = FakeClock(NOON_MICROS)
        self.weights: set[str] = set()
        self.aliases = AliasRows()
        self.written = Written()
        self.routers = MemoryRouters()
        self.presets = GivenPresets()
        self.deployments = DeploymentRows()
        self.strengths = GivenStrengths()
        self.snapshots = Snapshots(
            SnapshotSources(
                self.files,
                self.keys,
                self.credentials,
                self.seals,
                self.clock,
                self.has_weights,
                given_credentials({}, environment or {}),
                aliases=self.aliases,
                written_aliases=self.written,
                routers=self.routers,
                presets=self.presets,
                deployments=self.deployments,
                strengths=self.strengths,
            )
        )

    def has_weights(self, file: WeightsFile) -> bool:
        return file.name in self.weights

    async def set_key(self, provider: str, secret: str, context: str | None = None, label: str = DEFAULT_LABEL) -> None:
        sealed = self.seals.seal(context or credential_context(provider, label), secret.encode())
        await self.credentials.put(SealedCredential(provider, sealed, 1, 0, label))


def codes(snapshot: Snapshot) -> dict[str, str]:
    return {each.model.provider: each.availability.code for each in snapshot.models["one"]}


def key(public_id: str) -> AccessKey:
    return AccessKey(public_id, "web", Role.KEY, "shop", b"", None, 0)


async def test_the_first_reload_builds_version_one() -> None:
    world = World()
    with pytest.raises(LookupError):
        world.snapshots.current()
    with pytest.raises(LookupError):
        await world.snapshots.refresh()
    snapshot = await world.snapshots.reload()
    assert snapshot is world.snapshots.current()
    assert snapshot.version == 1
    assert codes(snapshot) == {"acme": "no_credential", "here": "no_weights"}
    assert list(snapshot.providers) == ["acme", "here"]


async def test_a_stored_credential_makes_its_provider_live_after_a_refresh() -> None:
    world = World()
    before = await world.snapshots.reload()
    await world.set_key("acme", "sk-1")
    after = await world.snapshots.refresh()
    assert revealed(after.providers["acme"]) == {"default": "sk-1"}
    assert codes(after)["acme"] == "available"
    assert before.providers["acme"].credentials == ()
    assert (after.version, world.files.reads) == (2, 1)


async def test_a_stored_credential_goes_before_the_environment_and_falls_back_to_it() -> None:
    world = World({"ACME_API_KEY": " sk-env\n"})
    await world.set_key("acme", "sk-stored")
    snapshot = await world.snapshots.reload()
    assert revealed(snapshot.providers["acme"]) == {"default": "sk-stored"}
    await world.credentials.remove("acme", DEFAULT_LABEL)
    assert revealed((await world.snapshots.refresh()).providers["acme"]) == {"default": "sk-env"}


async def test_several_credentials_are_in_force_together_each_secret_once_and_the_default_first() -> None:
    world = World({"ACME_API_KEY": "sk-env sk-second\nsk-third"})
    await world.set_key("acme", "sk-stored", label="another")
    await world.set_key("acme", "sk-env", label="again")
    await world.set_key("acme", "sk-own", label="2")
    snapshot = await world.snapshots.reload()
    assert revealed(snapshot.providers["acme"]) == {
        "default": "sk-env",
        "2": "sk-own",
        "3": "sk-third",
        "another": "sk-stored",
    }
    assert [each.source for each in snapshot.providers["acme"].credentials] == [
        "environment",
        "stored",
        "environment",
        "stored",
    ]
    assert snapshot.providers["here"].credentials == ()


async def test_a_credential_that_stays_is_the_same_object_until_all_is_read_anew() -> None:
    world = World({"ACME_API_KEY": "sk-env"})
    await world.set_key("acme", "sk-stored", label="spare")
    before = (await world.snapshots.reload()).providers["acme"].credentials
    await world.set_key("acme", "sk-new", label="third")
    after = (await world.snapshots.refresh()).providers["acme"].credentials
    assert [each.label for each in after] == ["default", "spare", "third"]
    assert (after[0] is before[0], after[1] is before[1]) == (True, True)
    await world.set_key("acme", "sk-other", label="spare")
    assert (await world.snapshots.refresh()).providers["acme"].credentials[1] is not before[1]
    assert (await world.snapshots.reload()).providers["acme"].credentials[0] is not before[0]


def revealed(provider: Provider) -> dict[str, str]:
    return {each.label: each.secret.reveal() for each in provider.credentials}


async def test_a_credential_sealed_elsewhere_counts_as_none_and_says_so() -> None:
    world = World()
    await world.set_key("acme", "sk-1", context=credential_context("other"))
    snapshot = await world.snapshots.reload()
    (listed,) = (each for each in snapshot.models["one"] if each.model.provider == "acme")
    assert listed.availability.code == "no_credential"
    assert "another master key" in listed.availability.reason


async def test_entries_that_can_be_called_come_first() -> None:
    world = World()
    world.weights.add("one.gguf")
    assert list(codes(await world.snapshots.reload())) == ["here", "acme"]
    world.weights.clear()
    await world.set_key("acme", "sk-1")
    assert list(codes(await world.snapshots.refresh())) == ["acme", "here"]


async def test_a_bad_catalog_is_refused_and_the_old_one_keeps_serving() -> None:
    world = World()
    good = await world.snapshots.reload()
    heard: list[int] = []
    world.snapshots.watch(lambda snapshot: heard.append(snapshot.version))
    world.files.texts["acme"] = CATALOG.replace('input = "1"', "input = 1")
    with pytest.raises(ConfigInvalid, match=r"acme\.toml:15: models\[0\]\.prices\[0\]\.input"):
        await world.snapshots.reload()
    assert world.snapshots.current() is good
    assert heard == []
    world.files.texts["acme"] = CATALOG
    assert (await world.snapshots.reload()).version == 2
    assert heard == [2]


async def test_files_are_read_again_only_when_they_changed_even_after_a_refusal() -> None:
    world = World()
    await world.snapshots.reload()
    assert not await world.snapshots.reload_if_changed()
    world.files.texts["acme"] = "nonsense"
    with pytest.raises(ConfigInvalid):
        await world.snapshots.reload_if_changed()
    assert not await world.snapshots.reload_if_changed()
    del world.files.texts["acme"]
    assert await world.snapshots.reload_if_changed()
    assert list(world.snapshots.current().providers) == ["here"]


async def test_publishing_keys_touches_nothing_else() -> None:
    world = World()
    before = await world.snapshots.reload()
    await world.keys.add(key("k1"))
    after = await world.snapshots.publish_keys()
    assert (list(after.keys), after.version) == (["k1"], 2)
    assert after.models is before.models
    assert before.keys == {}
    assert list((await world.snapshots.refresh()).keys) == ["k1"]


async def test_a_new_day_puts_its_prices_in_force() -> None:
    world = World()
    world.weights.add("one.gguf")
    await world.snapshots.reload()
    assert not await world.snapshots.refresh_if_day_changed()
    before = world.snapshots.current()
    world.clock.advance(12 * 3600 - 1)
    assert not await world.snapshots.refresh_if_day_changed()
    world.clock.advance(1)
    assert await world.snapshots.refresh_if_day_changed()
    days = [
        next(each.price.effective for each in snapshot.models["one"] if each.price and each.model.provider == "acme")
        for snapshot in (before, world.snapshots.current())
    ]
    assert days == ["2026-11-01", "2026-11-25"]


async def test_reloads_that_come_while_one_runs_share_the_next() -> None:
    world = World()
    world.keys.gate = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        first = group.create_task(world.snapshots.reload())
        await world.keys.reached.wait()
        later = [group.create_task(world.snapshots.reload()) for _ in range(5)]
        await world.keys.add(key("k1"))
        world.keys.gate.set()
    assert world.files.reads == 2
    assert first.result().version == 1
    assert {each.result().version for each in later} == {2}
    assert list(later[0].result().keys) == ["k1"]


async def test_who_waited_for_a_cancelled_reload_reloads_itself() -> None:
    world = World()
    world.keys.gate = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        first = group.create_task(world.snapshots.reload())
        await world.keys.reached.wait()
        second = group.create_task(world.snapshots.reload())
        first.cancel()
        world.keys.gate.set()
    assert first.cancelled()
    assert second.result().version == 1


async def test_a_listener_hears_every_swap_until_it_stops() -> None:
    world = World()
    heard: list[int] = []
    stop = world.snapshots.watch(lambda snapshot: heard.append(snapshot.version))
    await world.snapshots.reload()
    await world.snapshots.publish_keys()
    stop()
    await world.snapshots.refresh()
    assert heard == [1, 2]


def test_a_given_credential_is_looked_up_by_provider_then_by_variable() -> None:
    provider = Provider("acme", "", "", "", "bearer", "", "", "", "ACME_API_KEY")
    assert given_credentials({}, {"OTHER": "x"})(provider) == ()
    assert given_credentials({"acme": "  "}, {})(provider) == ()
    [found] = given_credentials({"acme": "sk-file"}, {"ACME_API_KEY": "sk-env"})(provider)
    assert (found.label, found.source, found.secret.reveal()) == ("default", "environment", "sk-file")


async def test_aliases_are_published_alone_and_stay_through_every_other_change() -> None:
    world = World()
    first = await world.snapshots.reload()
    assert first.aliases == {}
    alias = Alias("daily", "one", (), 1, 1)
    await world.aliases.put(alias)
    second = await world.snapshots.publish_named()
    assert (second.aliases, second.version, second.models) == ({"daily": alias}, 2, first.models)
    for snapshot in (
        await world.snapshots.publish_keys(),
        await world.snapshots.refresh(),
        await world.snapshots.reload(),
    ):
        assert snapshot.aliases == {"daily": alias}
    assert await world.snapshots.refresh_if_day_changed("2030-01-01")
    assert world.snapshots.current().aliases == {"daily": alias}
    assert first.aliases == {}


async def test_aliases_of_the_file_stand_beside_stored_ones_and_stay_through_every_other_change() -> None:
    world = World()
    stored, written = Alias("daily", "one", (), 1, 1), WrittenAlias("weekly", "one", (), "h.toml", 2)
    await world.aliases.put(stored)
    world.written.aliases = (written,)
    expected = {"daily": stored, "weekly": written.alias}
    for snapshot in (
        await world.snapshots.reload(),
        await world.snapshots.publish_keys(),
        await world.snapshots.publish_named(),
        await world.snapshots.refresh(),
    ):
        assert snapshot.aliases == expected
    assert await world.snapshots.refresh_if_day_changed("2030-01-01")
    assert world.snapshots.current().aliases == expected


async def test_a_changed_file_of_aliases_is_noticed_and_a_bad_one_is_refused() -> None:
    world = World()
    await world.snapshots.reload()
    assert not await world.snapshots.reload_if_changed()
    world.written.aliases = (WrittenAlias("weekly", "one", (), "h.toml", 2),)
    assert await world.snapshots.reload_if_changed()
    before = world.snapshots.current()
    world.written.aliases = (WrittenAlias("weekly", "nobody", (), "h.toml", 2),)
    with pytest.raises(ConfigInvalid, match=r"h\.toml:2: aliases\.weekly\.points_to"):
        await world.snapshots.reload_if_changed()
    assert world.snapshots.current() is before
    assert (await world.snapshots.publish_named()).aliases == before.aliases


async def test_strengths_are_read_with_the_files_and_a_change_of_them_is_noticed() -> None:
    world = World()
    name = next(iter((await world.snapshots.reload()).models))
    assert world.snapshots.current().models[name][0].model.strength is None
    world.strengths.strengths = (Strength(name, 1.5, 1.0, 2.0, "logit", "me", "2026-11-28"),)
    assert await world.snapshots.reload_if_changed()
    found = world.snapshots.current().models[name][0].model.strength
    assert found is not None
    assert (found.value, found.low, found.high) == (1.5, 1.0, 2.0)
    assert not await world.snapshots.reload_if_changed()


async def test_presets_are_read_with_the_files_and_stay_through_every_other_change() -> None:
    world = World()
    world.routers.routers[SUPPORT.uuid] = SUPPORT
    first = await world.snapshots.reload()
    assert first.routers == {"support": SUPPORT, "general": GENERAL.router}
    assert (set(first.task_sets), first.presets) == ({"support", "general"}, PRESETS)
    world.presets.presets = Presets()
    for change in (world.snapshots.refresh, world.snapshots.publish_named, world.snapshots.publish_keys):
        assert (await change()).routers == first.routers
        assert world.snapshots.current().presets == PRESETS
    await world.snapshots.refresh_if_day_changed("2026-11-25")
    assert world.snapshots.current().task_sets == first.task_sets
    assert (await world.snapshots.reload()).routers == {"support": SUPPORT}


async def test_stored_routers_and_corrections_are_in_force_when_they_are_published() -> None:
    world = World()
    await world.snapshots.reload()
    world.routers.routers[SUPPORT.uuid] = SUPPORT
    await world.routers.correct(Correction(SUPPORT.uuid, "refund", "req_1", b"\x00\x01", 1))
    assert "support" not in world.snapshots.current().routers
    published = await world.snapshots.publish_named()
    assert published.task_sets["support"].corrections == (("refund", b"\x00\x01"),)
    del world.routers.routers[SUPPORT.uuid]
    assert set((await world.snapshots.refresh()).routers) == {"general"}


async def test_deployments_are_models_when_they_are_published_and_no_longer_when_they_are_gone() -> None:
    world = World()
    first = await world.snapshots.reload()
    world.deployments.rows = (a_deployment(a_wanted(name="two")), a_deployment(a_wanted(name="one"), "dep_2"))
    published = await world.snapshots.publish_named()
    assert [each.model.provider for each in (*published.models["two"], *published.models["one"])] == ["dedicated"] * 2
    assert set(published.deployments) == {"dep_1", "dep_2"}
    assert published.providers["dedicated"].adapter == "openai"
    keys = world.keys.stored = (AccessKey("k", "web", Role.KEY, "shop", b"", None, 1),)
    assert set((await world.snapshots.publish_keys()).deployments) == {"dep_1", "dep_2"}
    assert set((await world.snapshots.refresh()).deployments) == {"dep_1", "dep_2"}
    world.deployments.rows = ()
    last = await world.snapshots.publish_named()
    assert (last.models, last.providers, last.deployments) == (first.models, first.providers, {})
    assert set(last.keys) == {each.public_id for each in keys}
    assert last.version == first.version + 4
