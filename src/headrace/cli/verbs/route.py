"""`headrace route`: who would serve a prompt, and why, without calling anybody."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from headrace.cli.client import ApiClient
from headrace.cli.progress import Waiting
from headrace.cli.routing_text import explained
from headrace.cli.verb_shapes import Running, Told, asks_server
from headrace.domain.errors import ConfigInvalid
from headrace.domain.json_value import JsonObject
from headrace.wire.json_strict import decode_object

PATH = "/v1/routing/decisions"
WAITING = "reading the prompt (the first time the tasks too, which takes some ten seconds)"


@asks_server
def explain(
    client: ApiClient,
    router: str,
    prompt: str | None = None,
    /,
    *,
    file: Annotated[
        Path | None, Parameter(help="A request's body as JSON, in any dialect, in place of a prompt.")
    ] = None,
    session: Running,
) -> Told:
    """Show which task a prompt matches, which model would serve it, and which were excluded. Nothing is called.

    Parameters
    ----------
    router:
        The router, like router:support, an alias of it, or inference-router.
    prompt:
        The user's prompt.
    """
    if (prompt is None) == (file is None):
        raise ConfigInvalid('Give either a prompt or --file BODY.json: headrace route explain router:NAME "PROMPT"')
    body: JsonObject = {"messages": [{"role": "user", "content": prompt}]}
    if file is not None:
        body = _read(file)
    with Waiting(session.stderr, WAITING):
        reply = client.send("POST", PATH, "either", {**body, "model": router})
    return Told(reply, explained(reply))


def _read(file: Path) -> JsonObject:
    try:
        return decode_object(file.read_bytes())
    except OSError as error:
        raise ConfigInvalid(f"{file} cannot be read ({error.strerror}). Name a readable file with --file.") from error
