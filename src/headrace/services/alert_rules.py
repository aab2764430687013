"""What an alert may be: a metric with a scope, a threshold and actions that fit it and exist now."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from types import MappingProxyType

from headrace.domain.alert import PERCENT, Action, ActionKind, Alert, Metric
from headrace.domain.errors import Conflict, InvalidRequest, NotFound
from headrace.domain.names import did_you_mean
from headrace.domain.snapshot import Snapshot
from headrace.services.alias_rules import WantedAlias, check_wanted
from headrace.services.budget_book import check_scope
from headrace.services.keys import check_label
from headrace.wire.alert_json import AlertFields

MIN_WINDOW_SECONDS = 60
MAX_WINDOW_SECONDS = 3600
DEFAULT_WINDOW_SECONDS = 300
DEFAULT_MIN_ATTEMPTS = 20
MAX_MIN_ATTEMPTS = 1_000_000
MOST_WEBHOOKS = 10
FLAGS = MappingProxyType({"threshold_usd": "--usd", "threshold_percent": "--percent"})
SCOPES: Mapping[Metric, tuple[str, ...]] = {
    Metric.BUDGET_USED: ("budget",),
    Metric.BALANCE_LEFT: ("team",),
    Metric.ERROR_RATE: ("platform", "model", "provider"),
    Metric.COST_PER_HOUR: ("platform", "key", "team", "model"),
}


def new_alert(fields: AlertFields, alert_id: str, at_micros: int) -> Alert:
    """Return the alert that is asked for; raises InvalidRequest naming the first field that is missing or wrong."""
    if fields.metric is None or fields.scope is None or fields.name is None:
        missing = next(each for each in ("name", "metric", "scope") if getattr(fields, each) is None)
        raise InvalidRequest(f'"{missing}" is missing: an alert has a name, a metric and a scope.', param=missing)
    is_rate = fields.metric is Metric.ERROR_RATE
    blank = Alert(
        id=alert_id,
        name=fields.name,
        metric=fields.metric,
        scope=fields.scope,
        threshold=-1,
        window_seconds=DEFAULT_WINDOW_SECONDS if is_rate else 0,
        min_attempts=DEFAULT_MIN_ATTEMPTS if is_rate else 0,
        webhooks=(),
        action=None,
        created_at_micros=at_micros,
        changed_at_micros=at_micros,
    )
    if fields.threshold_percent is None and fields.threshold_nano is None:
        name = "threshold_usd" if fields.metric.is_money else "threshold_percent"
        raise InvalidRequest(
            f'"{name}" ({FLAGS[name]}) is missing: "{fields.metric.value}" is compared with it.', param=name
        )
    return changed_alert(blank, fields, at_micros)


def changed_alert(alert: Alert, fields: AlertFields, at_micros: int) -> Alert:
    """Return the alert with the fields that are there; raises InvalidRequest for one that does not fit its metric."""
    check_label(alert.name if fields.name is None else fields.name, "name")
    return replace(
        alert,
        name=alert.name if fields.name is None else fields.name,
        threshold=_threshold(alert, fields),
        window_seconds=_of_rate(alert, "window_seconds", fields.window_seconds),
        min_attempts=_of_rate(alert, "min_attempts", fields.min_attempts),
        webhooks=alert.webhooks if fields.webhooks is None else fields.webhooks,
        action=fields.action if fields.has_action else alert.action,
        changed_at_micros=at_micros,
    )


def check_alert(alert: Alert, snapshot: Snapshot, webhooks: Collection[str]) -> None:
    """Raise unless everything that an alert names is there: InvalidRequest, NotFound, and Conflict of an alias."""
    _check_scope(alert, snapshot)
    for each in alert.webhooks:
        if each not in webhooks:
            raise NotFound(
                f'No webhook has the id "{each[:80]}"; `headrace webhooks list` shows the ids.',
                code="webhook_not_found",
                param="webhooks",
            )
    if len(alert.webhooks) > MOST_WEBHOOKS or len(set(alert.webhooks)) != len(alert.webhooks):
        raise InvalidRequest(f'"webhooks" must be at most {MOST_WEBHOOKS} ids, each once.', param="webhooks")
    if alert.action is not None:
        _check_action(alert.action, snapshot)


def repointed(action: Action, snapshot: Snapshot) -> WantedAlias:
    """Return the alias that an action asks for: what it pointed at goes, its other fallbacks stay; raises NotFound."""
    present = snapshot.aliases.get(action.target)
    if present is None or action.points_to is None:
        hint = did_you_mean(action.target, snapshot.aliases)
        raise NotFound(
            f'No alias named "{action.target[:128]}". {hint or "`headrace aliases list` lists them."}',
            code="alias_not_found",
            param="action",
        )
    fallbacks = tuple(each for each in present.fallbacks if each != action.points_to)
    return WantedAlias(action.target, action.points_to, fallbacks)


def _threshold(alert: Alert, fields: AlertFields) -> int:
    is_money = alert.metric.is_money
    wrong, name = ("percent", "threshold_percent") if is_money else ("dollars", "threshold_usd")
    if (fields.threshold_percent if is_money else fields.threshold_nano) is not None:
        right = "threshold_usd" if is_money else "threshold_percent"
        raise InvalidRequest(
            f'"{alert.metric.value}" is not compared with {wrong}: give "{right}" ({FLAGS[right]}) in the place of'
            f' "{name}" ({FLAGS[name]}).',
            param=name,
        )
    given = fields.threshold_nano if is_money else fields.threshold_percent
    if given is None:
        return alert.threshold
    if not is_money and not 1 <= given <= PERCENT:
        raise InvalidRequest(
            f'"threshold_percent" must be a whole number from 1 to {PERCENT}, not {given}.', param="threshold_percent"
        )
    if alert.metric is Metric.COST_PER_HOUR and given == 0:
        raise InvalidRequest('"threshold_usd" must be more than 0 for "cost_per_hour".', param="threshold_usd")
    return given


def _of_rate(alert: Alert, name: str, given: int | None) -> int:
    least, most, present = MIN_WINDOW_SECONDS, MAX_WINDOW_SECONDS, alert.window_seconds
    if name == "min_attempts":
        least, most, present = 1, MAX_MIN_ATTEMPTS, alert.min_attempts
    if given is None:
        return present
    if alert.metric is not Metric.ERROR_RATE:
        raise InvalidRequest(f'"{name}" belongs to "error_rate": leave it out of "{alert.metric.value}".', param=name)
    if not least <= given <= most:
        raise InvalidRequest(f'"{name}" must be from {least} to {most}, not {given}.', param=name)
    return given


def _check_scope(alert: Alert, snapshot: Snapshot) -> None:
    kind, kinds = alert.scope.partition(":")[0], SCOPES[alert.metric]
    if kind not in kinds or (kind == "platform") != (alert.scope == "platform"):
        forms = ", ".join("platform" if each == "platform" else f"{each}:…" for each in kinds)
        raise InvalidRequest(
            f'"{alert.scope[:80]}" is no scope of "{alert.metric.value}": write {forms}.', param="scope"
        )
    match kind:
        case "budget":
            _check_known(alert.scope_name, "budget", {each.id for each in snapshot.budgets})
        case "provider":
            _check_known(alert.scope_name, "provider", snapshot.providers)
        case _:
            check_scope(alert.scope, snapshot)
    if alert.metric is Metric.BALANCE_LEFT:
        team = snapshot.teams.get(alert.scope_name)
        if team is None or not team.is_prepaid:
            raise InvalidRequest(
                f'The team "{alert.scope_name[:80]}" does not pay in advance, so it has no balance to watch: change'
                f' that with PATCH /v2/teams/{alert.scope_name[:80]} {{"prepaid": true}}.',
                param="scope",
            )


def _check_known(name: str, kind: str, known: Collection[str]) -> None:
    if name not in known:
        hint = did_you_mean(name, known)
        raise NotFound(
            f'There is no {kind} "{name[:80]}". {hint or f"`headrace {kind}s list` lists them."}',
            code=f"{kind}_not_found",
            param="scope",
        )


def _check_action(action: Action, snapshot: Snapshot) -> None:
    if action.kind is ActionKind.REPOINT_ALIAS:
        check_wanted(repointed(action, snapshot), snapshot)
        if snapshot.aliases[action.target].source == "file":
            raise Conflict(
                f'The alias "{action.target}" stands in the configuration file, so an alert cannot point it elsewhere:'
                " take it out of the file and set it with `headrace aliases set`.",
                code="alias_in_file",
                param="action",
            )
        return
    key = snapshot.keys.get(action.target)
    if key is None or key.revoked_at_micros is not None:
        raise NotFound(
            f'No key that works has the id "{action.target[:80]}"; `headrace keys list` shows the ids.',
            code="key_not_found",
            param="action",
        )
