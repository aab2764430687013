"""Target health, the one place that knows how targets do: breakers, cool-downs and load.

It hears of every attempt from the turn. Planning reads it; nothing here sends, waits or decides who is asked next. How
fast targets are is route_figures's.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from headrace.domain.credential import Credential
from headrace.domain.errors import HeadraceError, UpstreamError, UpstreamNonconforming, UpstreamRefused
from headrace.domain.health import Breaker, BreakerRules, Cooldown, CredentialHealth, Resting, TargetState, longer
from headrace.domain.plan import Target
from headrace.services.credential_health import CREDENTIAL_ERRORS, CredentialsHealth

MAX_TARGETS = 4096
BREAKER_OPEN = "breaker_open"
# The target did its part: what was asked, or what the model made of it, is the reason.
ANSWERED = (UpstreamRefused, UpstreamNonconforming)


@dataclass(slots=True)
class _Record:
    breaker: Breaker
    cooldown: Cooldown | None = None
    in_flight: int = 0


class Trial:
    """One attempt as the health of its target sees it; `ended` is told once."""

    def __init__(
        self, credentials: CredentialsHealth, target: Target, record: _Record, began: float, round_number: int
    ) -> None:
        self._credentials = credentials
        self._target = target
        self._record = record
        self._began = began
        self._round = round_number
        self._used = credentials.began(target)

    def answered(self) -> None:
        """Note the first meaningful event: a probe has proved the target, however long the rest takes."""
        if self._round:
            self._record.breaker = self._record.breaker.succeeded(self._round)
            self._round = 0
        self._credentials.taken(self._target, self._began)

    def ended(self, error: BaseException | None, status: int | None, now: float) -> None:
        """Note how it ended; `status` is the upstream's, None when it gave none."""
        record = self._record
        record.in_flight -= 1
        if self._used is not None:
            self._used.in_flight -= 1
        if error is None or isinstance(error, ANSWERED):
            record.breaker = record.breaker.succeeded(self._round)
        elif isinstance(error, UpstreamError):
            self._failed(error, status, now)
        else:
            record.breaker = record.breaker.abandoned(self._round)

    def _failed(self, error: HeadraceError, status: int | None, now: float) -> None:
        record = self._record
        if self._target.model.deployment is not None:
            # One replica's failure says nothing of the others: the fleet leaves that one out.
            record.breaker = record.breaker.abandoned(self._round)
            return
        if isinstance(error, CREDENTIAL_ERRORS):
            record.breaker = record.breaker.abandoned(self._round)
            self._credentials.refused(self._target, error, status, now)
            return
        if self._target.deployment is None:
            record.breaker = record.breaker.failed(now, self._round)
        if error.retry_after_seconds:
            record.cooldown = longer(record.cooldown, Cooldown(now + error.retry_after_seconds, error.code))


class TargetHealth:
    """Keeps the health of the targets that were used lately; targets are known by provider and model.

    Deployments of our own have no breaker: their supervisor starts them again at its own pace, and where a deployment
    has several replicas the fleet knows which of them failed.
    """

    def __init__(self, rules: BreakerRules | None = None, max_targets: int = MAX_TARGETS) -> None:
        self._rules = rules if rules is not None else BreakerRules()
        self._max_targets = max_targets
        self._records: OrderedDict[tuple[str, str], _Record] = OrderedDict()
        self._credentials = CredentialsHealth()

    def resting(self, target: Target, now: float) -> Resting | None:
        """Return why the target gets no request now, or None when it may have one."""
        rest = self._credentials.resting(target, now)
        if rest is not None:
            return rest
        record = self._records.get((target.provider.name, target.model.id))
        return None if record is None else _resting(record, now)

    def began(self, target: Target, now: float) -> Trial:
        """Note an attempt that goes out; the trial is told how it ends."""
        record = self._record(target.provider.name, target.model.id)
        record.in_flight += 1
        record.breaker, round_number = record.breaker.began(now)
        return Trial(self._credentials, target, record, now, round_number)

    def spread(self, targets: tuple[Target, ...]) -> tuple[Target, ...]:
        """Return the targets, those that differ in the credential only with the least busy of them first."""
        return self._credentials.spread(targets)

    def credential(self, provider: str, credential: Credential, now: float) -> CredentialHealth:
        """Return how one of a provider's credentials does."""
        return self._credentials.health(provider, credential, now)

    def states(self, now: float) -> tuple[TargetState, ...]:
        """Return what is known of every target that was used lately."""
        return tuple(
            TargetState(
                provider=provider,
                model_id=model_id,
                breaker=record.breaker.state(now),
                resting=_resting(record, now),
                in_flight=record.in_flight,
            )
            for (provider, model_id), record in self._records.items()
        )

    def _record(self, provider: str, model_id: str) -> _Record:
        key = (provider, model_id)
        record = self._records.get(key)
        if record is None:
            self._make_room()
            record = self._records[key] = _Record(Breaker(self._rules))
        else:
            self._records.move_to_end(key)
        return record

    def _make_room(self) -> None:
        if len(self._records) < self._max_targets:
            return
        oldest = next((key for key, record in self._records.items() if not record.in_flight), None)
        if oldest is not None:
            del self._records[oldest]


def _resting(record: _Record, now: float) -> Resting | None:
    if record.cooldown is not None:
        remaining = record.cooldown.remaining_seconds(now)
        if remaining:
            return Resting(record.cooldown.code, remaining)
        record.cooldown = None
    if record.breaker.admits(now):
        return None
    return Resting(BREAKER_OPEN, record.breaker.wait_seconds(now))
