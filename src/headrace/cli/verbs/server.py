"""The verbs about a running server as a whole: its version, and reading its configuration anew."""

from __future__ import annotations

import platform

from headrace import __version__
from headrace.cli.client import ApiClient, open_client
from headrace.cli.options import NO_FLAGS, ClientFlags, wants_json
from headrace.cli.replies import number, part, text
from headrace.cli.verb_shapes import Running, Told, asks_server
from headrace.domain.errors import OperatorError
from headrace.domain.json_value import JsonObject


@asks_server
def reload(client: ApiClient) -> Told:
    """Reload the catalog and configuration. If they are invalid, the server keeps the current ones."""
    reply = client.send("POST", "/v2/config/reload", "admin")
    return Told(reply, f"Serving configuration {text(reply, 'version')} with {number(reply, 'models')} models.")


def version(*, flags: ClientFlags = NO_FLAGS, session: Running) -> int:
    """Show the version of this command and of the server, if one answers."""
    own: JsonObject = {"version": __version__, "python": platform.python_version()}
    server: JsonObject | None = None
    silence = ""
    try:
        with open_client(session, flags) as client:
            server = client.get("/v2/version", "either")
    except OperatorError as error:
        silence = error.message
    if wants_json(flags.json, session.environment):
        session.say_json({"client": own, "server": server})
        return 0
    session.say(f"headrace {__version__} (Python {platform.python_version()})")
    if server is None:
        session.note(f"  server: {silence}")
        return 0
    store = part(server, "store")
    session.say(f"server   {text(server, 'version')} (Python {text(server, 'python')}), {_store(store)}")
    return 0


def _store(store: JsonObject) -> str:
    return f"store schema {text(store, 'schema')}, {text(store, 'library')}, synchronous {text(store, 'synchronous')}"
