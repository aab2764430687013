"""What an alert does: revokes a key or points an alias elsewhere, by the services that an operator uses."""

from __future__ import annotations

from headrace.domain.alert import Action, ActionKind, ActionResult
from headrace.domain.alias import Alias
from headrace.domain.errors import HeadraceError, MeteringUnavailable, NotFound
from headrace.services.alert_rules import repointed
from headrace.services.aliases import Aliases
from headrace.services.keys import Keys
from headrace.services.snapshots import Snapshots


class AlertActions:
    """Does actions; doing one again changes nothing more, so that it may be repeated after a crash."""

    def __init__(self, keys: Keys, aliases: Aliases, snapshots: Snapshots) -> None:
        self._keys = keys
        self._aliases = aliases
        self._snapshots = snapshots

    async def perform(self, action: Action | None) -> ActionResult | None:
        """Return what came of it: what is refused is a result. Raises MeteringUnavailable when it may be repeated."""
        if action is None:
            return None
        try:
            await self._do(action)
        except MeteringUnavailable:
            raise
        except HeadraceError as error:
            return ActionResult(False, error.code, error.message)
        return ActionResult(True)

    async def _do(self, action: Action) -> None:
        match action.kind:
            case ActionKind.REVOKE_KEY:
                await self._keys.revoke(action.target)
            case ActionKind.REPOINT_ALIAS:
                await self._aliases.put(repointed(action, self._snapshots.current()), _is_there)


def _is_there(present: Alias | None) -> None:
    if present is None:
        raise NotFound("The alias was deleted meanwhile.", code="alias_not_found")
