"""Access keys over their life: made, listed, revoked, regenerated; checking a presented one is identity's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

from headrace.domain.access import OPERATOR_ACCOUNT, AccessKey, Role
from headrace.domain.errors import Conflict, InvalidRequest, NotFound
from headrace.domain.names import did_you_mean
from headrace.domain.snapshot import Snapshot
from headrace.domain.team import DEFAULT_TEAM
from headrace.ports.ambient import Clock
from headrace.ports.stores import KeyStore
from headrace.services.identity import Identity, Minted, NewKey
from headrace.services.snapshots import Snapshots

Check: TypeAlias = Callable[[AccessKey], None]
Inherit: TypeAlias = Callable[[str, str], Awaitable[None]]
Edit: TypeAlias = Callable[[AccessKey], AccessKey]

NAME_CHARS = 64
MAX_CACHE_SECONDS = 30 * 86_400


class Keys:
    """Changes the stored keys one change at a time; every change is in force before the caller is answered.

    Each of `heirs` is told of a regenerated key, old id and new, and passes on what it keeps under a key's id.
    """

    def __init__(
        self,
        store: KeyStore,
        identity: Identity,
        snapshots: Snapshots,
        clock: Clock,
        heirs: Sequence[Inherit] = (),
    ) -> None:
        self._store = store
        self._identity = identity
        self._snapshots = snapshots
        self._clock = clock
        self._heirs = tuple(heirs)
        self._turn = asyncio.Lock()

    async def create(self, wanted: NewKey) -> Minted:
        """Make a key; raises InvalidRequest for a bad name, team or model."""
        self._check_wanted(wanted)
        async with self._turn:
            minted = self._identity.mint(wanted, self._clock.unix_micros())
            await self._store.add(minted.key)
            await self._snapshots.publish_keys()
            await self._require_payer(minted.key)
            return minted

    async def list(self) -> tuple[AccessKey, ...]:
        """Return every key, revoked ones included, oldest first; tokens of deployments are no keys of their own."""
        return tuple(each for each in await self._store.list() if each.deployment is None)

    async def find(self, public_id: str) -> AccessKey:
        """Return one key; raises NotFound."""
        for key in await self.list():
            if key.public_id == public_id:
                return key
        raise NotFound(
            f'No key has the id "{public_id[:80]}"; `headrace keys list` shows the ids.', code="key_not_found"
        )

    async def revoke(self, public_id: str, check: Check | None = None) -> AccessKey:
        """Revoke a key, again if need be; raises Conflict for the last admin token, and what `check` raises."""
        async with self._turn:
            key = await self.find(public_id)
            if check is not None:
                check(key)
            await self._keep_an_admin(key)
            at_micros = self._clock.unix_micros()
            revoked = await self._store.revoke(public_id, at_micros)
            await self._snapshots.publish_keys()
            return replace(key, revoked_at_micros=at_micros) if revoked else await self.find(public_id)

    async def change(self, public_id: str, edit: Edit, check: Check | None = None) -> AccessKey:
        """Change a key's name or cache; raises InvalidRequest, and Conflict when the key is revoked."""
        async with self._turn:
            key = await self.find(public_id)
            if check is not None:
                check(key)
            changed = edit(key)
            check_label(changed.name, "name")
            check_cache(changed.cache_seconds)
            if not await self._store.change(changed):
                raise _revoked(key)
            await self._snapshots.publish_keys()
            return changed

    async def regenerate(self, public_id: str, check: Check | None = None) -> Minted:
        """Make a key of the same name and scope and revoke the old one; raises Conflict when it is revoked."""
        async with self._turn:
            old = await self.find(public_id)
            if check is not None:
                check(old)
            if old.revoked_at_micros is not None:
                raise _revoked(old)
            at_micros = self._clock.unix_micros()
            minted = self._identity.mint(
                NewKey(old.name, old.role, old.account, old.models, old.cache_seconds, old.first_id or old.public_id),
                at_micros,
            )
            await self._store.add(minted.key)
            for inherit in self._heirs:
                await inherit(public_id, minted.key.public_id)
            await self._store.revoke(public_id, at_micros)
            await self._snapshots.publish_keys()
            return minted

    def _check_wanted(self, wanted: NewKey) -> None:
        check_label(wanted.name, "name")
        check_cache(wanted.cache_seconds)
        snapshot = self._snapshots.current()
        if wanted.role is Role.KEY:
            check_payer(wanted.account, snapshot)
        known = snapshot.models
        for model in sorted(wanted.models or ()):
            if model not in known:
                hint = did_you_mean(model, known)
                raise InvalidRequest(
                    f'No model named "{model[:128]}". {hint or "`headrace models --all` lists them."}',
                    code="model_not_found",
                    param="models",
                )

    async def _require_payer(self, key: AccessKey) -> None:
        """Revoke a new key whose team was deleted while it was made: its calls would draw on no balance."""
        if key.role is not Role.KEY:
            return
        try:
            check_payer(key.account, self._snapshots.current())
        except InvalidRequest:
            await self._store.revoke(key.public_id, self._clock.unix_micros())
            await self._snapshots.publish_keys()
            raise

    async def _keep_an_admin(self, key: AccessKey) -> None:
        if key.role is not Role.ADMIN or key.revoked_at_micros is not None:
            return
        alive = [each for each in await self._store.list() if is_live_admin(each)]
        if len(alive) == 1:
            raise Conflict(
                "This is the last admin token: without it nobody could make another. Regenerate it instead.",
                code="last_admin_token",
            )


def check_payer(name: str, snapshot: Snapshot) -> None:
    """Raise InvalidRequest unless a team of that name can be billed."""
    if name == OPERATOR_ACCOUNT:
        raise InvalidRequest(f'The team "{OPERATOR_ACCOUNT}" belongs to the admin token; choose another.', param="team")
    known = {*snapshot.teams, DEFAULT_TEAM}
    if name not in known:
        hint = did_you_mean(name, known)
        raise InvalidRequest(
            f'No team named "{name[:NAME_CHARS]}".{f" {hint}" if hint else ""} `headrace teams create` makes one.',
            code="team_not_found",
            param="team",
        )


def _revoked(key: AccessKey) -> Conflict:
    return Conflict(f'The key "{key.name}" is revoked; create a new one.', code="key_revoked")


def is_live_admin(key: AccessKey) -> bool:
    """Whether the key is an admin token that is not revoked."""
    return key.role is Role.ADMIN and key.revoked_at_micros is None


def check_cache(seconds: int | None) -> None:
    """Raise InvalidRequest unless replies are kept for one second to thirty days, or not at all."""
    if seconds is not None and not 1 <= seconds <= MAX_CACHE_SECONDS:
        raise InvalidRequest(
            f'"ttl_seconds" must be 1 to {MAX_CACHE_SECONDS} (thirty days), not {seconds}.',
            param="response_cache.ttl_seconds",
        )


def check_label(text: str, param: str) -> None:
    """Raise InvalidRequest unless a name is 1 to 64 printable characters without spaces at its ends."""
    if 1 <= len(text) <= NAME_CHARS and text.isprintable() and text == text.strip():
        return
    raise InvalidRequest(
        f'"{param}" must have 1 to {NAME_CHARS} printable characters and no space at either end, not {text[:80]!r}.',
        param=param,
    )
