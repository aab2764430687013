"""Whether a deployment's owner can pay for more replicas: what budgets and balance have left; booking is metering's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from headrace.domain.budget import PLATFORM_SCOPE, Budget, balance_scope
from headrace.domain.dedicated import Deployment
from headrace.domain.errors import HeadraceError
from headrace.domain.snapshot import Snapshot
from headrace.domain.transfer import Balance
from headrace.ports.ambient import Clock
from headrace.ports.money import Accounts


@dataclass(frozen=True, slots=True)
class _Limit:
    """What a scope may spend when nothing was booked on it yet, and what it is called."""

    nano: int
    named: str


class DeploymentMeans:
    """Reads what is left of the budgets of the platform, the owner's team and the deployment, and of a balance."""

    def __init__(self, snapshot: Callable[[], Snapshot], accounts: Accounts, clock: Clock) -> None:
        self._snapshot = snapshot
        self._accounts = accounts
        self._clock = clock

    async def objection(self, deployment: Deployment) -> str | None:
        """Return what is used up, as a sentence; None when the owner can pay, and for a deployment that costs nothing.

        What cannot be read speaks against growing too: nothing is started that might not be paid for.
        """
        if deployment.nano_per_hour == 0:
            return None
        snapshot = self._snapshot()
        limits = self._limits(deployment, snapshot)
        if not limits:
            return None
        try:
            found = {each.scope: each for each in await self._accounts.balances(tuple(limits))}
        except HeadraceError as failure:
            return f"It is not scaled up while its budgets cannot be read: {failure.message}"
        for scope, limit in limits.items():
            if found.get(scope, Balance(scope, limit.nano, 0, 0)).left_nano == 0:
                return f"It is not scaled up: {limit.named} is used up."
        return None

    def _limits(self, deployment: Deployment, snapshot: Snapshot) -> dict[str, _Limit]:
        """Return the scopes that replicas of the deployment draw on."""
        concerned = (PLATFORM_SCOPE, f"team:{deployment.account}", f"model:{deployment.name}")
        at_micros = self._clock.unix_micros()
        limits = {
            each.span_at(at_micros).scope: _Limit(each.limit_nano, _named(each))
            for each in snapshot.budgets
            if each.scope in concerned
        }
        team = snapshot.teams.get(deployment.account)
        if team is not None and team.is_prepaid:
            limits[balance_scope(team.name)] = _Limit(0, f'the prepaid balance of the team "{team.name}"')
        return limits


def _named(budget: Budget) -> str:
    kind, _, name = budget.scope.partition(":")
    return f'the budget {budget.id} of the {kind} "{name}"' if name else f"the budget {budget.id} of the {kind}"
