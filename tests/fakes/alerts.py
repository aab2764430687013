"""Alerts, events, webhooks and deliveries that live in memory, and a receiver that answers as it is told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from headrace.domain.alert import Alert, AlertEvent, Standing, Windows
from headrace.domain.egress import destination_of
from headrace.domain.errors import HeadraceError
from headrace.domain.webhook import Delivery, DeliveryState, EventRecord, Outgoing, Webhook


@dataclass(slots=True)
class MemoryAlerting:
    """What the two stores share."""

    alerts: dict[str, Standing] = field(default_factory=dict[str, Standing])
    events: dict[str, AlertEvent] = field(default_factory=dict[str, AlertEvent])
    unfinished: list[str] = field(default_factory=list[str])
    webhooks: dict[str, Webhook] = field(default_factory=dict[str, Webhook])
    deliveries: dict[str, Delivery] = field(default_factory=dict[str, Delivery])
    failure: HeadraceError | None = None


class MemoryAlertStore:
    def __init__(self, kept: MemoryAlerting) -> None:
        self._kept = kept

    async def put(self, alert: Alert, fired: Windows = ()) -> None:
        self._kept.alerts[alert.id] = Standing(alert, fired)

    async def remove(self, alert_id: str) -> bool:
        return self._kept.alerts.pop(alert_id, None) is not None

    async def list(self) -> tuple[Standing, ...]:
        return tuple(self._kept.alerts.values())

    async def note(self, standing: Standing, fired: Windows, event: AlertEvent | None = None) -> bool:
        if self._kept.failure is not None:
            raise self._kept.failure
        if self._kept.alerts.get(standing.alert.id) != standing:
            return False
        self._kept.alerts[standing.alert.id] = replace(standing, fired=fired)
        if event is not None:
            self._kept.events[event.id] = event
            self._kept.unfinished.append(event.id)
        return True

    async def finish(self, event: AlertEvent, deliveries: Iterable[Delivery]) -> None:
        if self._kept.failure is not None:
            raise self._kept.failure
        if event.id in self._kept.unfinished:
            self._kept.unfinished.remove(event.id)
            self._kept.events[event.id] = event
            self._kept.deliveries.update({each.id: each for each in deliveries})

    async def unfinished(self) -> tuple[AlertEvent, ...]:
        return tuple(self._kept.events[each] for each in self._kept.unfinished)

    async def events(self, limit: int, alert_id: str | None = None) -> tuple[EventRecord, ...]:
        found = [each for each in reversed(self._kept.events.values()) if alert_id in (None, each.alert_id)]
        deliveries = self._kept.deliveries.values()
        return tuple(EventRecord(each, tuple(d for d in deliveries if d.event_id == each.id)) for each in found[:limit])


class MemoryWebhookStore:
    def __init__(self, kept: MemoryAlerting) -> None:
        self._kept = kept

    async def put(self, webhook: Webhook) -> None:
        self._kept.webhooks[webhook.id] = webhook

    async def remove(self, webhook_id: str, at_micros: int) -> bool:
        return self._kept.webhooks.pop(webhook_id, None) is not None

    async def list(self) -> tuple[Webhook, ...]:
        return tuple(self._kept.webhooks.values())

    async def outgoing(self, limit: int) -> tuple[Outgoing, ...]:
        kept = self._kept
        pending = [each for each in kept.deliveries.values() if each.state is DeliveryState.PENDING]
        return tuple(Outgoing(each, kept.events[each.event_id], kept.webhooks[each.webhook_id]) for each in pending)[
            :limit
        ]

    async def tried(self, delivery: Delivery) -> None:
        self._kept.deliveries[delivery.id] = delivery


@dataclass(slots=True)
class MemoryHourCosts:
    """The cost of each scope, whatever the hour."""

    by_scope: dict[str, int] = field(default_factory=dict[str, int])

    async def costs(self, hour_start_micros: int, scopes: Sequence[str]) -> Mapping[str, int]:
        return {scope: self.by_scope.get(scope, 0) for scope in scopes}


@dataclass(slots=True)
class MemorySender:
    """Keeps what is posted; answers with the statuses in order, the last one again and again."""

    answers: list[int | HeadraceError] = field(default_factory=lambda: list[int | HeadraceError]([204]))
    allowed: frozenset[str] = frozenset()
    posted: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list[tuple[str, dict[str, str], bytes]])

    async def check(self, url: str) -> None:
        destination_of(url, self.allowed)

    async def post(self, url: str, headers: Sequence[tuple[str, str]], body: bytes) -> int:
        self.posted.append((url, dict(headers), body))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, HeadraceError):
            raise answer
        return answer
