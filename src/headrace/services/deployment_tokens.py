"""Tokens of deployments: access keys that reach one deployment only, and are no other key's business."""

from __future__ import annotations

from headrace.domain.access import AccessKey, Role
from headrace.domain.dedicated import Deployment
from headrace.domain.errors import Conflict, NotFound
from headrace.ports.ambient import Clock
from headrace.ports.stores import KeyStore
from headrace.services.identity import Identity, Minted, NewKey
from headrace.services.keys import check_label
from headrace.services.snapshots import Snapshots

MAX_TOKENS = 1_000


class DeploymentTokens:
    """Makes, lists and revokes them; every change is in force before the caller is answered."""

    def __init__(self, store: KeyStore, identity: Identity, snapshots: Snapshots, clock: Clock) -> None:
        self._store = store
        self._identity = identity
        self._snapshots = snapshots
        self._clock = clock

    def of(self, deployment: Deployment) -> tuple[AccessKey, ...]:
        """Return the tokens of a deployment that are not revoked, oldest first."""
        found = [each for each in self._snapshots.current().keys.values() if each.deployment == deployment.id]
        alive = [each for each in found if each.revoked_at_micros is None]
        return tuple(sorted(alive, key=lambda each: (each.created_at_micros, each.public_id)))

    async def make(self, deployment: Deployment, name: str, at_micros: int | None = None) -> Minted:
        """Make a token, whose text is known to nobody afterwards; `at_micros` is when, if not now.

        Raises InvalidRequest for a bad name, Conflict when there are too many.
        """
        check_label(name, "name")
        if len(self.of(deployment)) >= MAX_TOKENS:
            raise Conflict(
                f'"{deployment.name}" has {MAX_TOKENS} tokens already: delete one first.', code="too_many_tokens"
            )
        wanted = NewKey(name, Role.KEY, deployment.account, frozenset({deployment.name}), deployment=deployment.id)
        minted = self._identity.mint(wanted, self._clock.unix_micros() if at_micros is None else at_micros)
        await self._store.add(minted.key)
        await self._snapshots.publish_keys()
        return minted

    async def revoke(self, deployment: Deployment, token_id: str) -> None:
        """Revoke one token at once; raises NotFound."""
        if all(each.public_id != token_id for each in self.of(deployment)):
            raise NotFound(
                f'"{deployment.name}" has no token with the id "{token_id[:80]}"; `headrace deployments tokens'
                f" {deployment.name}` lists them.",
                code="token_not_found",
            )
        await self._store.revoke(token_id, self._clock.unix_micros())
        await self._snapshots.publish_keys()

    async def revoke_all(self, deployment_id: str) -> None:
        """Revoke every token of a deployment."""
        at_micros = self._clock.unix_micros()
        for key in await self._store.list():
            if key.deployment == deployment_id and key.revoked_at_micros is None:
                await self._store.revoke(key.public_id, at_micros)
        await self._snapshots.publish_keys()
