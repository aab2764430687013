"""`headrace aliases`: names that point at models or routers, listed, set and deleted."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from cyclopts import Parameter

from headrace.cli.client import open_client
from headrace.cli.options import NO_FLAGS, ClientFlags, wants_json
from headrace.cli.replies import part, parts, text, words
from headrace.cli.session import Session, columns
from headrace.domain.json_value import JsonObject, JsonValue

PATH = "/v2/aliases"


def list_aliases(*, flags: ClientFlags = NO_FLAGS, session: Annotated[Session, Parameter(parse=False)]) -> int:
    """List the aliases and what they point at."""
    with open_client(session, flags) as client:
        reply = client.get(PATH, "admin")
    rows = [("ALIAS", "POINTS TO", "FALLBACKS", "CHANGED")]
    rows += [_row(each) for each in parts(reply, "aliases")]
    line = columns(rows) if len(rows) > 1 else "There is no alias. Make one: headrace aliases set NAME MODEL"
    return session.tell(reply, line, as_json=wants_json(flags.json, session.environment))


def set_alias(
    name: str,
    model: str,
    /,
    *,
    fallback: Annotated[tuple[str, ...] | None, Parameter(negative="")] = None,
    flags: ClientFlags = NO_FLAGS,
    session: Annotated[Session, Parameter(parse=False)],
) -> int:
    """Point an alias at a model or a router; requests that run are not disturbed.

    Parameters
    ----------
    name:
        The name that callers use.
    model:
        The model that answers under it, or a router: router:NAME.
    fallback:
        A model to try when it fails; may be given again, in the order to try.
    """
    fallbacks = list[JsonValue](fallback or ())
    with open_client(session, flags) as client:
        reply = client.send("PUT", _path(name), "admin", {"points_to": model, "fallbacks": fallbacks})
    alias = part(reply, "alias")
    chain = ", then ".join([text(alias, "points_to", model), *words(alias.get("fallbacks"))])
    line = f'"{text(alias, "name", name)}" points at {chain}.'
    return session.tell(reply, line, as_json=wants_json(flags.json, session.environment))


def delete_alias(
    name: str,
    /,
    *,
    flags: ClientFlags = NO_FLAGS,
    session: Annotated[Session, Parameter(parse=False)],
) -> int:
    """Delete an alias; the model that it pointed at stays.

    Parameters
    ----------
    name:
        The name that `headrace aliases list` shows.
    """
    with open_client(session, flags) as client:
        reply = client.send("DELETE", _path(name), "admin")
    line = f'The alias "{text(part(reply, "alias"), "name", name)}" is deleted.'
    return session.tell(reply, line, as_json=wants_json(flags.json, session.environment))


def _path(name: str) -> str:
    return f"{PATH}/{quote(name, safe='/:')}"


def _row(alias: JsonObject) -> tuple[str, str, str, str]:
    fallbacks = ", ".join(words(alias.get("fallbacks"))) or "-"
    return text(alias, "name"), text(alias, "points_to"), fallbacks, text(alias, "changed_at")[:10] or "in the file"
