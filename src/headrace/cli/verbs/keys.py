"""`headrace keys`: model access keys, made, listed and revoked."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from headrace.cli.client import open_client, segment
from headrace.cli.options import NO_FLAGS, ClientFlags, wants_json
from headrace.cli.replies import moment, number, part, parts, text, words
from headrace.cli.session import Session, columns
from headrace.domain.json_value import JsonObject

PATH = "/v2/gen-ai/models/api_keys"


def create(
    name: str,
    /,
    *,
    model: Annotated[tuple[str, ...] | None, Parameter(negative="")] = None,
    team: str | None = None,
    cache_ttl: int | None = None,
    flags: ClientFlags = NO_FLAGS,
    session: Annotated[Session, Parameter(parse=False)],
) -> int:
    """Make a model access key and show it, once.

    Parameters
    ----------
    name:
        What to call the key.
    model:
        A model that the key may call; may be given again. Without it the key may call every model.
    team:
        The team that the key belongs to and that is billed; without it the team "default".
    cache_ttl:
        For how many seconds complete replies are kept, so that the same request gets them again for nothing.
    """
    body: JsonObject = {"name": name}
    if model:
        body["models"] = list(model)
    if team is not None:
        body["team"] = team
    if cache_ttl is not None:
        body["response_cache"] = {"ttl_seconds": cache_ttl}
    with open_client(session, flags) as client:
        reply = client.send("POST", PATH, "admin", body)
    if wants_json(flags.json, session.environment):
        session.say_json(reply)
        return 0
    info = part(reply, "api_key_info")
    session.say(text(info, "secret_key"))
    session.note(f'Key "{text(info, "name")}" ({_scope(info)}). It is shown only now: keep it.')
    session.note(f"  To take it back: headrace keys revoke {text(info, 'uuid')}")
    return 0


def list_keys(*, flags: ClientFlags = NO_FLAGS, session: Annotated[Session, Parameter(parse=False)]) -> int:
    """List the keys; the secrets themselves are not kept."""
    with open_client(session, flags) as client:
        reply = client.get(PATH, "admin")
    if wants_json(flags.json, session.environment):
        session.say_json(reply)
        return 0
    rows = [("NAME", "ID", "TEAM", "CREATED", "STATE", "CACHE", "MODELS")]
    rows += [_row(each) for each in parts(reply, "api_key_infos")]
    session.say(columns(rows) if len(rows) > 1 else "There is no key. Make one: headrace keys create NAME")
    return 0


def revoke(
    key_id: str,
    /,
    *,
    flags: ClientFlags = NO_FLAGS,
    session: Annotated[Session, Parameter(parse=False)],
) -> int:
    """Revoke a key; it works no longer from now on.

    Parameters
    ----------
    key_id:
        The ID that `headrace keys list` shows.
    """
    with open_client(session, flags) as client:
        reply = client.send("DELETE", f"{PATH}/{segment(key_id)}", "admin")
    if wants_json(flags.json, session.environment):
        session.say_json(reply)
        return 0
    session.say(f'Key "{text(part(reply, "api_key_info"), "name", key_id)}" is revoked.')
    return 0


def _row(info: JsonObject) -> tuple[str, ...]:
    state = "revoked" if info.get("deleted_at") else text(info, "role", "key").replace("key", "active")
    created = moment(text(info, "created_at"))[:10]
    team = text(info, "team", "-")
    return text(info, "name"), text(info, "uuid"), team, created, state, _cache(info), _models(info)


def _cache(info: JsonObject) -> str:
    seconds = number(part(info, "response_cache"), "ttl_seconds")
    return f"{seconds} s" if seconds else "off"


def _models(info: JsonObject) -> str:
    return ", ".join(words(info.get("models"))) or "all"


def _scope(info: JsonObject) -> str:
    names = words(info.get("models"))
    return f"for {', '.join(names)}" if names else "for every model"
