"""Budgets as the operator changes them, and what is left of each; which ones a call draws on is budgets.py's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from headrace.domain.access import AccessKey, Caller, key_scope
from headrace.domain.budget import PLATFORM_SCOPE, Budget, BudgetMode, Span, Window, is_zone
from headrace.domain.errors import Conflict, InvalidRequest, NotFound
from headrace.domain.money import MAX_NANO, format_nano
from headrace.domain.names import did_you_mean
from headrace.domain.snapshot import Snapshot
from headrace.domain.team import DEFAULT_TEAM
from headrace.domain.transfer import Balance
from headrace.ports.ambient import Clock, Ids
from headrace.ports.money import Accounts, BudgetStore
from headrace.services.snapshots import Snapshots

MOST_BUDGETS = 10_000
LISTED_BY = MappingProxyType({"team": "teams list", "key": "keys list", "model": "models --all"})


@dataclass(frozen=True, slots=True)
class WantedBudget:
    """A budget as it is asked for."""

    scope: str
    window: Window
    limit_nano: int
    zone: str = "UTC"
    mode: BudgetMode = BudgetMode.REJECT


@dataclass(frozen=True, slots=True)
class BudgetState:
    """A budget with the window that runs now and what it holds and has spent.

    The scope of a key's budget names the key that is in use now, whatever key it was made for.
    """

    budget: Budget
    span: Span
    balance: Balance


class BudgetBook:
    """Changes budgets one change at a time; a changed limit is in force for the next hold."""

    def __init__(self, store: BudgetStore, accounts: Accounts, snapshots: Snapshots, clock: Clock, ids: Ids) -> None:
        self._store = store
        self._accounts = accounts
        self._snapshots = snapshots
        self._clock = clock
        self._ids = ids
        self._turn = asyncio.Lock()

    async def list(self, scope: str | None = None) -> tuple[BudgetState, ...]:
        """Return every budget, or those of one scope, with what is left now."""
        snapshot = self._snapshots.current()
        wanted = None if scope is None else stored_scope(scope, snapshot)
        return await self._states([each for each in snapshot.budgets if wanted in (None, each.scope)])

    async def list_own(self, caller: Caller) -> tuple[BudgetState, ...]:
        """Return the budgets of the caller's key and of its team, with what is left now."""
        own = (caller.budget_scope, f"team:{caller.team}")
        return await self._states([each for each in self._snapshots.current().budgets if each.scope in own])

    async def find(self, budget_id: str, caller: Caller | None = None) -> BudgetState:
        """Return one budget; raises NotFound, for a caller's sake also when it is not the caller's own."""
        budget = self._find(budget_id)
        if caller is not None and budget.scope not in (caller.budget_scope, f"team:{caller.team}"):
            raise _unknown(budget_id)
        return await self._state(budget)

    async def create(self, wanted: WantedBudget) -> BudgetState:
        """Make a budget.

        Raises InvalidRequest for what cannot be one, NotFound for a scope that does not exist, Conflict when the scope
        has a budget of this window already.
        """
        async with self._turn:
            snapshot = self._snapshots.current()
            check_budget(wanted, snapshot)
            now = self._clock.unix_micros()
            scope = stored_scope(wanted.scope, snapshot)
            _check_new(scope, wanted, snapshot.budgets)
            budget = Budget(
                self._ids.new("bud"), scope, wanted.window, wanted.zone, wanted.limit_nano, wanted.mode, now, now
            )
            return await self._put(budget)

    async def change(self, budget_id: str, limit_nano: int | None, mode: BudgetMode | None) -> BudgetState:
        """Change a budget's limit or mode, nothing else; raises NotFound, InvalidRequest."""
        async with self._turn:
            budget = self._find(budget_id)
            limit = budget.limit_nano if limit_nano is None else limit_nano
            _check_limit(limit)
            changed_at = self._clock.unix_micros()
            return await self._put(
                replace(budget, limit_nano=limit, mode=mode or budget.mode, changed_at_micros=changed_at)
            )

    async def remove(self, budget_id: str) -> BudgetState:
        """Forget a budget and return what it was; raises NotFound."""
        async with self._turn:
            budget = self._find(budget_id)
            last = await self._state(budget)
            await self._store.remove(budget_id)
            await self._snapshots.publish_named()
            return last

    async def _put(self, budget: Budget) -> BudgetState:
        await self._store.put(budget, budget.span_at(self._clock.unix_micros()).scope)
        await self._snapshots.publish_named()
        return await self._state(budget)

    async def _state(self, budget: Budget) -> BudgetState:
        (state,) = await self._states([budget])
        return state

    async def _states(self, budgets: Sequence[Budget]) -> tuple[BudgetState, ...]:
        now = self._clock.unix_micros()
        spans = [each.span_at(now) for each in budgets]
        found = {each.scope: each for each in await self._accounts.balances([span.scope for span in spans])}
        shown = _shown_scopes(self._snapshots.current().keys.values())
        return tuple(
            BudgetState(
                replace(budget, scope=shown.get(budget.scope, budget.scope)),
                span,
                found.get(span.scope) or Balance(span.scope, budget.limit_nano, 0, 0),
            )
            for budget, span in zip(budgets, spans, strict=True)
        )

    def _find(self, budget_id: str) -> Budget:
        for budget in self._snapshots.current().budgets:
            if budget.id == budget_id:
                return budget
        raise _unknown(budget_id)


def stored_scope(scope: str, snapshot: Snapshot) -> str:
    """Return the scope under which a budget is kept: a key that replaces others has the budgets of the first."""
    key = snapshot.keys.get(scope.removeprefix("key:")) if scope.startswith("key:") else None
    return scope if key is None else key.budget_scope


def check_budget(wanted: WantedBudget, snapshot: Snapshot) -> None:
    """Raise unless the scope exists, the zone is known and the limit is in range."""
    _check_limit(wanted.limit_nano)
    if not is_zone(wanted.zone):
        raise InvalidRequest(
            f'"{wanted.zone[:80]}" is no time zone: write a name of the IANA database, like "Europe/Berlin" or "UTC".',
            param="zone",
        )
    if len(snapshot.budgets) >= MOST_BUDGETS:
        raise InvalidRequest(f"There are {MOST_BUDGETS} budgets already; remove one first.")
    check_scope(wanted.scope, snapshot)


def check_scope(scope: str, snapshot: Snapshot) -> None:
    """Raise unless a scope is "platform" or names a team, a key that is not revoked, or a model."""
    kind, _, name = scope.partition(":")
    known: set[str]
    match kind:
        case "platform" if scope == PLATFORM_SCOPE:
            return
        case "team":
            known = {*snapshot.teams, DEFAULT_TEAM}
        case "key":
            live = [each for each in snapshot.keys.values() if each.revoked_at_micros is None]
            known = {each.public_id for each in live}
            name = _id_or_name(name, live)
        case "model":
            known = set(snapshot.models)
        case _:
            raise InvalidRequest(
                f'"{scope[:80]}" is no scope: write "platform", "team:NAME", "key:ID" or "model:ID".', param="scope"
            )
    if name not in known:
        hint = did_you_mean(name, known)
        raise NotFound(
            f'There is no {kind} "{name[:80]}". {hint or f"`headrace {LISTED_BY[kind]}` lists them."}',
            code=f"{kind}_not_found",
            param="scope",
        )


def _id_or_name(text: str, live: Sequence[AccessKey]) -> str:
    """A key's name is no id, but it tells which key was meant."""
    meant = [each.public_id for each in live if each.name == text]
    if meant and text not in {each.public_id for each in live}:
        raise NotFound(
            f'"{text}" is the name of a key, not its id: write {key_scope(meant[0])}'
            f"{f' or {key_scope(meant[1])}' if len(meant) > 1 else ''}.",
            code="key_not_found",
            param="scope",
        )
    return text


def _check_new(scope: str, wanted: WantedBudget, budgets: Sequence[Budget]) -> None:
    for each in budgets:
        if (each.scope, each.window, each.zone) == (scope, wanted.window, wanted.zone):
            raise Conflict(
                f"{wanted.scope} has a budget of this window already, {each.id}: change that one.",
                code="budget_exists",
                param="window",
            )


def _check_limit(limit_nano: int) -> None:
    if not 0 <= limit_nano <= MAX_NANO:
        raise InvalidRequest(
            f'"limit_usd" must be between 0 and {format_nano(MAX_NANO)} dollars, not {format_nano(limit_nano)}.',
            param="limit_usd",
        )


def _unknown(budget_id: str) -> NotFound:
    return NotFound(
        f'No budget has the id "{budget_id[:80]}"; `headrace budgets list` shows the ids.', code="budget_not_found"
    )


def _shown_scopes(keys: Iterable[AccessKey]) -> dict[str, str]:
    return {each.budget_scope: key_scope(each.public_id) for each in keys if each.revoked_at_micros is None}
