"""`headrace alerts`: thresholds on figures, made, listed and deleted, and what they have done."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from headrace.cli.client import ApiClient, given, segment
from headrace.cli.replies import moment, part, parts, short_dollars, text, words
from headrace.cli.session import listing
from headrace.cli.verb_shapes import Told, asks_server
from headrace.domain.alert import Metric
from headrace.domain.errors import ConfigInvalid
from headrace.domain.json_value import JsonObject

PATH = "/v2/alerts"
EVENTS = PATH + "/events"


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class AlertFlags:
    """What `headrace alerts create` takes beside a name, a metric and a scope."""

    percent: Annotated[int | None, Parameter(help="The threshold of budget_used and error_rate.")] = None
    usd: Annotated[
        str | None, Parameter(help="The threshold of balance_left and cost_per_hour in US dollars, like 5.")
    ] = None
    window_seconds: Annotated[int | None, Parameter(help="Of an error rate: how many seconds back count (300).")] = None
    min_attempts: Annotated[int | None, Parameter(help="Of an error rate: with fewer it says nothing (20).")] = None
    webhook: Annotated[
        tuple[str, ...] | None, Parameter(help="A webhook's ID to send to; may be given again.", negative="")
    ] = None
    revoke_key: Annotated[str | None, Parameter(help="The ID of a key to revoke when it fires.")] = None
    repoint_alias: Annotated[str | None, Parameter(help="ALIAS=MODEL to point an alias elsewhere when it fires.")] = (
        None
    )


NO_ALERT_FLAGS = AlertFlags()


@asks_server
def create(client: ApiClient, name: str, metric: str, scope: str, /, *, alert: AlertFlags = NO_ALERT_FLAGS) -> Told:
    """Create an alert. It takes effect at once.

    Parameters
    ----------
    name:
        What to call it.
    metric:
        budget_used, balance_left, error_rate or cost_per_hour.
    scope:
        budget:ID, team:NAME, key:ID, model:ID, provider:NAME or platform, as the metric allows.
    """
    optional: JsonObject = given(
        threshold_percent=alert.percent,
        threshold_usd=alert.usd,
        window_seconds=alert.window_seconds,
        min_attempts=alert.min_attempts,
        action=_action(alert),
    )
    body: JsonObject = {
        "name": name,
        "metric": metric,
        "scope": scope,
        "webhooks": list(alert.webhook or ()),
        **optional,
    }
    reply = client.send("POST", PATH, "admin", body)
    made = part(reply, "alert")
    return Told(reply, f'{text(made, "id")}: "{text(made, "name")}" fires when {_condition(made)}.')


@asks_server
def list_alerts(client: ApiClient) -> Told:
    """List alerts and whether they have fired."""
    reply = client.get(PATH, "admin")
    told = "\n".join(line for each in parts(reply, "alerts") for line in _lines(each))
    empty = "There is no alert. Make one: headrace alerts create NAME budget_used budget:ID --percent 80"
    return Told(reply, told or empty)


@asks_server
def delete(client: ApiClient, alert_id: str, /) -> Told:
    """Delete an alert; its events stay.

    Parameters
    ----------
    alert_id:
        The ID that `headrace alerts list` shows.
    """
    reply = client.send("DELETE", f"{PATH}/{segment(alert_id)}", "admin")
    return Told(reply, f'The alert "{text(part(reply, "alert"), "name", alert_id)}" is deleted.')


@asks_server
def events(client: ApiClient, *, limit: int = 20) -> Told:
    """List what alerts have done, newest first.

    Parameters
    ----------
    limit:
        How many to show, up to 1000.
    """
    reply = client.get(f"{EVENTS}?limit={limit}", "admin")
    headings = ("AT", "ALERT", "WAS", "ACTION", "DELIVERIES")
    return Told(reply, listing(headings, map(_event_row, parts(reply, "events")), "No alert has fired."))


def _action(alert: AlertFlags) -> JsonObject | None:
    if alert.revoke_key is not None and alert.repoint_alias is not None:
        raise ConfigInvalid("An alert does one thing: give --revoke-key or --repoint-alias, not both.", code="usage")
    if alert.revoke_key is not None:
        return {"kind": "revoke_key", "key": alert.revoke_key}
    if alert.repoint_alias is None:
        return None
    name, equals, model = alert.repoint_alias.partition("=")
    if not (name and equals and model):
        raise ConfigInvalid(
            f'--repoint-alias takes ALIAS=MODEL, like daily=gpt-oss-120b, not "{alert.repoint_alias}".', code="usage"
        )
    return {"kind": "repoint_alias", "alias": name, "points_to": model}


def _condition(alert: JsonObject) -> str:
    is_below = text(alert, "metric") == Metric.BALANCE_LEFT
    percent = text(alert, "threshold_percent")
    amount = f"{percent}%" if percent else short_dollars(alert, "threshold")
    return f"{text(alert, 'metric')} of {text(alert, 'scope')} is {'at most' if is_below else 'at least'} {amount}"


def _lines(alert: JsonObject) -> Iterator[str]:
    """An alert's lines: ids are long, so that a row would be wider than a terminal."""
    yield f'{text(alert, "id")}   {text(alert, "state")}   "{text(alert, "name")}"'
    yield f"  when {_condition(alert)}"
    yield from (f"  tell {each}" for each in words(alert.get("webhooks")))
    doing = _doing(part(alert, "action"))
    if doing:
        yield f"  {doing}"


def _doing(action: JsonObject) -> str:
    if text(action, "kind") == "revoke_key":
        return f"revoke key {text(action, 'key')}"
    return f"point {text(action, 'alias')} at {text(action, 'points_to')}" if action else ""


def _event_row(event: JsonObject) -> tuple[str, ...]:
    percent = text(event, "value_percent")
    was = f"{percent}%" if percent else short_dollars(event, "value")
    doing = _doing(part(event, "action"))
    if doing:
        result = part(event, "result")
        doing += ": done" if result.get("done") is True else f": {text(result, 'code', 'not yet')}"
    sent = ", ".join(text(each, "state") for each in parts(event, "deliveries")) or "-"
    return moment(text(event, "at")), text(part(event, "alert"), "name"), was, doing or "-", sent
