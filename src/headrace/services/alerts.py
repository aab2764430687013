"""Alerts as the operator changes them, and what they have done; watching their figures is alert_watch's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from headrace.domain.alert import ActionKind, Alert, Metric, Standing, window_at
from headrace.domain.errors import Conflict, InvalidRequest, NotFound
from headrace.domain.webhook import EventRecord
from headrace.ports.alerts import AlertStore, WebhookStore
from headrace.ports.ambient import Clock, Ids
from headrace.services.alert_rules import changed_alert, check_alert, new_alert
from headrace.services.snapshots import Snapshots
from headrace.wire.alert_json import AlertFields

MOST_ALERTS = 200


@dataclass(frozen=True, slots=True)
class AlertState:
    """An alert, and whether it has fired in the window or episode that runs now."""

    alert: Alert
    is_fired: bool


Check: TypeAlias = Callable[[AlertState], None]


class Alerts:
    """Changes alerts one change at a time; a changed threshold, window or scope arms an alert again."""

    def __init__(self, store: AlertStore, webhooks: WebhookStore, snapshots: Snapshots, clock: Clock, ids: Ids) -> None:
        self._store = store
        self._webhooks = webhooks
        self._snapshots = snapshots
        self._clock = clock
        self._ids = ids
        self._turn = asyncio.Lock()

    async def list(self) -> tuple[AlertState, ...]:
        """Return every alert, oldest first."""
        return tuple([self._state(each) for each in await self._store.list()])

    async def find(self, alert_id: str) -> AlertState:
        """Return one alert; raises NotFound."""
        return self._state(await self._find(alert_id))

    async def create(self, fields: AlertFields) -> AlertState:
        """Make an alert; raises InvalidRequest, NotFound and Conflict for what cannot be one."""
        async with self._turn:
            if len(await self._store.list()) >= MOST_ALERTS:
                raise InvalidRequest(f"There are {MOST_ALERTS} alerts already; delete one first.")
            alert = new_alert(fields, self._ids.new("alr"), self._clock.unix_micros())
            return await self._put(Standing(alert))

    async def change(self, alert_id: str, fields: AlertFields, check: Check) -> AlertState:
        """Change what is given of an alert, not its metric or scope; raises as `create`, and what `check` raises."""
        async with self._turn:
            present = await self._find(alert_id)
            check(self._state(present))
            alert = changed_alert(present.alert, fields, self._clock.unix_micros())
            before, after = _condition(present.alert), _condition(alert)
            return await self._put(Standing(alert, present.fired if before == after else ()))

    async def remove(self, alert_id: str, check: Check) -> AlertState:
        """Forget an alert and return what it was; its events stay. Raises NotFound, and what `check` raises."""
        async with self._turn:
            present = await self._find(alert_id)
            check(self._state(present))
            await self._store.remove(alert_id)
            return self._state(present)

    async def events(self, limit: int, alert_id: str | None = None) -> tuple[EventRecord, ...]:
        """Return the newest events first, of one alert or of all."""
        return await self._store.events(limit, alert_id)

    async def require_unused(self, webhook_id: str) -> None:
        """Raise Conflict when an alert names a webhook."""
        using = [each.alert.name for each in await self._store.list() if webhook_id in each.alert.webhooks]
        if using:
            raise Conflict(
                f'The alert "{using[0]}" sends to this webhook: take it out of the alert, or delete the alert, first.',
                code="webhook_in_use",
            )

    async def require_unwatched(self, team: str) -> None:
        """Raise Conflict when an alert watches a team."""
        watching = [each.alert.name for each in await self._store.list() if each.alert.scope == f"team:{team}"]
        if watching:
            raise Conflict(
                f'The team "{team}" has alerts ("{watching[0]}" is one): delete them first.', code="team_in_use"
            )

    async def carry_key(self, old_id: str, new_id: str) -> None:
        """Let the alerts that watch a regenerated key, or would revoke it, have its new id."""
        async with self._turn:
            for each in await self._store.list():
                carried = _carried(each.alert, old_id, new_id)
                if carried != each.alert:
                    changed = replace(carried, changed_at_micros=self._clock.unix_micros())
                    await self._store.put(changed, each.fired)

    async def _put(self, standing: Standing) -> AlertState:
        known = {each.id for each in await self._webhooks.list()}
        check_alert(standing.alert, self._snapshots.current(), known)
        await self._store.put(standing.alert, standing.fired)
        return self._state(standing)

    async def _find(self, alert_id: str) -> Standing:
        for standing in await self._store.list():
            if standing.alert.id == alert_id:
                return standing
        raise NotFound(
            f'No alert has the id "{alert_id[:80]}"; `headrace alerts list` shows the ids.', code="alert_not_found"
        )

    def _state(self, standing: Standing) -> AlertState:
        alert = standing.alert
        budgets = {each.id: each for each in self._snapshots.current().budgets}
        window = window_at(alert, budgets.get(alert.scope_name), self._clock.unix_micros())
        return AlertState(alert, window in standing.fired)


def _condition(alert: Alert) -> tuple[Metric, int, int, int]:
    return alert.metric, alert.threshold, alert.window_seconds, alert.min_attempts


def _carried(alert: Alert, old_id: str, new_id: str) -> Alert:
    action = alert.action
    if action is not None and action.kind is ActionKind.REVOKE_KEY and action.target == old_id:
        action = replace(action, target=new_id)
    scope = f"key:{new_id}" if alert.scope == f"key:{old_id}" else alert.scope
    return replace(alert, action=action, scope=scope)
