"""The port to whoever watches attempts: metrics, logs, target health."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from headrace.domain.usage import Usage


@dataclass(frozen=True, slots=True)
class AttemptEnd:
    """How one attempt ended; durations in seconds, amounts in nano-dollars.

    `ending` is a Settlement's ending, or "voided". `credential` is the label of the provider's that was used, if any.
    `stream` says that the answer came event by event; a whole one has its first event at its end. `deployment` is the
    id of the one that answered, None for a provider.
    """

    request_id: str
    attempt_id: str
    operation: str
    model_id: str
    provider: str
    ending: str
    error_code: str | None
    first_event_seconds: float | None
    duration_seconds: float
    usage: Usage | None
    cost_nano: int
    charge_nano: int
    credential: str | None = None
    stream: bool = True
    deployment: str | None = None


@dataclass(frozen=True, slots=True)
class RequestEnd:
    """How one HTTP request ended; `route` is the path's template, never the path; `detail` is private."""

    request_id: str
    method: str
    route: str
    status: int
    duration_seconds: float
    key_id: str | None = None
    model: str | None = None
    error_code: str | None = None
    detail: str | None = None


class Observer(Protocol):
    """Hears of requests and attempts when they have ended; must be quick and must not raise."""

    def request_ended(self, end: RequestEnd) -> None:
        """Note one ended request."""
        ...

    def attempt_ended(self, end: AttemptEnd) -> None:
        """Note one resolved attempt."""
        ...
