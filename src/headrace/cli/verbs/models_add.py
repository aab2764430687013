"""`headrace models add`: a GGUF file or a folder of weights of this machine becomes a model of the catalogue."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from headrace.cli.client import open_client
from headrace.cli.options import NO_FLAGS, ClientFlags, home_of, wants_json
from headrace.cli.progress import PullProgress
from headrace.cli.session import Session, columns
from headrace.cli.verb_shapes import Running
from headrace.domain.errors import ConfigInvalid, OperatorError
from headrace.domain.fit import gigabytes
from headrace.domain.json_value import JsonObject
from headrace.services.model_adding import Addition, AddWishes, as_object

YES = frozenset({"y", "yes"})
RELOAD = "/v2/config/reload"


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class AddFlags:
    """How the model is called and run."""

    name: Annotated[str | None, Parameter(help="The name that callers write (made of the file's).")] = None
    context: Annotated[int | None, Parameter(help="Tokens of each request (4096; of a folder, the model's).")] = None
    slots: Annotated[int | None, Parameter(help="Requests that are answered at once (4; of a folder 8).")] = None
    yes: Annotated[bool, Parameter(help="Add it without asking.", negative="")] = False


PLAIN = AddFlags()


def add(
    path: Path,
    /,
    *,
    wishes: AddFlags = PLAIN,
    flags: ClientFlags = NO_FLAGS,
    session: Running,
) -> int:
    """Add a model from a .gguf file or a folder of safetensors. The weights stay where they are.

    Parameters
    ----------
    path:
        The file or the folder.
    """
    as_json = wants_json(flags.json, session.environment)
    home = home_of(flags.home, session.environment)
    found = session.local.model_look(home, path, AddWishes(wishes.name, wishes.context, wishes.slots))
    if not as_json:
        session.say(_shown(found))
    _confirm(session, found, sure=wishes.yes, as_json=as_json)
    with PullProgress(session.stderr, "hashing") as progress:
        file = session.local.model_add(home, found, progress)
    serving = _reload(session, flags)
    reply: JsonObject = as_object(found) | {"file": str(file), "serving": serving}
    return session.tell(reply, _added(found, file, is_served=serving), as_json=as_json)


def _confirm(session: Session, found: Addition, *, sure: bool, as_json: bool) -> None:
    if sure:
        return
    if as_json or not session.stdin.isatty():
        raise ConfigInvalid(f'nothing was added: say that "{found.model_id}" is right with --yes.', code="usage")
    if (session.read_line("Add it? [y/N] ") or "").strip().lower() not in YES:
        raise ConfigInvalid("nothing was added.", code="usage")


def _reload(session: Session, flags: ClientFlags) -> bool:
    """Tell a running server; one that is not there reads the files when it starts."""
    try:
        with open_client(session, flags) as client:
            client.send("POST", RELOAD, "admin")
    except OperatorError as error:
        session.note(f"No server was told ({error.message}).")
        return False
    return True


def _shown(found: Addition) -> str:
    sizes = found.architecture
    runs = (
        "a deployment on GPUs only"
        if found.is_folder
        else f"this machine's processor, with about {gigabytes(found.memory_bytes)} of its memory"
    )
    rows = [
        ("  path", str(found.found.path)),
        ("  model", f"{sizes.name}, {found.quantisation}, {sizes.parameters:,} parameters"),
        ("  weights", gigabytes(sizes.weight_bytes)),
        ("  context", f"{found.context_length:,} of {sizes.context_length:,} tokens, {found.slots} requests at once"),
        ("  runs on", f"{runs}, by {found.engine}"),
    ]
    return "\n".join([found.model_id, columns(rows), *(f"  note: {each}" for each in found.notes)])


def _added(found: Addition, file: Path, *, is_served: bool) -> str:
    how = f"headrace fit {found.model_id}" if found.is_folder else f"headrace chat {found.model_id}"
    when = "" if is_served else "when a server runs: "
    lines = [f"Added {found.model_id} to {file}.", f"  {when}{how}"]
    if not found.is_folder:
        lines.append("  Its price is 0: set another under its [[models.prices]].")
    return "\n".join(lines)
