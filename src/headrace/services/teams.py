"""Teams as the operator changes them, and their prepaid balances; every change is in force before the answer."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from headrace.domain.access import OPERATOR_ACCOUNT
from headrace.domain.budget import balance_scope
from headrace.domain.errors import Conflict, InvalidRequest, NotFound
from headrace.domain.money import format_nano
from headrace.domain.names import did_you_mean
from headrace.domain.snapshot import Snapshot
from headrace.domain.team import DEFAULT_TEAM, MAX_NAME_CHARS, Team, is_team_name
from headrace.domain.transfer import Balance, Entry, Transfer, TransferKind
from headrace.ports.ambient import Clock, Ids
from headrace.ports.money import Accounts, TeamStore
from headrace.services.snapshots import Snapshots

RequireUnwatched: TypeAlias = Callable[[str], Awaitable[None]]

MOST_TRANSFERS = 1_000
REFERENCE_CHARS = 128
NOTE_CHARS = 1_000


@dataclass(frozen=True, slots=True)
class Payment:
    """Money that the operator books to a team's balance; without a reference one is made."""

    kind: TransferKind
    amount_nano: int
    note: str = ""
    reference: str | None = None


class Teams:
    """Changes teams one change at a time."""

    def __init__(self, store: TeamStore, accounts: Accounts, snapshots: Snapshots, clock: Clock, ids: Ids) -> None:
        self._store = store
        self._accounts = accounts
        self._snapshots = snapshots
        self._clock = clock
        self._ids = ids
        self._turn = asyncio.Lock()

    def list(self) -> tuple[Team, ...]:
        """Return every team by name, the default one included."""
        teams = self._snapshots.current().teams
        own = () if DEFAULT_TEAM in teams else (Team(DEFAULT_TEAM, is_prepaid=False, created_at_micros=0),)
        return tuple(sorted((*teams.values(), *own), key=lambda team: team.name))

    def find(self, name: str) -> Team:
        """Return one team; raises NotFound naming the closest."""
        teams = {team.name: team for team in self.list()}
        if name in teams:
            return teams[name]
        hint = did_you_mean(name, teams)
        raise NotFound(
            f'No team named "{name[:80]}".{f" {hint}" if hint else ""} `headrace teams create` makes one.',
            code="team_not_found",
            param="team",
        )

    async def create(self, name: str, *, is_prepaid: bool) -> Team:
        """Make a team; raises Conflict when the name is taken, InvalidRequest when it cannot be one."""
        if not is_team_name(name):
            raise InvalidRequest(
                f'"name" must be 1 to {MAX_NAME_CHARS} letters, digits and . _ - that begin with a letter or digit, not'
                f" {name[:80]!r}.",
                param="name",
            )
        if name == OPERATOR_ACCOUNT:
            raise InvalidRequest(f'"{name}" is the account of the admin token; choose another name.', param="name")
        async with self._turn:
            if name in self._snapshots.current().teams:
                raise Conflict(f'The team "{name}" exists already.', code="team_exists", param="name")
            return await self._put(Team(name, is_prepaid, self._clock.unix_micros()))

    async def change(self, name: str, *, is_prepaid: bool) -> Team:
        """Say whether a team pays in advance; raises NotFound."""
        async with self._turn:
            return await self._put(replace(self.find(name), is_prepaid=is_prepaid))

    async def remove(self, name: str, require_unwatched: RequireUnwatched) -> Team:
        """Forget a team; raises Conflict for the default one and while anything is of it or left of it, NotFound.

        `require_unwatched` raises Conflict while an alert watches it.

        Its name may be given again: then nothing of the old one's money, budgets and limits may be there to inherit.
        """
        async with self._turn:
            team = self.find(name)
            reason = _use_of(name, self._snapshots.current()) or _left_of(name, await self.balance(name))
            if reason is None:
                await require_unwatched(name)
                await self._store.remove(name)
                await self._snapshots.publish_named()
                # A key may have been made for it meanwhile.
                reason = _use_of(name, self._snapshots.current())
                if reason is not None:
                    await self._put(team)
            if reason is not None:
                raise Conflict(f'The team "{name}" {reason}', code="team_in_use")
            return team

    async def pay(self, name: str, payment: Payment) -> Balance:
        """Book a top-up or an adjustment to a team's balance; raises NotFound, InvalidRequest, Conflict.

        Nobody pays in advance for a team that pays afterwards; what is left of an earlier balance may be corrected.
        """
        async with self._turn:
            return await self._pay(self.find(name), payment)

    async def balances(self) -> Mapping[str, Balance]:
        """Return the balances of the teams that pay in advance, or ever did, by name."""
        scopes = {balance_scope(team.name): team for team in self.list()}
        found = {each.scope: each for each in await self._accounts.balances(tuple(scopes))}
        return {
            team.name: found.get(scope) or Balance(scope, 0, 0, 0)
            for scope, team in scopes.items()
            if team.is_prepaid or scope in found
        }

    async def balance(self, name: str) -> Balance:
        """Return a team's balance, zero when nothing was ever paid; raises NotFound."""
        scope = balance_scope(self.find(name).name)
        found = await self._accounts.balances([scope])
        return found[0] if found else Balance(scope, 0, 0, 0)

    async def transfers(self, name: str, limit: int = 100) -> tuple[Entry, ...]:
        """Return the newest transfers of a team first; raises NotFound."""
        return await self._accounts.transfers(self.find(name).name, min(max(limit, 1), MOST_TRANSFERS))

    async def _pay(self, team: Team, payment: Payment) -> Balance:
        if payment.kind is TransferKind.TOP_UP and not team.is_prepaid:
            raise Conflict(
                f'The team "{team.name}" pays afterwards: its calls draw on no balance. Let it pay in advance first: '
                f"`headrace teams set {shlex.quote(team.name)} --prepaid`.",
                code="team_not_prepaid",
            )
        if payment.amount_nano == 0 or (payment.kind is TransferKind.TOP_UP and payment.amount_nano < 0):
            raise InvalidRequest(
                '"amount_usd" must be over zero for a top-up; an adjustment may be negative, never zero.',
                param="amount_usd",
            )
        reference = payment.reference or self._ids.new("pay")
        if not (reference.isprintable() and len(reference) <= REFERENCE_CHARS and len(payment.note) <= NOTE_CHARS):
            raise InvalidRequest(
                f'"reference" must have at most {REFERENCE_CHARS} printable characters, "note" at most {NOTE_CHARS}.',
                param="reference",
            )
        at_micros = self._clock.unix_micros()
        return await self._accounts.post(
            Transfer(payment.kind, team.name, payment.amount_nano, payment.note, reference, at_micros)
        )

    async def _put(self, team: Team) -> Team:
        await self._store.put(team)
        await self._snapshots.publish_named()
        return team


def _use_of(name: str, snapshot: Snapshot) -> str | None:
    if name == DEFAULT_TEAM:
        return "takes the keys that are made without a team: it stays."
    deployment = next((each for each in snapshot.deployments.values() if each.account == name), None)
    if deployment is not None:
        return f'has deployments ("{deployment.name}" is one): delete them first.'
    live = (each for each in snapshot.keys.values() if each.account == name and each.revoked_at_micros is None)
    key = next(live, None)
    if key is not None:
        return f'has keys in use ("{key.name}" is one): revoke them first.'
    budget = next((each for each in snapshot.budgets if each.scope == f"team:{name}"), None)
    if budget is not None:
        return f"has budgets ({budget.id} is one): delete them first."
    if f"team:{name}" in snapshot.limits:
        return f"has rate limits: lift them first, `headrace limits remove {shlex.quote(f'team:{name}')}`."
    return None


def _left_of(name: str, balance: Balance) -> str | None:
    if balance.held_nano:
        return (
            f"has calls that still run and hold ${format_nano(balance.held_nano)} of its balance: wait for their end."
        )
    left = (balance.limit_nano or 0) - balance.spent_nano
    if not left:
        return None
    adjust = f"`headrace teams adjust {shlex.quote(name)} --usd {format_nano(-left)}`"
    if left < 0:
        return f"owes ${format_nano(-left)} of its balance: settle that, and book it first, {adjust}."
    return f"has ${format_nano(left)} of its balance left: pay that back or write it off, and book it first, {adjust}."
