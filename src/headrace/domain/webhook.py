"""Webhooks: addresses that events are sent to, and the log of each delivery; sending is not here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from headrace.domain.alert import AlertEvent

FIRST_RETRY_SECONDS = 5
LONGEST_RETRY_SECONDS = 3600
MOST_ATTEMPTS = 32
DRAWS = 256
GONE_STATUS = 410


class DeliveryState(StrEnum):
    """Where a delivery stands: to be tried, taken by the receiver, or given up."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Webhook:
    """A receiver; its signing secret is sealed with the master key of that version."""

    id: str
    url: str
    sealed: bytes
    key_version: int
    created_at_micros: int
    changed_at_micros: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one receiver; its id is the message's, the same at every attempt.

    `last_status` is what the receiver answered last, None when it gave no answer.
    """

    id: str
    event_id: str
    webhook_id: str
    created_at_micros: int
    changed_at_micros: int
    state: DeliveryState = DeliveryState.PENDING
    attempts: int = 0
    last_status: int | None = None
    last_error: str | None = None


@dataclass(frozen=True, slots=True)
class EventRecord:
    """An event with its deliveries."""

    event: AlertEvent
    deliveries: tuple[Delivery, ...]


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A delivery that is to be tried, with what is sent and where."""

    delivery: Delivery
    event: AlertEvent
    webhook: Webhook


def is_taken(status: int) -> bool:
    """Whether a receiver's status says that it has the message."""
    return 200 <= status < 300


def state_after(status: int | None, attempts: int) -> DeliveryState:
    """Return the state after an attempt: a receiver that is gone and one that never takes it are given up.

    With the waits of `retry_seconds` the last of 32 attempts is made within about a day.
    """
    if status is not None and is_taken(status):
        return DeliveryState.DELIVERED
    if status == GONE_STATUS or attempts >= MOST_ATTEMPTS:
        return DeliveryState.FAILED
    return DeliveryState.PENDING


def retry_seconds(attempts: int, draw: int) -> float:
    """Return how long to wait after so many attempts: twice as long each time, up to an hour.

    `draw` is random, from 0 to 255, and takes off up to a half, so that many retries do not come at once.
    """
    longest = min(FIRST_RETRY_SECONDS * 2 ** min(attempts - 1, 20), LONGEST_RETRY_SECONDS)
    return longest * (1 - draw / DRAWS / 2)
