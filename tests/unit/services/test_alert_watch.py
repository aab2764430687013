"""From a figure over its threshold to a revoked key, a pointed alias and a message; through crashes and clock steps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from headrace.domain.alert import Action, ActionKind, AlertEvent
from headrace.domain.budget import balance_scope
from headrace.domain.errors import MeteringUnavailable
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.transfer import Balance
from headrace.domain.webhook import Delivery
from headrace.http.control.app import control_app
from headrace.http.control.parts import ControlParts
from headrace.services.alert_actions import AlertActions
from headrace.services.alert_figures import AlertFigures
from headrace.services.alert_watch import TICK_SECONDS, AlertWatch
from headrace.services.error_rates import ErrorRates
from headrace.testing.clock import FakeIds
from headrace.wire.alert_json import event_object
from tests.control_world import MemoryKeys, World, client_of
from tests.fakes.alerts import MemoryAlertStore, MemoryHourCosts
from tests.fakes.money import MemoryAccounts
from tests.unit.services.test_error_rates import ended

pytestmark = pytest.mark.anyio

DAY = 86_400.0


class DyingStore(MemoryAlertStore):
    """Keeps events and never what comes of them."""

    async def finish(self, event: AlertEvent, deliveries: Iterable[Delivery]) -> None:
        raise MeteringUnavailable("the process is dead")


class LockableKeys(MemoryKeys):
    """A key store that cannot write while a test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.failure: MeteringUnavailable | None = None

    async def revoke(self, public_id: str, at_micros: int) -> bool:
        if self.failure is not None:
            raise self.failure
        return await super().revoke(public_id, at_micros)


@dataclass(slots=True)
class Watched:
    """A control plane whose figures a test sets, and its watch."""

    world: World
    keys: LockableKeys
    parts: ControlParts
    errors: ErrorRates
    costs: MemoryHourCosts = field(default_factory=MemoryHourCosts)
    told: list[AlertEvent] = field(default_factory=list[AlertEvent])
    ids: FakeIds = field(default_factory=FakeIds)

    def watch(self, store: MemoryAlertStore | None = None) -> AlertWatch:
        """A watch as a process that has just started makes it."""
        world, snapshots = self.world, self.parts.door.snapshots
        figures = AlertFigures(snapshots, MemoryAccounts(world.money), self.costs, self.errors, world.clock)
        actions = AlertActions(self.parts.keys, self.parts.aliases, snapshots)
        kept = MemoryAlertStore(world.alerting) if store is None else store
        return AlertWatch(kept, figures, actions, world.clock, self.ids, self.told.append)

    async def make(self, path: str, body: JsonObject) -> dict[str, Any]:
        """Make something over the API."""
        async with client_of(control_app(self.parts)) as client:
            reply = await client.post(path, json=body, headers=self.world.bearer("admin"))
        assert reply.status_code in (200, 201), reply.text
        made: dict[str, Any] = reply.json()
        return made

    async def alert(self, **fields: JsonValue) -> str:
        made = await self.make("/v2/alerts", {"name": "mine", **fields})
        return str(made["alert"]["id"])

    async def budget(self, window: str = "day", limit: str = "1") -> str:
        made = await self.make("/v2/budgets", {"scope": "platform", "window": window, "limit_usd": limit})
        return str(made["budget"]["id"])

    def spend(self, budget_id: str, spent_nano: int) -> None:
        """Let the window of a budget that runs now have this spending."""
        budget = self.world.money.budgets[budget_id]
        scope = budget.span_at(self.world.clock.unix_micros()).scope
        self.world.money.scopes[scope] = Balance(scope, budget.limit_nano, 10**9, spent_nano)


@pytest.fixture
async def watched() -> AsyncIterator[Watched]:
    keys = LockableKeys()
    world = World(given={"ACME_API_KEY": "sk-1"}, keys=keys)
    parts = await world.build()
    yield Watched(world, keys, parts, ErrorRates(world.clock))


async def test_without_alerts_nothing_is_read(watched: Watched) -> None:
    await watched.watch().look()
    assert watched.told == []


async def test_a_budget_fires_once_a_day_by_what_is_settled(watched: Watched) -> None:
    budget = await watched.budget()
    await watched.alert(metric="budget_used", scope=f"budget:{budget}", threshold_percent=80)
    watch, clock = watched.watch(), watched.world.clock
    watched.spend(budget, 799_999_999)
    await watch.look()
    assert watched.told == []
    watched.spend(budget, 800_000_000)
    for _ in range(3):
        await watch.look()
    clock.advance(DAY)
    await watch.look()
    assert len(watched.told) == 1
    watched.spend(budget, 900_000_000)
    for step in (0.0, -DAY, DAY, DAY, -DAY):
        clock.jump(step)
        await watch.look()
    shown = [event_object(each) for each in watched.told]
    assert [(each["value_percent"], each["window_starts_at"]) for each in shown] == [
        (80.0, "2026-11-24T00:00:00.000000Z"),
        (90.0, "2026-11-25T00:00:00.000000Z"),
    ]


async def test_a_balance_fires_when_it_is_low_and_again_after_a_payment(watched: Watched) -> None:
    await watched.make("/v2/teams", {"name": "crew", "prepaid": True})
    await watched.make("/v2/teams/crew/transfers", {"amount_usd": "10", "note": "first"})
    await watched.alert(metric="balance_left", scope="team:crew", threshold_usd="5")
    watch, scope = watched.watch(), balance_scope("crew")
    for spent in (4, 5, 6, 4.4, 6):
        before = watched.world.money.scopes[scope]
        watched.world.money.scopes[scope] = replace(before, spent_nano=int(spent * 10**9))
        await watch.look()
    assert [each.value for each in watched.told] == [5 * 10**9, 4 * 10**9]


async def test_cost_fires_once_an_hour(watched: Watched) -> None:
    await watched.alert(metric="cost_per_hour", scope="platform", threshold_usd="2")
    watch = watched.watch()
    for cost, seconds in ((1, 0), (3, 0), (4, 1800), (1, 1800), (2, 1800)):
        watched.world.clock.advance(seconds)
        watched.costs.by_scope["platform"] = cost * 10**9
        await watch.look()
    assert [each.value for each in watched.told] == [3 * 10**9, 2 * 10**9]


async def test_an_error_rate_needs_its_attempts(watched: Watched) -> None:
    fields: JsonObject = {"window_seconds": 60, "min_attempts": 4}
    await watched.alert(metric="error_rate", scope="model:tiny", threshold_percent=50, **fields)
    watch = watched.watch()
    for code in ("upstream_timeout", "upstream_timeout", None, None):
        await watch.look()
        assert watched.told == []
        watched.errors.attempt_ended(ended(code, model="tiny"))
    await watch.look()
    await watch.look()
    assert [(each.value, each.base) for each in watched.told] == [(2, 4)]
    watched.world.clock.advance(120)
    await watch.look()
    for _ in range(4):
        watched.errors.attempt_ended(ended("upstream_timeout", model="tiny"))
    await watch.look()
    assert len(watched.told) == 2


async def test_a_key_is_revoked_and_the_event_says_so(watched: Watched) -> None:
    budget, key = await watched.budget(), watched.world.ids["key"]
    action: JsonObject = {"kind": "revoke_key", "key": key}
    await watched.alert(metric="budget_used", scope=f"budget:{budget}", threshold_percent=100, action=action)
    watched.spend(budget, 10**9)
    await watched.watch().look()
    assert watched.world.keys.keys[key].revoked_at_micros == watched.world.clock.unix_micros()
    assert event_object(watched.told[0])["result"] == {"done": True, "code": None, "message": None}
    async with client_of(control_app(watched.parts)) as client:
        assert (await client.get("/v2/me", headers=watched.world.bearer("key"))).status_code == 401
        assert (await client.get("/v2/me", headers=watched.world.bearer("foreign"))).status_code == 200


async def test_the_last_admin_token_stays_and_the_event_says_why(watched: Watched) -> None:
    budget = await watched.budget()
    action: JsonObject = {"kind": "revoke_key", "key": watched.world.ids["admin"]}
    await watched.alert(metric="budget_used", scope=f"budget:{budget}", threshold_percent=1, action=action)
    watched.spend(budget, 10**9)
    await watched.watch().look()
    (event,) = watched.told
    assert event.result is not None
    assert (event.result.is_done, event.result.code) == (False, "last_admin_token")
    assert watched.world.keys.keys[watched.world.ids["admin"]].revoked_at_micros is None


async def test_an_alias_is_pointed_elsewhere_with_its_other_fallbacks(watched: Watched) -> None:
    chain: JsonObject = {"name": "daily", "points_to": "acme/chat:large", "fallbacks": ["tiny", "unpriced"]}
    await watched.make("/v2/aliases", chain)
    action: JsonObject = {"kind": "repoint_alias", "alias": "daily", "points_to": "tiny"}
    await watched.alert(metric="cost_per_hour", scope="platform", threshold_usd="1", action=action)
    watched.costs.by_scope["platform"] = 10**9
    await watched.watch().look()
    alias = watched.parts.aliases.find("daily")
    assert (alias.points_to, alias.fallbacks) == ("tiny", ("unpriced",))


async def test_an_alias_that_was_deleted_meanwhile_is_told_and_not_made(watched: Watched) -> None:
    await watched.make("/v2/aliases", {"name": "daily", "points_to": "acme/chat:large"})
    action: JsonObject = {"kind": "repoint_alias", "alias": "daily", "points_to": "tiny"}
    await watched.alert(metric="cost_per_hour", scope="platform", threshold_usd="1", action=action)
    await watched.parts.aliases.remove("daily", lambda _: None)
    watched.costs.by_scope["platform"] = 10**9
    await watched.watch().look()
    assert watched.told[0].result is not None
    assert watched.told[0].result.code == "alias_not_found"
    assert watched.parts.aliases.list() == ()


async def test_what_a_crash_left_is_done_at_the_next_start_and_told_once(watched: Watched) -> None:
    hook = await watched.make("/v2/webhooks", {"url": "https://a.example/x"})
    budget, key = await watched.budget(), watched.world.ids["key"]
    action: JsonObject = {"kind": "revoke_key", "key": key}
    fields: JsonObject = {"webhooks": [hook["webhook"]["id"]], "action": action}
    await watched.alert(metric="budget_used", scope=f"budget:{budget}", threshold_percent=100, **fields)
    watched.spend(budget, 10**9)

    with pytest.raises(MeteringUnavailable):
        await watched.watch(DyingStore(watched.world.alerting)).look()
    assert (len(watched.world.alerting.unfinished), watched.told) == (1, [])
    again = watched.watch()
    for _ in range(2):
        await again.look()
    assert [each.result is not None and each.result.is_done for each in watched.told] == [True]
    assert [each.webhook_id for each in watched.world.alerting.deliveries.values()] == list(
        watched.world.alerting.webhooks
    )


async def test_the_watch_outlives_a_store_that_cannot_write(watched: Watched) -> None:
    budget = await watched.budget()
    await watched.alert(metric="budget_used", scope=f"budget:{budget}", threshold_percent=50)
    watched.spend(budget, 10**9)
    watched.world.alerting.failure = MeteringUnavailable("locked")
    slept = list[float]()

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 2:
            watched.world.alerting.failure = None
        if len(slept) == 4:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await watched.watch().watch_for_ever(sleep)
    assert slept == [TICK_SECONDS] * 4
    assert len(watched.told) == 1


async def test_an_alert_that_is_changed_while_figures_are_read_does_not_fire(watched: Watched) -> None:
    budget = await watched.budget()
    alert_id = await watched.alert(metric="budget_used", scope=f"budget:{budget}", threshold_percent=50)
    watched.spend(budget, 10**9)
    kept = watched.world.alerting

    class Meanwhile(MemoryAccounts):
        async def balances(self, scopes: Sequence[str]) -> tuple[Balance, ...]:
            before = kept.alerts[alert_id]
            kept.alerts[alert_id] = replace(before, alert=replace(before.alert, name="changed"))
            return await MemoryAccounts.balances(self, scopes)

    watch, snapshots = watched.watch(), watched.parts.door.snapshots
    accounts = Meanwhile(watched.world.money)
    figures = AlertFigures(snapshots, accounts, watched.costs, watched.errors, watched.world.clock)
    watch._figures = figures  # pyright: ignore[reportPrivateUsage] - the change comes between two steps
    await watch.look()
    assert watched.told == []
    await watched.watch().look()
    assert [each.alert_name for each in watched.told] == ["changed"]


async def test_an_alert_of_a_budget_that_was_removed_says_nothing(watched: Watched) -> None:
    budget = await watched.budget()
    await watched.alert(metric="budget_used", scope=f"budget:{budget}", threshold_percent=50)
    await watched.parts.budgets.remove(budget)
    await watched.watch().look()
    assert watched.told == []


async def test_a_regenerated_key_is_watched_and_revoked_under_its_new_id(watched: Watched) -> None:
    key = watched.world.ids["key"]
    action: JsonObject = {"kind": "revoke_key", "key": key}
    await watched.alert(metric="cost_per_hour", scope=f"key:{key}", threshold_usd="1", action=action)
    new = (await watched.parts.keys.regenerate(key)).key.public_id
    watched.costs.by_scope[f"key:{new}"] = 10**9
    await watched.watch().look()
    assert watched.world.keys.keys[new].revoked_at_micros is not None
    assert [each.scope for each in watched.told] == [f"key:{new}"]


async def test_an_alias_that_is_deleted_at_the_very_moment_is_not_made_anew(watched: Watched) -> None:
    await watched.make("/v2/aliases", {"name": "daily", "points_to": "acme/chat:large"})
    aliases, snapshots = watched.parts.aliases, watched.parts.door.snapshots
    turn = aliases._turn  # pyright: ignore[reportPrivateUsage] - the deletion comes between reading and changing
    actions = AlertActions(watched.parts.keys, aliases, snapshots)
    action = Action(ActionKind.REPOINT_ALIAS, "daily", "tiny")
    async with asyncio.TaskGroup() as group, turn:
        done = group.create_task(actions.perform(action))
        await asyncio.sleep(0)
        del watched.world.aliases.aliases["daily"]
        await snapshots.publish_named()
    result = done.result()
    assert result is not None
    assert (result.is_done, result.code) == (False, "alias_not_found")
    assert aliases.list() == ()


async def test_an_action_that_the_store_cannot_take_is_done_later(watched: Watched) -> None:
    budget, key = await watched.budget(), watched.world.ids["key"]
    action: JsonObject = {"kind": "revoke_key", "key": key}
    await watched.alert(metric="budget_used", scope=f"budget:{budget}", threshold_percent=100, action=action)
    watched.spend(budget, 10**9)
    keys, watch = watched.keys, watched.watch()
    keys.failure = MeteringUnavailable("locked")
    with pytest.raises(MeteringUnavailable):
        await watch.look()
    assert (keys.keys[key].revoked_at_micros, watched.told) == (None, [])
    keys.failure = None
    await watch.look()
    assert keys.keys[key].revoked_at_micros is not None
    assert len(watched.told) == 1
