"""Alerts, their events and webhooks as JSON; what they may name is checked by the services."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from headrace.domain.alert import PERCENT, Action, ActionKind, ActionResult, Alert, AlertEvent, Metric
from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.webhook import Delivery, EventRecord, Webhook
from headrace.wire.iso_time import iso_time, iso_time_or_none
from headrace.wire.json_strict import is_object
from headrace.wire.money_json import amount, read_usd

CHANGEABLE = frozenset(
    {"name", "threshold_percent", "threshold_usd", "window_seconds", "min_attempts", "webhooks", "action"}
)
FIELDS = CHANGEABLE | {"metric", "scope"}
_ACTION_FIELDS: Mapping[ActionKind, tuple[str, ...]] = {
    ActionKind.REVOKE_KEY: ("key",),
    ActionKind.REPOINT_ALIAS: ("alias", "points_to"),
}


@dataclass(frozen=True, slots=True)
class AlertFields:
    """The fields of a body, None for one that is not there; `has_action` tells null from nothing."""

    name: str | None = None
    metric: Metric | None = None
    scope: str | None = None
    threshold_percent: int | None = None
    threshold_nano: int | None = None
    window_seconds: int | None = None
    min_attempts: int | None = None
    webhooks: tuple[str, ...] | None = None
    action: Action | None = None
    has_action: bool = False


def read_alert(fields: JsonObject) -> AlertFields:
    """Return the fields of a body; raises InvalidRequest for a value of the wrong kind."""
    metric = fields.get("metric")
    if metric is not None and not (isinstance(metric, str) and metric in set(Metric)):
        raise InvalidRequest(f'"metric" must be one of {_names(Metric)}, not {_shown(metric)}.', param="metric")
    usd = fields.get("threshold_usd")
    return AlertFields(
        name=_text(fields, "name"),
        metric=None if metric is None else Metric(metric),
        scope=_text(fields, "scope"),
        threshold_percent=_whole(fields, "threshold_percent"),
        threshold_nano=None if usd is None else read_usd(usd, "threshold_usd"),
        window_seconds=_whole(fields, "window_seconds"),
        min_attempts=_whole(fields, "min_attempts"),
        webhooks=_ids(fields.get("webhooks")),
        action=_action(fields.get("action")),
        has_action="action" in fields,
    )


def alert_object(alert: Alert, *, is_fired: bool) -> JsonObject:
    """Return an alert; `is_fired` says that it has fired in the window or episode that runs now."""
    is_rate = alert.metric is Metric.ERROR_RATE
    return {
        "id": alert.id,
        "name": alert.name,
        "metric": alert.metric.value,
        "scope": alert.scope,
        **_threshold(alert.metric, alert.threshold),
        "window_seconds": alert.window_seconds if is_rate else None,
        "min_attempts": alert.min_attempts if is_rate else None,
        "webhooks": list[JsonValue](alert.webhooks),
        "action": action_object(alert.action),
        "state": "fired" if is_fired else "armed",
        "created_at": iso_time(alert.created_at_micros),
        "changed_at": iso_time(alert.changed_at_micros),
    }


def action_object(action: Action | None) -> JsonObject | None:
    """Return an action as it is asked for."""
    if action is None:
        return None
    values = (action.target, action.points_to)
    named = dict[str, JsonValue](zip(_ACTION_FIELDS[action.kind], values, strict=False))
    return {"kind": action.kind.value, **named}


def event_object(event: AlertEvent) -> JsonObject:
    """Return an event as it is shown and sent: names and figures, never a prompt or a secret."""
    is_money = event.metric.is_money
    share = event.value * PERCENT / event.base if event.base else float(PERCENT)
    return {
        "id": event.id,
        "alert": {"id": event.alert_id, "name": event.alert_name},
        "metric": event.metric.value,
        "scope": event.scope,
        **_threshold(event.metric, event.threshold),
        "value_percent": None if is_money else round(share, 2),
        **amount("value", event.value if is_money else None),
        "window_starts_at": iso_time_or_none(event.window_starts_at_micros),
        "at": iso_time(event.at_micros),
        "action": action_object(event.action),
        "result": _result(event.result),
    }


def record_object(record: EventRecord) -> JsonObject:
    """Return an event with its deliveries."""
    return {**event_object(record.event), "deliveries": [_delivery(each) for each in record.deliveries]}


def webhook_object(webhook: Webhook) -> JsonObject:
    """Return a webhook without its secret."""
    return {
        "id": webhook.id,
        "url": webhook.url,
        "created_at": iso_time(webhook.created_at_micros),
        "changed_at": iso_time(webhook.changed_at_micros),
    }


def _threshold(metric: Metric, threshold: int) -> JsonObject:
    is_money = metric.is_money
    percent = None if is_money else threshold
    return {"threshold_percent": percent, **amount("threshold", threshold if is_money else None)}


def _result(result: ActionResult | None) -> JsonObject | None:
    if result is None:
        return None
    return {"done": result.is_done, "code": result.code, "message": result.message}


def _delivery(delivery: Delivery) -> JsonObject:
    return {
        "id": delivery.id,
        "webhook": delivery.webhook_id,
        "state": delivery.state.value,
        "attempts": delivery.attempts,
        "last_status": delivery.last_status,
        "last_error": delivery.last_error,
        "changed_at": iso_time(delivery.changed_at_micros),
    }


def _action(value: JsonValue) -> Action | None:
    if value is None:
        return None
    kind = value.get("kind") if is_object(value) else None
    if not (is_object(value) and isinstance(kind, str) and kind in set(ActionKind)):
        raise InvalidRequest(
            f'"action" must be null or an object with a "kind" of {_names(ActionKind)}, not {_shown(value)}.',
            param="action",
        )
    known = ActionKind(kind)
    names = _ACTION_FIELDS[known]
    texts = [value.get(name) for name in names]
    if set(value) != {"kind", *names} or not all(isinstance(each, str) for each in texts):
        raise InvalidRequest(
            f'An action "{known.value}" has the fields kind, {", ".join(names)}, each a string; what was sent has'
            f" {', '.join(sorted(value))[:80]}.",
            param="action",
        )
    return Action(known, *(str(each) for each in texts))


def _text(fields: JsonObject, name: str) -> str | None:
    value = fields.get(name)
    if value is None or isinstance(value, str):
        return value
    raise InvalidRequest(f'"{name}" must be a string, not {_shown(value)}.', param=name)


def _whole(fields: JsonObject, name: str) -> int | None:
    value = fields.get(name)
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise InvalidRequest(f'"{name}" must be a whole number, not {_shown(value)}.', param=name)


def _ids(value: JsonValue) -> tuple[str, ...] | None:
    if value is None:
        return None
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return tuple(str(each) for each in value)
    raise InvalidRequest(f'"webhooks" must be a list of ids of webhooks, not {_shown(value)}.', param="webhooks")


def _shown(value: JsonValue) -> str:
    return repr(str(value)[:80])


def _names(kinds: type[Metric] | type[ActionKind]) -> str:
    return ", ".join(f'"{each.value}"' for each in kinds)
