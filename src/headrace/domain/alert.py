"""Alerts: thresholds on figures, when one fires and is armed again, and what it then does; reading figures is not here.

Units: a threshold is in percent for shares and rates and in nano-dollars for money, times in microseconds since 1970.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from headrace.domain.budget import Budget

EPISODE = 0
MOST_REMEMBERED = 8
PERCENT = 100
HOUR_MICROS = 3_600_000_000


class Metric(StrEnum):
    """Which figure an alert watches."""

    BUDGET_USED = "budget_used"
    BALANCE_LEFT = "balance_left"
    ERROR_RATE = "error_rate"
    COST_PER_HOUR = "cost_per_hour"

    @property
    def is_money(self) -> bool:
        """Whether its threshold is an amount; otherwise it is in percent."""
        return self in (Metric.BALANCE_LEFT, Metric.COST_PER_HOUR)


class ActionKind(StrEnum):
    """What an alert may do when it fires."""

    REVOKE_KEY = "revoke_key"
    REPOINT_ALIAS = "repoint_alias"


@dataclass(frozen=True, slots=True)
class Action:
    """What to do: the public id of a key to revoke, or an alias and the model that it shall point at."""

    kind: ActionKind
    target: str
    points_to: str | None = None


@dataclass(frozen=True, slots=True)
class Alert:
    """A threshold on a figure of a scope.

    `scope` is "budget:ID", "team:NAME", "key:ID", "model:ID", "provider:NAME" or "platform", as the metric allows.
    `window_seconds` and `min_attempts` belong to an error rate and are 0 elsewhere.
    """

    id: str
    name: str
    metric: Metric
    scope: str
    threshold: int
    window_seconds: int
    min_attempts: int
    webhooks: tuple[str, ...]
    action: Action | None
    created_at_micros: int
    changed_at_micros: int

    @property
    def scope_name(self) -> str:
        """What the scope names, without its kind."""
        return self.scope.partition(":")[2]


Windows: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """An alert with the windows in which it has fired and is not armed again."""

    alert: Alert
    fired: Windows = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """A figure at one moment: `value` parts of `base`, or nano-dollars with a base of 100.

    `window` is when the window began that it was counted in, EPISODE for figures that have none.
    """

    value: int
    base: int
    window: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether an alert fires now, and the windows to remember."""

    fires: bool
    fired: Windows


def judge(standing: Standing, reading: Reading | None) -> Verdict:
    """Return whether an alert fires.

    It fires once in a window, or once in an episode for figures without windows. It is armed again by another window,
    or when the figure has come back a tenth of the threshold behind it. A window in which it has fired is remembered,
    so that a clock that is set back and forth does not fire it again. Without a reading nothing changes.
    """
    alert, fired = standing.alert, standing.fired
    if reading is None:
        return Verdict(False, fired)
    value, limit = reading.value * PERCENT, alert.threshold * reading.base
    if reading.window in fired:
        left = tuple(each for each in fired if each != reading.window)
        return Verdict(False, left if _is_back(alert.metric, value, limit) else fired)
    if not _is_reached(alert.metric, value, limit):
        return Verdict(False, fired)
    return Verdict(True, (*fired, reading.window)[-MOST_REMEMBERED:])


def window_at(alert: Alert, budget: Budget | None, at_micros: int) -> int:
    """Return the window that an alert's figure is counted in at this time."""
    match alert.metric:
        case Metric.BUDGET_USED:
            return EPISODE if budget is None else budget.span_at(at_micros).starts_at_micros or EPISODE
        case Metric.COST_PER_HOUR:
            return at_micros - at_micros % HOUR_MICROS
        case Metric.BALANCE_LEFT | Metric.ERROR_RATE:
            return EPISODE


@dataclass(frozen=True, slots=True)
class ActionResult:
    """What came of an action; `code` and `message` say why it could not be done."""

    is_done: bool
    code: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class AlertEvent:
    """One firing, with what stood then; `result` is None until the action was tried, and without an action."""

    id: str
    alert_id: str
    alert_name: str
    metric: Metric
    scope: str
    threshold: int
    value: int
    base: int
    window_starts_at_micros: int | None
    at_micros: int
    webhooks: tuple[str, ...]
    action: Action | None
    result: ActionResult | None = None


def event_of(alert: Alert, reading: Reading, event_id: str, at_micros: int) -> AlertEvent:
    """Return the event of an alert that fires."""
    return AlertEvent(
        id=event_id,
        alert_id=alert.id,
        alert_name=alert.name,
        metric=alert.metric,
        scope=alert.scope,
        threshold=alert.threshold,
        value=reading.value,
        base=reading.base,
        window_starts_at_micros=reading.window or None,
        at_micros=at_micros,
        webhooks=alert.webhooks,
        action=alert.action,
    )


def _is_reached(metric: Metric, value: int, limit: int) -> bool:
    return value <= limit if metric is Metric.BALANCE_LEFT else value >= limit


def _is_back(metric: Metric, value: int, limit: int) -> bool:
    if metric is Metric.BALANCE_LEFT:
        return value > limit and value * 10 >= limit * 11
    return value < limit and value * 10 <= limit * 9
