"""Shapes of alerts, their events and webhooks in the published description; writing them is alert_json's.

Types here only describe: no reply is written and no request is read by them.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from headrace.domain.alert import ActionKind, Metric
from headrace.domain.webhook import DeliveryState
from headrace.wire.openapi_amounts import Nano, Usd
from headrace.wire.openapi_control import Label, ListLinks, ListMeta, Time
from headrace.wire.openapi_money import Dollars

Percent = Annotated[int, Meta(ge=1, le=100)]
WindowSeconds = Annotated[int, Meta(ge=60, le=3600, description="Of an error rate: the last seconds that count.")]
MinAttempts = Annotated[int, Meta(ge=1, le=1_000_000, description="Of an error rate: with fewer it says nothing.")]
WebhookIds = Annotated[list[str], Meta(max_length=10)]
Url = Annotated[str, Meta(min_length=1, max_length=2048, description="An https address; every message is signed.")]


class AlertAction(Struct, kw_only=True, forbid_unknown_fields=True):
    """What is done when it fires: a key is revoked, or an alias is pointed at another model."""

    kind: ActionKind
    key: str | UnsetType = UNSET
    alias: str | UnsetType = UNSET
    points_to: str | UnsetType = UNSET


class Alert(Struct, kw_only=True):
    """A threshold on a figure; `state` tells of the window or episode that runs now."""

    id: str
    name: Label
    metric: Metric
    scope: str
    threshold_percent: Percent | None
    threshold_usd: Usd | None
    threshold_nano_usd: Nano | None
    window_seconds: WindowSeconds | None
    min_attempts: MinAttempts | None
    webhooks: WebhookIds
    action: AlertAction | None
    state: Annotated[str, Meta(pattern="^(armed|fired)$")]
    created_at: Time
    changed_at: Time


class AlertReply(Struct, kw_only=True):
    """One alert."""

    alert: Alert


class AlertList(Struct, kw_only=True):
    """Every alert."""

    alerts: list[Alert]
    meta: ListMeta
    links: ListLinks


class AlertBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """What may be changed of an alert; another threshold or window arms it again."""

    name: Label | UnsetType = UNSET
    threshold_percent: Percent | UnsetType | None = UNSET
    threshold_usd: Dollars | UnsetType | None = UNSET
    window_seconds: WindowSeconds | UnsetType | None = UNSET
    min_attempts: MinAttempts | UnsetType | None = UNSET
    webhooks: WebhookIds | UnsetType = UNSET
    action: AlertAction | UnsetType | None = UNSET


class NewAlertBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """An alert to be made: shares and rates have a threshold in percent, money one in dollars."""

    name: Label
    metric: Metric
    scope: str
    threshold_percent: Percent | None = None
    threshold_usd: Dollars | None = None
    window_seconds: WindowSeconds | None = None
    min_attempts: MinAttempts | None = None
    webhooks: WebhookIds | UnsetType = UNSET
    action: AlertAction | None = None


class AlertName(Struct, kw_only=True):
    """The alert of an event, as it was called then."""

    id: str
    name: str


class AlertResult(Struct, kw_only=True):
    """What came of the action; code and message say why it could not be done."""

    done: bool
    code: str | None
    message: str | None


class AlertDelivery(Struct, kw_only=True):
    """An event on its way to a webhook; `id` is the message's webhook-id."""

    id: str
    webhook: str
    state: DeliveryState
    attempts: int
    last_status: int | None
    last_error: str | None
    changed_at: Time


class AlertEvent(Struct, kw_only=True):
    """One firing: the figure and the threshold then, what was done, and who was told."""

    id: str
    alert: AlertName
    metric: Metric
    scope: str
    threshold_percent: Percent | None
    threshold_usd: Usd | None
    threshold_nano_usd: Nano | None
    value_percent: float | None
    value_usd: Usd | None
    value_nano_usd: Nano | None
    window_starts_at: Time | None
    at: Time
    action: AlertAction | None
    result: AlertResult | None
    deliveries: list[AlertDelivery]


class AlertEventList(Struct, kw_only=True):
    """The newest events first."""

    events: list[AlertEvent]
    meta: ListMeta
    links: ListLinks


class AlertEventQuery(Struct, kw_only=True):
    """Of which alert, and how many."""

    alert: str | UnsetType = UNSET
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


class Webhook(Struct, kw_only=True):
    """A receiver of events; `secret` is there only in the reply that makes it."""

    id: str
    url: Url
    created_at: Time
    changed_at: Time
    secret: Annotated[str, Meta(pattern="^whsec_")] | UnsetType = UNSET


class WebhookReply(Struct, kw_only=True):
    """One webhook."""

    webhook: Webhook


class WebhookList(Struct, kw_only=True):
    """Every webhook."""

    webhooks: list[Webhook]
    meta: ListMeta
    links: ListLinks


class WebhookBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """Where messages go."""

    url: Url


class WebhookTrial(Struct, kw_only=True):
    """What the receiver made of a message: its status, or why there is none."""

    delivered: bool
    status: int | None
    error: str | None


class WebhookTrialReply(Struct, kw_only=True):
    """A test."""

    test: WebhookTrial
