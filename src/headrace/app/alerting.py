"""Alerts and webhooks put together: their services, and the two tasks that watch and deliver."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.app.foundation import Foundation
from headrace.domain.alert import AlertEvent
from headrace.domain.webhook import Delivery
from headrace.drivers.observability.logs import Logger
from headrace.ports.alerts import WebhookSender
from headrace.services.alert_actions import AlertActions
from headrace.services.alert_figures import AlertFigures
from headrace.services.alert_watch import AlertWatch
from headrace.services.alerts import Alerts
from headrace.services.aliases import Aliases
from headrace.services.error_rates import ErrorRates
from headrace.services.keys import Keys
from headrace.services.snapshots import Snapshots
from headrace.services.tasks import Tasks
from headrace.services.webhook_deliveries import WebhookDeliveries
from headrace.services.webhooks import WebhookPost, Webhooks
from headrace.wire.alert_json import event_object


@dataclass(frozen=True, slots=True)
class Alerting:
    """What the control plane and the request path need of alerts."""

    alerts: Alerts
    webhooks: Webhooks
    errors: ErrorRates
    sender: WebhookSender


@dataclass(frozen=True, slots=True)
class Doers:
    """The services that do what alerts ask for: the very ones that the operator uses."""

    keys: Keys
    aliases: Aliases


def make_alerting(ground: Foundation, snapshots: Snapshots, sender: WebhookSender) -> Alerting:
    """Return the services; nothing runs yet."""
    return Alerting(
        alerts=Alerts(ground.alerts, ground.webhooks, snapshots, ground.clock, ground.ids),
        webhooks=Webhooks(ground.webhooks, sender, ground.secrets, ground.clock, ground.ids, ground.randomness),
        errors=ErrorRates(ground.clock),
        sender=sender,
    )


def start_alerting(
    alerting: Alerting, ground: Foundation, snapshots: Snapshots, tasks: Tasks, logger: Logger, doers: Doers
) -> None:
    """Start watching figures and delivering events."""
    figures = AlertFigures(snapshots, ground.accounts, ground.hour_costs, alerting.errors, ground.clock)
    actions = AlertActions(doers.keys, doers.aliases, snapshots)

    def report(event: AlertEvent) -> None:
        logger.warning("alert", **event_object(event))

    watch = AlertWatch(ground.alerts, figures, actions, ground.clock, ground.ids, report)
    tasks.start("alert watch", watch.watch_for_ever())

    def report_failed(delivery: Delivery) -> None:
        logger.error(
            "webhook delivery given up",
            webhook=delivery.webhook_id,
            message_id=delivery.id,
            attempts=delivery.attempts,
            detail=delivery.last_error,
        )

    post = WebhookPost(alerting.sender, ground.secrets, ground.clock)
    deliveries = WebhookDeliveries(ground.webhooks, post, tasks, ground.clock, ground.randomness, report_failed)
    tasks.start("webhook deliveries", deliveries.deliver_for_ever())
