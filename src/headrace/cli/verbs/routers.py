"""`headrace routers`: tasks with their pools under a name, made by hand or from a file, listed, shown and deleted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter, Token

from headrace.cli.client import ApiClient, open_client
from headrace.cli.known_routers import PATH, all_pages, find_router, router_named
from headrace.cli.options import NO_FLAGS, ClientFlags, wants_json
from headrace.cli.replies import part, parts, text
from headrace.cli.router_file import RouterFile, file_text, read_router_file
from headrace.cli.router_text import router_text, routers_text, tasks_text
from headrace.cli.session import Session
from headrace.domain.errors import ConfigInvalid, OperatorError
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.router import PREFIX

Running = Annotated[Session, Parameter(parse=False)]
Step = tuple[str, str]


def _in_order(_: Any, tokens: Sequence[Token]) -> tuple[Step, ...]:
    """Flags of a task belong to the task before them, so their order is kept."""
    return tuple((str(each.keyword).lstrip("-"), each.value) for each in tokens)


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class RouterFlags:
    """What `headrace routers create` takes beside a name."""

    step: Annotated[
        tuple[Step, ...],
        Parameter(
            name=("--task", "--pool", "--prefer", "--example"),
            converter=_in_order,
            negative="",
            n_tokens=1,
            help='A task: a slug of the catalog\'s, or "NAME: DESCRIPTION". Behind it its --pool MODEL,MODEL, its'
            " --prefer none, cheapest or fastest, and each --example PROMPT. Then the next task.",
        ),
    ] = ()
    fallback: Annotated[
        tuple[str, ...] | None,
        Parameter(help="A model for what matches no task; may be given again, in the order to try.", negative=""),
    ] = None
    description: Annotated[str | None, Parameter(help="What the router is for.")] = None
    min_score: Annotated[float | None, Parameter(help="A task matches from this score on, 0 to 1 (calibrated).")] = None
    max_cost_usd: Annotated[
        str | None, Parameter(help="Leave out models that would cost more for a request, in US dollars, like 0.01.")
    ] = None


NO_ROUTER_FLAGS = RouterFlags()


def list_routers(*, flags: ClientFlags = NO_FLAGS, session: Running) -> int:
    """List the routers with their tasks and pools."""
    with open_client(session, flags) as client:
        reply = all_pages(client, PATH, "model_routers")
    routers = parts(reply, "model_routers")
    empty = "There is no router. Make one: headrace routers create NAME --task SLUG --pool MODEL --fallback MODEL"
    line = routers_text(routers) if routers else empty
    return session.tell(reply, line, as_json=wants_json(flags.json, session.environment))


def show(name: str, /, *, flags: ClientFlags = NO_FLAGS, session: Running) -> int:
    """Show a router: every task with its pool, and what it is limited to.

    Parameters
    ----------
    name:
        The router's name or uuid.
    """
    with open_client(session, flags) as client:
        router = find_router(client, name)
    reply: JsonObject = {"model_router": router}
    return session.tell(reply, router_text(router), as_json=wants_json(flags.json, session.environment))


def create(
    name: str,
    /,
    *,
    router: RouterFlags = NO_ROUTER_FLAGS,
    flags: ClientFlags = NO_FLAGS,
    session: Running,
) -> int:
    """Make a router; callers write router:NAME as the model.

    Parameters
    ----------
    name:
        What to call it: a-z, 0-9 and hyphen.
    """
    given: dict[str, JsonValue] = {
        "description": router.description,
        "min_score": router.min_score,
        "max_cost_usd": router.max_cost_usd,
    }
    body: JsonObject = {
        "name": name,
        "policies": list[JsonValue](_policies(router.step)),
        "fallback_models": list[JsonValue](_split(router.fallback or ())),
        **{field: value for field, value in given.items() if value is not None},
    }
    with open_client(session, flags) as client:
        reply = client.send("POST", PATH, "admin", body)
    line = f"{PREFIX}{text(part(reply, 'model_router'), 'name', name)} is live."
    return session.tell(reply, line, as_json=wants_json(flags.json, session.environment))


def apply(file: Path, /, *, flags: ClientFlags = NO_FLAGS, session: Running) -> int:
    """Make the router that a TOML file describes, or put it in the place of the one of its name.

    Parameters
    ----------
    file:
        What `headrace routers export` prints; docs/routers.md has every key.
    """
    wanted = read_router_file(file.expanduser())
    with open_client(session, flags) as client:
        reply, done = _applied(client, wanted)
    line = f"{PREFIX}{wanted.name} is {done}."
    return session.tell(reply, line, as_json=wants_json(flags.json, session.environment))


def export(name: str, /, *, flags: ClientFlags = NO_FLAGS, session: Running) -> int:
    """Print a router as a TOML file for `headrace routers apply`.

    Parameters
    ----------
    name:
        The router's name or uuid.
    """
    with open_client(session, flags) as client:
        router = find_router(client, name)
    if wants_json(flags.json, session.environment):
        session.say_json({"model_router": router})
    else:
        session.write(file_text(router))
    return 0


def delete(name: str, /, *, flags: ClientFlags = NO_FLAGS, session: Running) -> int:
    """Delete a router that no alias points at.

    Parameters
    ----------
    name:
        The router's name or uuid.
    """
    with open_client(session, flags) as client:
        router = find_router(client, name)
        reply = client.send("DELETE", _one(router), "admin")
    line = f"{PREFIX}{text(router, 'name')} is deleted."
    return session.tell(reply, line, as_json=wants_json(flags.json, session.environment))


def presets(*, flags: ClientFlags = NO_FLAGS, session: Running) -> int:
    """List the routers of the catalog, which are there without being made."""
    with open_client(session, flags) as client:
        reply = all_pages(client, f"{PATH}/presets", "presets")
    line = routers_text(parts(reply, "presets"))
    return session.tell(reply, line, as_json=wants_json(flags.json, session.environment))


def tasks(*, flags: ClientFlags = NO_FLAGS, session: Running) -> int:
    """List the tasks of the catalog, which --task and task_slug name."""
    with open_client(session, flags) as client:
        reply = all_pages(client, f"{PATH}/tasks/presets", "tasks")
    return session.tell(reply, tasks_text(parts(reply, "tasks")), as_json=wants_json(flags.json, session.environment))


def _applied(client: ApiClient, wanted: RouterFile) -> tuple[JsonObject, str]:
    present = router_named(parts(all_pages(client, PATH, "model_routers"), "model_routers"), wanted.name)
    try:
        if present is None:
            return client.send("POST", PATH, "admin", wanted.body), "live"
        return client.send("PUT", _one(present), "admin", wanted.body), "replaced"
    except OperatorError as error:
        raise wanted.told(error) from error


def _policies(steps: Iterable[Step]) -> list[JsonObject]:
    found: list[JsonObject] = []
    for flag, value in steps:
        if flag == "task":
            found.append(_of_task(value))
        elif not found:
            raise ConfigInvalid(f"--{flag} {value}: there is no --task before it. Give the task first.", code="usage")
        else:
            _add(found[-1], flag, value)
    return found


def _of_task(value: str) -> JsonObject:
    name, colon, description = value.partition(":")
    if not colon:
        return {"task_slug": value.strip(), "models": []}
    return {"custom_task": {"name": name.strip(), "description": description.strip()}, "models": []}


def _add(policy: JsonObject, flag: str, value: str) -> None:
    """The server says what is wrong with a value; here it only finds its place."""
    match flag:
        case "pool":
            policy["models"] = [*_list(policy, "models"), *_split((value,))]
        case "prefer":
            policy["selection_policy"] = {"prefer": value}
        case _:
            owner = part(policy, "custom_task") or policy
            owner["examples"] = [*_list(owner, "examples"), value]


def _list(item: JsonObject, name: str) -> list[JsonValue]:
    value = item.get(name)
    return value if isinstance(value, list) else []


def _split(values: Iterable[str]) -> list[str]:
    return [name.strip() for value in values for name in value.split(",") if name.strip()]


def _one(router: JsonObject) -> str:
    return f"{PATH}/{text(router, 'uuid')}"
