"""The health of provider credentials: which are refused, which rest, which are busy; part of target health.

Several credentials of one provider are known apart by label and object: one that was replaced begins anew.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby

from headrace.domain.credential import Credential
from headrace.domain.errors import HeadraceError, UpstreamAuthFailed, UpstreamQuota, UpstreamRateLimited
from headrace.domain.health import Cooldown, CredentialHealth, CredentialState, Resting, longer
from headrace.domain.plan import Target

CREDENTIAL_ERRORS = (UpstreamAuthFailed, UpstreamQuota, UpstreamRateLimited)
DEFAULT_COOLDOWN_SECONDS = 1.0
REFUSED_CREDENTIAL_SECONDS = 60.0
WHOLE_CREDENTIAL_STATUS = frozenset({401, 402})
MAX_RESTS = 1024


@dataclass(slots=True)
class Used:
    """What is known of one credential; `rests` are cool-downs by model, `turn` is when it was used last."""

    credential: Credential | None
    in_flight: int = 0
    turn: int = 0
    refused_at: float = 0.0
    refusal: Cooldown | None = None
    rests: dict[str, Cooldown] = field(default_factory=dict[str, Cooldown])


class CredentialsHealth:
    """Keeps the health of the credentials that had trouble, or that share a provider with others."""

    def __init__(self) -> None:
        self._used: dict[tuple[str, str], Used] = {}
        self._turns = 0

    def resting(self, target: Target, now: float) -> Resting | None:
        """Return why this target's credential is left alone now, or None."""
        used = self._known(target)
        if used is None:
            return None
        for cooldown in (used.refusal, used.rests.get(target.model.id)):
            remaining = 0.0 if cooldown is None else cooldown.remaining_seconds(now)
            if cooldown is not None and remaining:
                return Resting(cooldown.code, remaining)
        return None

    def began(self, target: Target) -> Used | None:
        """Note an attempt that goes out; returns what to count it out of, None where nobody counts."""
        if not target.has_siblings:
            return None
        used = self._make(target)
        used.in_flight += 1
        self._turns += 1
        used.turn = self._turns
        return used

    def taken(self, target: Target, began: float) -> None:
        """Note that the provider took the credential, in an attempt that began at this time."""
        used = self._known(target)
        if used is not None and used.refusal is not None and began >= used.refusal.until:
            used.refusal = None

    def refused(self, target: Target, error: HeadraceError, status: int | None, now: float) -> None:
        """Leave alone what was refused: everything behind the credential on a 401 or 402, else this one model."""
        if isinstance(error, UpstreamRateLimited):
            wait = error.retry_after_seconds
            wait = DEFAULT_COOLDOWN_SECONDS if wait is None else wait
            if wait:
                self._rest(target, Cooldown(now + wait, error.code), now)
            return
        if status is None:
            return
        cooldown = Cooldown(now + REFUSED_CREDENTIAL_SECONDS, error.code)
        if status not in WHOLE_CREDENTIAL_STATUS:
            self._rest(target, cooldown, now)
            return
        used = self._make(target)
        used.refused_at = now if used.refusal is None else used.refused_at
        used.refusal = cooldown

    def spread(self, targets: tuple[Target, ...]) -> tuple[Target, ...]:
        """Return the targets, siblings with the least in flight first and then those unused the longest."""
        if not any(target.has_siblings for target in targets):
            return targets
        groups = groupby(targets, lambda target: (target.provider.name, target.model.id))
        return tuple(target for _, siblings in groups for target in sorted(siblings, key=self._load))

    def health(self, provider: str, credential: Credential, now: float) -> CredentialHealth:
        """Return how a credential does."""
        used = self._used.get((provider, credential.label))
        if used is None or used.credential is not credential:
            return CredentialHealth()
        if used.refusal is not None:
            until = used.refusal.until if used.refusal.remaining_seconds(now) else None
            return CredentialHealth(CredentialState.REFUSED, used.refusal.code, used.refused_at, until)
        rests = {name: each for name, each in used.rests.items() if each.remaining_seconds(now)}
        if not rests:
            return CredentialHealth()
        longest = max(rests.values(), key=lambda each: each.until)
        is_limited = longest.code == UpstreamRateLimited.default_code
        state = CredentialState.RATE_LIMITED if is_limited else CredentialState.REFUSED
        return CredentialHealth(state, longest.code, None, longest.until, tuple(sorted(rests)))

    def _load(self, target: Target) -> tuple[int, int]:
        used = self._known(target)
        return (0, 0) if used is None else (used.in_flight, used.turn)

    def _rest(self, target: Target, cooldown: Cooldown, now: float) -> None:
        used = self._make(target)
        if len(used.rests) >= MAX_RESTS:
            used.rests = {name: each for name, each in used.rests.items() if each.remaining_seconds(now)}
        used.rests[target.model.id] = longer(used.rests.get(target.model.id), cooldown)

    def _known(self, target: Target) -> Used | None:
        used = self._used.get(_place(target)) if self._used else None
        return used if used is not None and used.credential is target.credential else None

    def _make(self, target: Target) -> Used:
        used = self._known(target)
        if used is None:
            used = self._used[_place(target)] = Used(target.credential)
        return used


def _place(target: Target) -> tuple[str, str]:
    return (target.provider.name, "" if target.credential is None else target.credential.label)
