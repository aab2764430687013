"""Retries: how much of the load they may be, and where a request goes after a failure; sending is the turn's.

A request may go on only before its first byte has left, within its time, and within the budget that all requests
share (failure contract, R2).
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

from headrace.domain.errors import (
    HeadraceError,
    InternalError,
    InvalidRequest,
    UpstreamRateLimited,
    UpstreamRefused,
    UpstreamTimeout,
)
from headrace.domain.plan import Plan, Target
from headrace.services.closing import CONNECTION_REUSED, blames_replica, may_go_on
from headrace.services.credential_health import CREDENTIAL_ERRORS, DEFAULT_COOLDOWN_SECONDS
from headrace.services.health import TargetHealth
from headrace.services.reply_headers import asked_headers
from headrace.services.resolve import nobody_well, without_resting

SHARE_OF_IN_FLIGHT = 0.2
FLOOR = 3
LONGEST_WAIT_SECONDS = 2.0
# How often a request is tried at one deployment; from the third time on its driver is given a moment to notice.
MOST_REPLICAS = 4
NOTICE_SECONDS = 1.0
_TOO_LONG_CODES = frozenset({"context_length_exceeded", "string_above_max_length"})
_TOO_LONG_WORDS = ("context length", "context window", "prompt is too long", "maximum context")


class RetryBudget:
    """Counts the requests in flight and the retries that they have made; retries stay a small part of the load."""

    def __init__(self, share: float = SHARE_OF_IN_FLIGHT, floor: int = FLOOR) -> None:
        self._share = share
        self._floor = floor
        self.in_flight = 0
        self.retries = 0
        self.denied = 0

    @contextmanager
    def request(self) -> Generator[Retries]:
        """Count one request in, and out with all its retries."""
        self.in_flight += 1
        used = Retries(self)
        try:
            yield used
        finally:
            self.in_flight -= 1
            self.retries -= used.count

    def take(self) -> bool:
        """Take one retry from the budget; returns whether there was one."""
        if self.retries < max(self._floor, int(self.in_flight * self._share)):
            self.retries += 1
            return True
        self.denied += 1
        return False


class Retries:
    """The retries of one request."""

    def __init__(self, budget: RetryBudget) -> None:
        self._budget = budget
        self.count = 0

    def take(self) -> bool:
        """Take one more; returns whether the budget has it."""
        taken = self._budget.take()
        self.count += taken
        return taken


@dataclass(frozen=True, slots=True)
class Step:
    """Where a request goes next, and how long it waits before."""

    target: Target
    wait_seconds: float = 0.0


class Course:
    """The way of one request through its plan; asked after every failure, it gives one answer for each.

    A target to which nothing was sent, as its dialect cannot express the request or nobody was there, is passed over at
    no one's expense. Another credential of the same provider is asked when the failure is about the credential, and
    only then. Where a replica of a deployment failed, its other replicas are asked before anybody else, at no expense
    either: what one replica loses comes to the others, and the whole load is no more than it was.
    """

    def __init__(self, plan: Plan, health: TargetHealth, retries: Retries, began: float, total_seconds: float) -> None:
        self.decision = plan.decision
        self._targets = plan.targets
        self._health = health
        self._retries = retries
        self._ends = began + total_seconds
        self._plan = without_resting(plan, lambda target: health.resting(target, began))
        self.excluded = self._plan.excluded
        self._left = list(health.spread(self._plan.targets))
        self._target = self._left.pop(0) if self._left else None
        self._judged: BaseException | None = None
        self._step: Step | None = None
        self._repeated = False
        self._replicas_asked = 1

    def first(self, now: float) -> Step:
        """Return the first step; when every target rests, raises the error that says when to come back."""
        if not self._targets:
            raise InternalError("The plan has no target.")
        if self._target is None:
            waits = [self._health.resting(each, now) for each in self._targets]
            raise nobody_well([each for each in waits if each is not None])
        return Step(self._target)

    def after(self, error: BaseException, now: float, *, is_delivered: bool, is_sent: bool = True) -> Step | None:
        """Return the next step after this failure, or None when it is the last word."""
        if error is not self._judged:
            self._judged = error
            self._step = (
                None if is_delivered or not isinstance(error, HeadraceError) else self._next(error, now, is_sent)
            )
        return self._step

    def last_word(self, error: HeadraceError, now: float, attempts: int) -> HeadraceError:
        """Return the failure as the caller is told it: with whom was asked, and how long to wait where it says so."""
        if self._target is not None:
            error.told = asked_headers(self._target, attempts, self.decision)
        if isinstance(error, UpstreamRateLimited):
            resting = (self._health.resting(each, now) for each in self._targets)
            waits = [each.wait_seconds for each in resting if each is not None]
            error.retry_after_seconds = min(waits, default=error.retry_after_seconds or DEFAULT_COOLDOWN_SECONDS)
        return error

    def _next(self, error: HeadraceError, now: float, is_sent: bool) -> Step | None:
        step = self._other_replica(error) if is_sent else None
        is_free = step is not None or not is_sent or isinstance(error, InvalidRequest)
        step = step or self._other_credential(error, now) or self._same_again(error) or self._elsewhere(error, now)
        if step is None or now + step.wait_seconds >= self._ends:
            return None
        if not is_free and not self._retries.take():
            return None
        self._repeated = step.target is self._target
        if not self._repeated:
            self._replicas_asked = 1
        self._target = step.target
        return step

    def _other_replica(self, error: HeadraceError) -> Step | None:
        """Return the same deployment again: once where another target is left, never there for what took its time."""
        present, asked = self._target, self._replicas_asked
        if present is None or present.model.deployment is None or not blames_replica(error):
            return None
        most = 2 if self._left or isinstance(error, UpstreamTimeout) else MOST_REPLICAS
        if asked >= most or (self._left and isinstance(error, UpstreamTimeout)):
            return None
        self._replicas_asked += 1
        return Step(present, 0.0 if asked == 1 else NOTICE_SECONDS)

    def _other_credential(self, error: HeadraceError, now: float) -> Step | None:
        present = self._target
        if present is None or not present.has_siblings or not isinstance(error, CREDENTIAL_ERRORS):
            return None
        for index, target in enumerate(self._left):
            if target.is_sibling_of(present) and self._health.resting(target, now) is None:
                return Step(self._left.pop(index))
        return None

    def _same_again(self, error: HeadraceError) -> Step | None:
        if self._target is None or self._repeated:
            return None
        if error.code == CONNECTION_REUSED:
            return Step(self._target)
        wait = error.retry_after_seconds
        if isinstance(error, UpstreamRateLimited) and wait is not None and wait <= LONGEST_WAIT_SECONDS:
            return Step(self._target, wait)
        return None

    def _elsewhere(self, error: HeadraceError, now: float) -> Step | None:
        least_context = 0
        if self._target is not None and is_too_long(error):
            least_context = self._target.model.context_length + 1
        elif not may_go_on(error) and not isinstance(error, InvalidRequest):
            return None
        while self._left:
            target = self._left.pop(0)
            if target.has_siblings and self._target is not None and target.is_sibling_of(self._target):
                continue
            if target.model.context_length >= least_context and self._health.resting(target, now) is None:
                return Step(target)
        return None


def is_too_long(error: BaseException) -> bool:
    """Whether the upstream says that the request is too long for this model: a larger one may take it."""
    if not isinstance(error, UpstreamRefused):
        return False
    text = error.message.lower()
    return error.code in _TOO_LONG_CODES or any(words in text for words in _TOO_LONG_WORDS)
