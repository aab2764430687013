"""`headrace providers`: outside services and their keys, which are read from standard input only."""

from __future__ import annotations

from headrace.cli.client import ApiClient, segment
from headrace.cli.replies import moment, part, parts, text, words
from headrace.cli.session import Session, columns
from headrace.cli.verb_shapes import Running, Told, asks_server
from headrace.domain.credential import DEFAULT_LABEL
from headrace.domain.errors import ConfigInvalid
from headrace.domain.json_value import JsonObject, JsonValue

LONGEST_KEY = 16 * 1024


@asks_server
def list_providers(client: ApiClient) -> Told:
    """List providers with their keys and the health of each."""
    reply = client.get("/v2/providers", "admin")
    providers = parts(reply, "providers")
    for each in providers:
        if each.get("credential_set"):
            found = client.get(f"/v2/providers/{segment(text(each, 'name'))}/credentials", "admin")
            each["credentials"] = list[JsonValue](parts(found, "credentials"))
    rows = [("NAME", "MODELS", "KEY", "STATE", "ADDRESS")]
    for each in providers:
        (key, state), *more = _keys_of(each)
        rows.append((text(each, "name"), text(each, "models", "0"), key, state, text(each, "base_url")))
        rows += [("", "", key, state, "") for key, state in more]
    return Told(reply, columns(rows, frozenset({1})))


@asks_server
def set_key(client: ApiClient, name: str, /, *, label: str = DEFAULT_LABEL, session: Running) -> Told:
    """Set a provider's key from standard input. It is sealed and used at once.

    Parameters
    ----------
    name:
        The provider, as `headrace providers list` shows it.
    label:
        The key's label. A key with the same label is replaced.
    """
    credential = _read_key(name, session)
    reply = client.send("PUT", _path(name, label), "admin", {"credential": credential})
    line = f"The key{_named(label)} of {text(part(reply, 'provider'), 'display_name', name)} is set and sealed."
    return Told(reply, line, ("  See what can be called now: headrace models",))


@asks_server
def remove_key(client: ApiClient, name: str, /, *, label: str = DEFAULT_LABEL) -> Told:
    """Delete one of a provider's stored keys.

    Parameters
    ----------
    name:
        The provider, as `headrace providers list` shows it.
    label:
        The label of the key.
    """
    reply = client.send("DELETE", _path(name, label), "admin")
    provider = part(reply, "provider")
    line = f"The stored key{_named(label)} of {text(provider, 'display_name', name)} is gone."
    stays = any(text(each, "label") == label for each in parts(provider, "credentials"))
    return Told(reply, line, ("  One from the environment is in its place.",) if stays else ())


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


def _path(name: str, label: str) -> str:
    path = f"/v2/providers/{segment(name)}/credential"
    return path if label == DEFAULT_LABEL else f"{path}s/{segment(label)}"


def _named(label: str) -> str:
    return "" if label == DEFAULT_LABEL else f' "{label}"'


def _keys_of(provider: JsonObject) -> list[tuple[str, str]]:
    if not provider.get("needs_credential"):
        return [("none needed", "")]
    found = parts(provider, "credentials")
    return [(f"{text(each, 'label')} ({text(each, 'source')})", _state(each)) for each in found] or [("not set", "")]


def _state(credential: JsonObject) -> str:
    health = part(credential, "health")
    state, until = text(health, "state"), moment(text(health, "until"))
    models = ", ".join(words(health.get("models")))
    of_models = f" for {models}" if models else ""
    if state == "rate_limited":
        return f"rate limited until {until}{of_models}"
    if state == "refused" and health.get("since") is not None:
        return f"refused since {moment(text(health, 'since'))}"
    if state == "refused":
        return f"refused until {until}{of_models}"
    return state
