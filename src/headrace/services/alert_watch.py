"""Watches the figures of all alerts, off the request path, and does what is due when one fires.

An event is stored before its action is done, and finished with the action's result and its deliveries: a process that
dies in between does the action again at its next start.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeAlias

from headrace.domain.alert import AlertEvent, Reading, Standing, event_of, judge
from headrace.domain.errors import HeadraceError
from headrace.domain.webhook import Delivery
from headrace.ports.alerts import AlertStore
from headrace.ports.ambient import Clock, Ids
from headrace.services.alert_actions import AlertActions
from headrace.services.alert_figures import AlertFigures

Sleep: TypeAlias = Callable[[float], Awaitable[object]]
Report: TypeAlias = Callable[[AlertEvent], None]

TICK_SECONDS = 2.0


class AlertWatch:
    """Reads every figure every two seconds; `report` hears of each event once it is finished."""

    def __init__(
        self, store: AlertStore, figures: AlertFigures, actions: AlertActions, clock: Clock, ids: Ids, report: Report
    ) -> None:
        self._store = store
        self._figures = figures
        self._actions = actions
        self._clock = clock
        self._ids = ids
        self._report = report
        self._may_be_unfinished = True

    async def watch_for_ever(self, sleep: Sleep = asyncio.sleep) -> None:
        """Watch until cancelled; what fails because of the store is tried again the next time."""
        while True:
            try:
                await self.look()
            except HeadraceError:
                self._may_be_unfinished = True
            await sleep(TICK_SECONDS)

    async def look(self) -> None:
        """Finish what was left, then judge every alert once."""
        if self._may_be_unfinished:
            for event in await self._store.unfinished():
                await self._finish(event)
            self._may_be_unfinished = False
        standings = await self._store.list()
        if not standings:
            return
        readings = await self._figures.read([each.alert for each in standings])
        for standing in standings:
            await self._judge(standing, readings[standing.alert.id])

    async def _judge(self, standing: Standing, reading: Reading | None) -> None:
        verdict = judge(standing, reading)
        if reading is None or verdict.fired == standing.fired:
            return
        if not verdict.fires:
            await self._store.note(standing, verdict.fired)
            return
        event = event_of(standing.alert, reading, self._ids.new("evt"), self._clock.unix_micros())
        if await self._store.note(standing, verdict.fired, event):
            self._may_be_unfinished = True
            await self._finish(event)
            self._may_be_unfinished = False

    async def _finish(self, event: AlertEvent) -> None:
        finished = replace(event, result=await self._actions.perform(event.action))
        now = self._clock.unix_micros()
        deliveries = [Delivery(self._ids.new("msg"), event.id, each, now, now) for each in event.webhooks]
        await self._store.finish(finished, deliveries)
        self._report(finished)
