"""Reads the figures that alerts watch: balances and budgets of the books, the hour's cost, error rates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from headrace.domain.alert import EPISODE, HOUR_MICROS, Alert, Metric, Reading, window_at
from headrace.domain.budget import Budget, balance_scope
from headrace.domain.snapshot import Snapshot
from headrace.domain.transfer import Balance
from headrace.ports.alerts import HourCosts
from headrace.ports.ambient import Clock
from headrace.ports.money import Accounts
from headrace.services.error_rates import ErrorRates
from headrace.services.snapshots import Snapshots

MONEY_BASE = 100


class AlertFigures:
    """One reading for each alert; the store is read off the event loop and twice at most, however many alerts."""

    def __init__(
        self, snapshots: Snapshots, accounts: Accounts, costs: HourCosts, errors: ErrorRates, clock: Clock
    ) -> None:
        self._snapshots = snapshots
        self._accounts = accounts
        self._costs = costs
        self._errors = errors
        self._clock = clock

    async def read(self, alerts: Sequence[Alert]) -> Mapping[str, Reading | None]:
        """Return the reading of each alert by its id, None when its subject is gone or has too few attempts."""
        now, snapshot = self._clock.unix_micros(), self._snapshots.current()
        budgets = {each.id: each for each in snapshot.budgets}
        scopes = {each.id: _books_scope(each, budgets, snapshot, now) for each in alerts}
        asked = sorted({each for each in scopes.values() if each is not None})
        balances = {each.scope: each for each in await self._accounts.balances(asked)} if asked else {}
        priced = sorted({each.scope for each in alerts if each.metric is Metric.COST_PER_HOUR})
        costs: Mapping[str, int] = await self._costs.costs(now - now % HOUR_MICROS, priced) if priced else {}
        found: dict[str, Reading | None] = {}
        for alert in alerts:
            match alert.metric:
                case Metric.ERROR_RATE:
                    found[alert.id] = self._error_rate(alert)
                case Metric.COST_PER_HOUR:
                    found[alert.id] = Reading(costs[alert.scope], MONEY_BASE, window_at(alert, None, now))
                case Metric.BUDGET_USED | Metric.BALANCE_LEFT:
                    found[alert.id] = _of_books(alert, budgets, scopes[alert.id], balances, now)
        return found

    def _error_rate(self, alert: Alert) -> Reading | None:
        attempts, failed = self._errors.count(alert.scope, alert.window_seconds)
        if not attempts:
            return Reading(0, 1, EPISODE)
        return Reading(failed, attempts, EPISODE) if attempts >= alert.min_attempts else None


def _books_scope(alert: Alert, budgets: Mapping[str, Budget], snapshot: Snapshot, at_micros: int) -> str | None:
    if alert.metric is Metric.BUDGET_USED:
        budget = budgets.get(alert.scope_name)
        return None if budget is None else budget.span_at(at_micros).scope
    team = snapshot.teams.get(alert.scope_name) if alert.metric is Metric.BALANCE_LEFT else None
    return balance_scope(alert.scope_name) if team is not None and team.is_prepaid else None


def _of_books(
    alert: Alert, budgets: Mapping[str, Budget], scope: str | None, balances: Mapping[str, Balance], at_micros: int
) -> Reading | None:
    """Only what is settled counts: what is held comes and goes with every request."""
    if scope is None:
        return None
    balance = balances.get(scope, Balance(scope, None, 0, 0))
    if alert.metric is Metric.BALANCE_LEFT:
        return Reading(max(0, (balance.limit_nano or 0) - balance.spent_nano), MONEY_BASE, EPISODE)
    budget = budgets[alert.scope_name]
    return Reading(balance.spent_nano, budget.limit_nano, window_at(alert, budget, at_micros))
