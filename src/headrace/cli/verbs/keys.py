"""`headrace keys`: model access keys, made, listed and revoked."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from headrace.cli.client import ApiClient, given, segment
from headrace.cli.replies import moment, number, part, parts, text, words
from headrace.cli.session import listing
from headrace.cli.verb_shapes import Told, asks_server
from headrace.domain.json_value import JsonObject, JsonValue

PATH = "/v2/gen-ai/models/api_keys"


@asks_server
def create(
    client: ApiClient,
    name: str,
    /,
    *,
    model: Annotated[tuple[str, ...] | None, Parameter(negative="")] = None,
    team: str | None = None,
    cache_ttl: int | None = None,
) -> Told:
    """Create a model access key and show it once.

    Parameters
    ----------
    name:
        What to call the key.
    model:
        A model that the key may call. Repeat to add more. Default: every model.
    team:
        The team that owns the key and is billed. Default: "default".
    cache_ttl:
        Keep complete replies for this many seconds and serve repeated requests from them, free of charge.
    """
    body: JsonObject = given(
        name=name,
        models=list[JsonValue](model) if model else None,
        team=team,
        response_cache=None if cache_ttl is None else {"ttl_seconds": cache_ttl},
    )
    reply = client.send("POST", PATH, "admin", body)
    info = part(reply, "api_key_info")
    notes = (
        f'Key "{text(info, "name")}" ({_scope(info)}). It is shown only now: keep it.',
        f"  To take it back: headrace keys revoke {text(info, 'uuid')}",
    )
    return Told(reply, text(info, "secret_key"), notes)


@asks_server
def list_keys(client: ApiClient) -> Told:
    """List keys. Their secrets are not stored."""
    reply = client.get(PATH, "admin")
    headings = ("NAME", "ID", "TEAM", "CREATED", "STATE", "CACHE", "MODELS")
    empty = "There is no key. Make one: headrace keys create NAME"
    return Told(reply, listing(headings, map(_row, parts(reply, "api_key_infos")), empty))


@asks_server
def revoke(client: ApiClient, key_id: str, /) -> Told:
    """Revoke a key. It stops working at once.

    Parameters
    ----------
    key_id:
        The ID that `headrace keys list` shows.
    """
    reply = client.send("DELETE", f"{PATH}/{segment(key_id)}", "admin")
    return Told(reply, f'Key "{text(part(reply, "api_key_info"), "name", key_id)}" is revoked.')


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
