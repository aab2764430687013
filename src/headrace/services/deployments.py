"""Deployments as the operator changes them: checked, stored, in force before the caller is answered.

This and the reconciler, by `settle_state` and `forget`, are all that changes a stored deployment.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from headrace.domain.dedicated import Deployment, DeploymentStatus, Wanted
from headrace.domain.dedicated_draft import DeploymentDraft
from headrace.domain.errors import Conflict, HeadraceError, InvalidRequest, MeteringUnavailable, NotFound, Unprocessable
from headrace.domain.names import did_you_mean
from headrace.domain.secret import Secret
from headrace.domain.uuids import uuid_of
from headrace.ports.ambient import Clock, Ids
from headrace.ports.dedicated import DeploymentStore
from headrace.ports.stores import Secrets
from headrace.services.deployment_rules import MODEL, changes_launch, check_name, check_unused, softened
from headrace.services.deployment_tokens import DeploymentTokens
from headrace.services.deployment_trial import DeploymentTrial, Judged
from headrace.services.identity import Minted
from headrace.services.keys import check_payer
from headrace.services.snapshots import Snapshots

Check: TypeAlias = Callable[[Deployment], None]
Edit: TypeAlias = Callable[[Deployment], DeploymentDraft]
Sleep: TypeAlias = Callable[[float], Awaitable[object]]
PRICE_SECONDS = 600.0
FIRST_TOKEN = "default"  # noqa: S105 - the name of a token


def model_token_context(deployment_id: str) -> str:
    """Return the context that the token of a deployment's model source is sealed to."""
    return f"deployment-model-token:{deployment_id}"


@dataclass(frozen=True, slots=True)
class DeploymentParts:
    """What deployments are changed with.

    `turn` is the lock that changes of aliases and routers take too, because each may be in the other's way. `wake`
    tells the reconciler that something changed.
    """

    store: DeploymentStore
    snapshots: Snapshots
    trial: DeploymentTrial
    tokens: DeploymentTokens
    secrets: Secrets
    clock: Clock
    ids: Ids
    turn: asyncio.Lock
    wake: Callable[[], None]


class Deployments:
    """Changes deployments one change at a time; what runs follows later, by the reconciler."""

    def __init__(self, parts: DeploymentParts) -> None:
        self._parts = parts
        self.tokens = parts.tokens
        self.trial = parts.trial

    def all(self) -> tuple[Deployment, ...]:
        """Return every deployment as it is stored now, oldest first."""
        return tuple(self._parts.snapshots.current().deployments.values())

    def find(self, deployment_id: str) -> Deployment:
        """Return one deployment; raises NotFound naming the one that was meant, when its name was given."""
        stored = self._parts.snapshots.current().deployments
        if deployment_id in stored:
            return stored[deployment_id]
        by_name = {each.name: each.id for each in stored.values()}
        meant = by_name.get(deployment_id)
        if meant is not None:
            told = f'No deployment has the id "{deployment_id}". The deployment of that name is {meant}.'
        else:
            hint = did_you_mean(deployment_id, by_name) or "`headrace deployments list` lists them."
            told = f'No deployment has the name or id "{deployment_id[:128]}". {hint}'
        raise NotFound(told, code="deployment_not_found")

    async def attempt(self, draft: DeploymentDraft, team: str) -> Judged:
        """Return what a draft comes to, changing nothing; raises what making it would raise."""
        snapshot = self._parts.snapshots.current()
        check_payer(team, snapshot)
        if draft.model_deployment_id:
            path = f"{MODEL}.model_id"
            raise InvalidRequest(
                f'"{path}" names a model that runs already: leave it empty to make a deployment.', param=path
            )
        check_name(draft.name, snapshot)
        return await self._parts.trial.judge(draft, snapshot)

    async def create(
        self, draft: DeploymentDraft, team: str, model_token: Secret | None = None
    ) -> tuple[Deployment, Minted]:
        """Make a deployment and its first token; `team` pays.

        Raises Conflict when its name is taken or its weights are not here, InvalidRequest for what cannot be,
        DriverUnusable when its driver lacks something.
        """
        parts = self._parts
        async with parts.turn:
            judged = await self.attempt(draft, team)
            now = parts.clock.unix_micros()
            deployment = Deployment(
                id=uuid_of(parts.ids.new("deployment")),
                account=team,
                wanted=judged.wanted,
                status=DeploymentStatus.NEW,
                created_at_micros=now,
                updated_at_micros=now,
                model_deployment_id=uuid_of(parts.ids.new("model")),
                nano_per_hour=judged.nano_per_hour,
                price_source=judged.price_source,
            )
            # A deployment without its token would run for nobody; the other way round nobody knows the token.
            minted = await parts.tokens.make(deployment, FIRST_TOKEN, now)
            deployment = await self._put(self._with_token(deployment, model_token))
        parts.wake()
        return deployment, minted

    async def change(
        self, deployment_id: str, edit: Edit, check: Check, model_token: Secret | None = None
    ) -> Deployment:
        """Make of a deployment what `edit` says; what changes how replicas are started is pending until it is done.

        `check` is given what is there and may raise. Raises NotFound, Conflict for one that is being deleted,
        Unprocessable naming a field that cannot change, and what making it would raise.
        """
        parts = self._parts
        async with parts.turn:
            present = self.find(deployment_id)
            check(present)
            _check_stays(present)
            draft = edit(present)
            _check_same_model(draft, present)
            judged = await parts.trial.judge(draft, parts.snapshots.current(), present.goal)
            changed = self._with_token(_changed(present, judged), model_token)
            if changed == present:
                return present
            changed = await self._put(replace(changed, updated_at_micros=parts.clock.unix_micros()))
        parts.wake()
        return changed

    async def add_token(self, deployment_id: str, name: str) -> tuple[Deployment, Minted]:
        """Make another token of a deployment; raises NotFound, Conflict for one that is being deleted."""
        async with self._parts.turn:
            present = self.find(deployment_id)
            _check_stays(present)
            return present, await self.tokens.make(present, name)

    async def remove(self, deployment_id: str, check: Check) -> Deployment:
        """Begin to delete a deployment: its requests end first; again if need be.

        Raises NotFound, and Conflict while an alias, a router or another deployment sends requests to it.
        """
        parts = self._parts
        async with parts.turn:
            present = self.find(deployment_id)
            check(present)
            if present.status is DeploymentStatus.DELETING:
                return present
            check_unused(present, parts.snapshots.current())
            now = parts.clock.unix_micros()
            gone = replace(present, status=DeploymentStatus.DELETING, reason="", updated_at_micros=now)
            await self._put(replace(gone, retry_at_micros=None))
        parts.wake()
        return self.find(deployment_id)

    async def settle_state(
        self,
        deployment_id: str,
        *,
        status: DeploymentStatus,
        reason: str = "",
        retry_at_micros: int | None = None,
        wanted: Wanted | None = None,
        clear_pending: bool = False,
    ) -> None:
        """Store how a deployment stands; with `wanted`, what is in force from now on. For the reconciler.

        What the operator changed meanwhile goes before it: a deletion stays one, another change stays pending.
        """
        parts = self._parts
        async with parts.turn:
            present = parts.snapshots.current().deployments.get(deployment_id)
            if present is None:
                return
            changed = replace(present, status=status, reason=reason, retry_at_micros=retry_at_micros)
            if present.status is DeploymentStatus.DELETING:
                changed = replace(changed, status=DeploymentStatus.DELETING)
            if wanted is not None:
                changed = await self._priced(replace(changed, wanted=softened(wanted, present.goal)))
            if clear_pending and wanted in (None, present.pending):
                changed = replace(changed, pending=None)
            elif clear_pending and present.pending is not None:
                changed = replace(changed, status=present.status)
            if changed != present:
                await self._put(replace(changed, updated_at_micros=parts.clock.unix_micros()))

    async def forget(self, deployment_id: str) -> None:
        """Remove a deployment that has no replica any more, and its tokens; for the reconciler."""
        parts = self._parts
        async with parts.turn:
            await parts.tokens.revoke_all(deployment_id)
            await parts.store.remove(deployment_id)
            await parts.snapshots.publish_named()

    async def follow_prices(self, sleep: Sleep = asyncio.sleep) -> None:
        """Take over every few minutes the prices that have come into force, until cancelled.

        What replicas cost is metering's; this is what is shown, and what routing reckons with.
        """
        while True:
            with contextlib.suppress(MeteringUnavailable):
                await self._reprice()
            await sleep(PRICE_SECONDS)

    async def _reprice(self) -> None:
        async with self._parts.turn:
            for present in self.all():
                priced = await self._priced(present)
                if priced != present:
                    await self._put(priced)

    async def _priced(self, deployment: Deployment) -> Deployment:
        """A price that is not known any more stays what it was: the replicas run all the same."""
        try:
            nano_per_hour, source = await self._parts.trial.price(deployment.wanted)
        except HeadraceError:
            return deployment
        return replace(deployment, nano_per_hour=nano_per_hour, price_source=source)

    def _with_token(self, deployment: Deployment, model_token: Secret | None) -> Deployment:
        if model_token is None:
            return deployment
        context = model_token_context(deployment.id)
        sealed = self._parts.secrets.seal(context, model_token.reveal().encode())
        return replace(deployment, sealed_model_token=sealed)

    async def _put(self, deployment: Deployment) -> Deployment:
        await self._parts.store.put(deployment)
        await self._parts.snapshots.publish_named()
        return deployment


def _check_stays(present: Deployment) -> None:
    if present.status is DeploymentStatus.DELETING:
        raise Conflict(f'"{present.name}" is being deleted; make another one.', code="deployment_deleting")


def _changed(present: Deployment, judged: Judged) -> Deployment:
    """What changes nothing about a replica is in force at once; so is all of it while nothing was started yet."""
    wanted = judged.wanted
    if present.status is DeploymentStatus.NEW or not changes_launch(present.wanted, wanted):
        priced = replace(present, nano_per_hour=judged.nano_per_hour, price_source=judged.price_source)
        return replace(priced if changes_launch(present.wanted, wanted) else present, wanted=wanted, pending=None)
    meanwhile = softened(present.wanted, wanted)
    rollout = replace(present, wanted=meanwhile, pending=wanted, status=DeploymentStatus.UPDATING)
    return replace(rollout, reason="", retry_at_micros=None)


def _check_same_model(draft: DeploymentDraft, present: Deployment) -> None:
    if draft.model_deployment_id not in ("", present.model_deployment_id):
        path = f"{MODEL}.model_id"
        raise Unprocessable(
            f'"{path}" is "{draft.model_deployment_id[:80]}", and this deployment has'
            f' "{present.model_deployment_id}": send that, or leave it empty.',
            code="immutable_field",
            param=path,
        )
