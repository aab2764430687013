"""`headrace aliases`: names that point at models or routers, listed, set and deleted."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from headrace.cli.client import ApiClient, segments
from headrace.cli.replies import part, parts, text, words
from headrace.cli.session import listing
from headrace.cli.verb_shapes import Told, asks_server
from headrace.domain.json_value import JsonObject, JsonValue

PATH = "/v2/aliases"


@asks_server
def list_aliases(client: ApiClient) -> Told:
    """List aliases and what they point to."""
    reply = client.get(PATH, "admin")
    empty = "There is no alias. Make one: headrace aliases set NAME MODEL"
    headings = ("ALIAS", "POINTS TO", "FALLBACKS", "CHANGED")
    return Told(reply, listing(headings, map(_row, parts(reply, "aliases")), empty))


@asks_server
def set_alias(
    client: ApiClient,
    name: str,
    model: str,
    /,
    *,
    fallback: Annotated[tuple[str, ...] | None, Parameter(negative="")] = None,
) -> Told:
    """Point an alias to a model or a router. Requests in flight are not affected.

    Parameters
    ----------
    name:
        The name that callers use.
    model:
        The model that answers under it, or a router: router:NAME.
    fallback:
        A model to try if the first one fails. Repeat to add more, in order.
    """
    fallbacks = list[JsonValue](fallback or ())
    reply = client.send("PUT", _path(name), "admin", {"points_to": model, "fallbacks": fallbacks})
    alias = part(reply, "alias")
    chain = ", then ".join([text(alias, "points_to", model), *words(alias.get("fallbacks"))])
    return Told(reply, f'"{text(alias, "name", name)}" points at {chain}.')


@asks_server
def delete_alias(client: ApiClient, name: str, /) -> Told:
    """Delete an alias. The model it points to stays.

    Parameters
    ----------
    name:
        The name that `headrace aliases list` shows.
    """
    reply = client.send("DELETE", _path(name), "admin")
    return Told(reply, f'The alias "{text(part(reply, "alias"), "name", name)}" is deleted.')


def _path(name: str) -> str:
    return f"{PATH}/{segments(name)}"


def _row(alias: JsonObject) -> tuple[str, str, str, str]:
    fallbacks = ", ".join(words(alias.get("fallbacks"))) or "-"
    return text(alias, "name"), text(alias, "points_to"), fallbacks, text(alias, "changed_at")[:10] or "in the file"
