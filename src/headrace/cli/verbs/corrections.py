"""`headrace routers correct`: says which task a request really was, so that the next one like it is matched so."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from headrace.cli.client import ApiClient, segment
from headrace.cli.replies import part, text
from headrace.cli.verb_shapes import Told, asks_server
from headrace.domain.errors import ConfigInvalid
from headrace.domain.router import PREFIX


@asks_server
def correct(
    client: ApiClient,
    request: str,
    slug: str | None = None,
    /,
    *,
    undo: Annotated[bool, Parameter(help="Take the correction back.", negative="")] = False,
) -> Told:
    """Correct a routed request: it becomes an example of the right task.

    Parameters
    ----------
    request:
        The request's id, as replies carry it in x-request-id.
    slug:
        The right task of its router.
    """
    if undo == (slug is not None):
        raise ConfigInvalid("Give the right task, or --undo: headrace routers correct REQUEST SLUG.", code="usage")
    path = f"/v2/requests/{segment(request)}/route"
    if undo:
        return Told(client.send("DELETE", path, "admin"), f"{request} is no longer corrected.")
    reply = client.send("POST", path, "admin", {"route": slug})
    told = part(reply, "correction")
    was = text(told, "decided") or "no task"
    line = f"{request} is an example of {text(told, 'route')} now ({PREFIX}{text(told, 'router')}; was {was})."
    return Told(reply, line)
