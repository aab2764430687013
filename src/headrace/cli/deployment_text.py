"""Deployments in words and columns, as the terminal shows them."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.cli.replies import moment, number, part, parts, short_dollars, text
from headrace.cli.session import columns
from headrace.domain.json_value import JsonObject

HEADINGS = ("DEPLOYMENT", "STATUS", "MODEL", "ON", "SCALE", "$/H EACH")
REPLICA_HEADINGS = ("REPLICA", "STATUS", "SINCE", "NOTE")
EVENT_HEADINGS = ("SINCE", "STATUS", "READY", "WHY")
TOKEN_HEADINGS = ("ID", "NAME", "CREATED")


def deployments_text(deployments: Sequence[JsonObject]) -> str:
    """Return deployments as columns, each with its reason below where it has one."""
    rows = [HEADINGS, *(_row(each) for each in deployments)]
    lines = columns(rows, frozenset({5})).splitlines()
    shown = [lines[0]]
    for line, each in zip(lines[1:], deployments, strict=True):
        shown.append(line)
        if text(each, "reason"):
            shown.append(f"  {text(each, 'reason')}")
    return "\n".join(shown)


def deployment_text(deployment: JsonObject, standing: JsonObject, replicas: Sequence[JsonObject]) -> str:
    """Return one deployment: what is wanted, what is there, what it costs, where it is reached."""
    price = part(deployment, "price")
    blocks = [f"{text(deployment, 'name')}  {text(deployment, 'id')}", *_state(deployment, standing), ""]
    rows = [
        ("model", _model_of(deployment)),
        ("runs on", f"{_on(deployment)}, driver {_field(deployment, 'driver')}, engine {_field(deployment, 'engine')}"),
        ("scale", f"{scale_text(deployment)}{_target(deployment)}"),
        ("asleep", _asleep(deployment)),
        *_cold_start(standing),
        ("price", f"{short_dollars(price, 'per_replica_hour')} an hour for each replica ({text(price, 'source')})"),
        ("endpoint", text(part(deployment, "endpoints"), "base_url")),
        ("paid by", f"team {text(deployment, 'team')}"),
    ]
    blocks.append(columns(rows))
    if replicas:
        blocks += ["", columns([REPLICA_HEADINGS, *(_replica(each) for each in replicas)])]
    return "\n".join(blocks)


def _cold_start(standing: JsonObject) -> list[tuple[str, str]]:
    seconds = standing.get("wake_seconds")
    said = f"{seconds:.1f} s from no replica to a real token, the last time" if isinstance(seconds, int | float) else ""
    return [("cold start", said)] if said else []


def standing_text(standing: JsonObject) -> str:
    """Return how many replicas there are of how many, and the requests that they have or that wait."""
    ready, wanted, starting = (number(standing, name) for name in ("ready", "wanted", "starting"))
    said = (
        f"{ready} of {wanted} replicas ready"
        if ready <= wanted
        else f"{_counted(ready, 'replica')} ready, {wanted} wanted"
    )
    if starting:
        said += f", {starting} starting"
    if number(standing, "in_flight"):
        said += f", {_counted(number(standing, 'in_flight'), 'request')} in flight"
    if number(standing, "waiting"):
        said += f", {number(standing, 'waiting')} waiting"
    return said


def tokens_text(tokens: Sequence[JsonObject]) -> str:
    """Return tokens as columns."""
    rows = [(text(each, "id"), text(each, "name"), moment(text(each, "created_at"))) for each in tokens]
    return columns([TOKEN_HEADINGS, *rows])


def events_text(events: Sequence[JsonObject]) -> str:
    """Return what became of a deployment as columns, oldest first, nothing where there is nothing."""
    rows = [(moment(text(each, "at")), text(each, "status"), _counts(each), text(each, "reason")) for each in events]
    return columns([EVENT_HEADINGS, *rows]) if rows else ""


def _counts(event: JsonObject) -> str:
    return f"{number(event, 'ready')}/{number(event, 'wanted')}"


def logs_text(logs: Sequence[JsonObject]) -> str:
    """Return lines of logs, each behind its replica's name where there are several."""
    shown: list[str] = []
    for each in logs:
        lines = each.get("lines")
        prefix = f"{text(each, 'replica')}  " if len(logs) > 1 else ""
        shown += [f"{prefix}{line}" for line in (lines if isinstance(lines, list) else [])]
    return "\n".join(shown)


def scale_text(deployment: JsonObject) -> str:
    """Return the bounds as they are typed."""
    group = _group(deployment)
    return f"{number(group, 'min_scale')}:{number(group, 'max_scale')}"


def _row(deployment: JsonObject) -> tuple[str, ...]:
    return (
        text(deployment, "name"),
        text(deployment, "status"),
        _model_of(deployment),
        _on(deployment),
        scale_text(deployment),
        short_dollars(part(deployment, "price"), "per_replica_hour").lstrip("$"),
    )


def _state(deployment: JsonObject, standing: JsonObject) -> list[str]:
    lines = [f"{text(deployment, 'status')}, {standing_text(standing)}"]
    if text(deployment, "reason"):
        lines.append(text(deployment, "reason"))
    if text(deployment, "retry_at"):
        lines.append(f"Tried again at {moment(text(deployment, 'retry_at'))}.")
    pending = part(deployment, "pending_deployment_spec")
    if text(pending, "status") == "updating":
        lines.append("A change is being rolled out, replica by replica.")
    return lines


def _model(deployment: JsonObject) -> JsonObject:
    return _first(parts(part(deployment, "spec"), "model_deployments"))


def _group(deployment: JsonObject) -> JsonObject:
    return _first(parts(_model(deployment), "accelerators"))


def _first(entries: list[JsonObject]) -> JsonObject:
    return entries[0] if entries else {}


def _field(deployment: JsonObject, name: str) -> str:
    return text(_model(deployment), name) or "its own"


def _model_of(deployment: JsonObject) -> str:
    return text(_model(deployment), "model")


def _on(deployment: JsonObject) -> str:
    group = _group(deployment)
    gpus, slug = number(group, "gpus"), text(group, "accelerator_slug")
    return f"{gpus} x {slug}" if gpus > 1 and not slug.startswith("gpu-") else slug


def _target(deployment: JsonObject) -> str:
    target = part(_model(deployment), "target")
    match text(target, "metric"):
        case "queue_depth":
            return f", {_counted(number(target, 'value'), 'request')} for each replica"
        case "first_token_ms":
            return f", first token within {number(target, 'value')} ms"
        case _:
            return f", {_counted(number(_model(deployment), 'slots'), 'request')} for each replica"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _asleep(deployment: JsonObject) -> str:
    model = _model(deployment)
    idle, overflow = number(model, "idle_seconds"), part(model, "overflow")
    after = f"after {idle} s without a request" if idle and not number(_group(deployment), "min_scale") else "never"
    first = f"then {text(model, 'when_asleep')}" if after != "never" else ""
    takes = f"overflow to {text(overflow, 'model')} from {number(overflow, 'limit')} waiting on" if overflow else ""
    return ", ".join(each for each in (after, first, takes) if each)


def _replica(replica: JsonObject) -> tuple[str, ...]:
    since = text(replica, "ready_at") or text(replica, "created_at")
    notes = [text(replica, "node"), f"process {text(replica, 'pid')}" if text(replica, "pid") else ""]
    note = ", ".join(each for each in (*notes, text(replica, "reason")) if each)
    return text(replica, "id"), text(replica, "status"), moment(since), note
