"""`headrace providers`: outside services and their keys, which are read from standard input only."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from headrace.cli.client import open_client, segment
from headrace.cli.options import NO_FLAGS, ClientFlags, wants_json
from headrace.cli.replies import part, parts, text
from headrace.cli.session import Session, columns
from headrace.domain.errors import ConfigInvalid
from headrace.domain.json_value import JsonObject

LONGEST_KEY = 16 * 1024


def list_providers(*, flags: ClientFlags = NO_FLAGS, session: Annotated[Session, Parameter(parse=False)]) -> int:
    """List the providers and whether their keys are set."""
    with open_client(session, flags) as client:
        reply = client.get("/v2/providers", "admin")
    if wants_json(flags.json, session.environment):
        session.say_json(reply)
        return 0
    rows = [("NAME", "MODELS", "KEY", "ADDRESS")]
    rows += [
        (text(each, "name"), text(each, "models", "0"), _key_state(each), text(each, "base_url"))
        for each in parts(reply, "providers")
    ]
    session.say(columns(rows, frozenset({1})))
    return 0


def set_key(name: str, /, *, flags: ClientFlags = NO_FLAGS, session: Annotated[Session, Parameter(parse=False)]) -> int:
    """Set a provider's key, read from standard input; it is sealed and live at once.

    Parameters
    ----------
    name:
        The provider, as `headrace providers list` shows it.
    """
    credential = _read_key(name, session)
    with open_client(session, flags) as client:
        path = f"/v2/providers/{segment(name)}/credential"
        reply = client.send("PUT", path, "admin", {"credential": credential})
    if wants_json(flags.json, session.environment):
        session.say_json(reply)
        return 0
    provider = part(reply, "provider")
    session.say(f"The key of {text(provider, 'display_name', name)} is set and sealed.")
    session.note("  See what can be called now: headrace models")
    return 0


def remove_key(
    name: str, /, *, flags: ClientFlags = NO_FLAGS, session: Annotated[Session, Parameter(parse=False)]
) -> int:
    """Forget a provider's stored key.

    Parameters
    ----------
    name:
        The provider, as `headrace providers list` shows it.
    """
    with open_client(session, flags) as client:
        reply = client.send("DELETE", f"/v2/providers/{segment(name)}/credential", "admin")
    if wants_json(flags.json, session.environment):
        session.say_json(reply)
        return 0
    provider = part(reply, "provider")
    session.say(f"The stored key of {text(provider, 'display_name', name)} is gone.")
    if provider.get("credential_source") == "environment":
        session.note("  One from the environment is in its place.")
    return 0


def _read_key(name: str, session: Session) -> str:
    if session.stdin.isatty():
        key = session.ask_secret(f"Key of {name} (not shown): ").strip()
    else:
        key = session.stdin.read(LONGEST_KEY + 1).strip()
    if not key:
        raise ConfigInvalid(f"no key came in. Write it to standard input: headrace providers set-key {name} < FILE")
    if len(key) > LONGEST_KEY or any(character.isspace() for character in key):
        raise ConfigInvalid("that is no key: it is too long, or has spaces or line ends. Write nothing but the key.")
    return key


def _key_state(provider: JsonObject) -> str:
    if not provider.get("needs_credential"):
        return "none needed"
    if provider.get("credential_set"):
        return f"set ({text(provider, 'credential_source', 'stored')})"
    return "not set"
