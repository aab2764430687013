"""`headrace models remove`: the weights of a model leave this machine, and one that was added the catalogue too."""

from __future__ import annotations

from pathlib import Path

from headrace.cli.client import ApiClient, open_client, segment
from headrace.cli.options import NO_FLAGS, ClientFlags, home_of, wants_json
from headrace.cli.replies import number, parts, size, text
from headrace.cli.session import Session
from headrace.cli.verb_shapes import Running
from headrace.cli.verbs.models_add import RELOAD
from headrace.domain.json_value import JsonObject


def remove(model: str, /, *, flags: ClientFlags = NO_FLAGS, session: Running) -> int:
    """Delete a model's weights from this machine. An added model leaves the catalog; its own file stays.

    Parameters
    ----------
    model:
        The model, as `headrace models` shows it. An added model can be removed on the server's machine only.
    """
    with open_client(session, flags) as client:
        reply = client.send("DELETE", f"/v2/models/{segment(model)}/weights", "admin")
        file = _forget(client, model, session, flags)
    told: JsonObject = reply | {"forgotten_in": None if file is None else str(file)}
    return session.tell(told, _words(model, reply, file), as_json=wants_json(flags.json, session.environment))


def _forget(client: ApiClient, model: str, session: Session, flags: ClientFlags) -> Path | None:
    if not client.access.is_here:
        return None
    file = session.local.model_forget(home_of(flags.home, session.environment), model)
    if file is not None:
        client.send("POST", RELOAD, "admin")
    return file


def _words(model: str, reply: JsonObject, file: Path | None) -> str:
    lines = [f"{text(each, 'name')} stays: {_others(reply)} too." for each in parts(reply, "kept")]
    if file is not None:
        lines.append(f"Forgot {model}: it is no longer in {file}. What it was added from stays where it lies.")
    elif parts(reply, "removed"):
        freed = size(number(reply, "freed_bytes"))
        lines.append(f"Removed {model}: {freed} are free. It comes back by: headrace models pull {model}")
    elif not lines:
        lines.append(f"Nothing of {model} was on this machine.")
    return "\n".join(lines)


def _others(reply: JsonObject) -> str:
    found = reply.get("kept_for")
    names = [str(each) for each in found] if isinstance(found, list) else []
    return f"{' and '.join(names)} {'needs' if len(names) == 1 else 'need'} it"
