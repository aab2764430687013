"""`headrace routers`: tasks with their pools under a name, made by hand or from a file, listed, shown and deleted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter, Token

from headrace.cli.client import ApiClient, given
from headrace.cli.known_routers import PATH, PLURAL, all_routers, find_router, path_of, router_named
from headrace.cli.pages import every_page
from headrace.cli.replies import part, parts, text
from headrace.cli.router_file import RouterFile, file_text, read_router_file
from headrace.cli.router_text import router_text, routers_text, tasks_text
from headrace.cli.verb_shapes import Told, asks_server
from headrace.domain.errors import ConfigInvalid, OperatorError
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.router import PREFIX

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


@asks_server
def list_routers(client: ApiClient) -> Told:
    """List routers with their tasks and pools."""
    reply = every_page(client, PATH, PLURAL)
    routers = parts(reply, PLURAL)
    empty = "There is no router. Make one: headrace routers create NAME --task SLUG --pool MODEL --fallback MODEL"
    return Told(reply, routers_text(routers) if routers else empty)


@asks_server
def show(client: ApiClient, name: str, /) -> Told:
    """Show a router: its tasks, pools and limits.

    Parameters
    ----------
    name:
        The router's name or uuid.
    """
    router = find_router(client, name)
    reply: JsonObject = {"model_router": router}
    return Told(reply, router_text(router))


@asks_server
def create(client: ApiClient, name: str, /, *, router: RouterFlags = NO_ROUTER_FLAGS) -> Told:
    """Create a router. Callers use router:NAME as the model.

    Parameters
    ----------
    name:
        What to call it: a-z, 0-9 and hyphen.
    """
    if not router.step:
        raise ConfigInvalid(
            f"A router needs a task: headrace routers create {name} --task SLUG --pool MODEL --fallback MODEL."
            " `headrace routers tasks` lists the slugs.",
            code="usage",
        )
    body: JsonObject = {
        "name": name,
        "policies": list[JsonValue](_policies(router.step)),
        "fallback_models": list[JsonValue](_split(router.fallback or ())),
        **given(description=router.description, min_score=router.min_score, max_cost_usd=router.max_cost_usd),
    }
    reply = client.send("POST", PATH, "admin", body)
    return Told(reply, f"{PREFIX}{text(part(reply, 'model_router'), 'name', name)} is live.")


@asks_server
def apply(client: ApiClient, file: Path, /) -> Told:
    """Create or replace a router from a TOML file.

    Parameters
    ----------
    file:
        What `headrace routers export` prints; docs/routers.md has every key.
    """
    wanted = read_router_file(file.expanduser())
    reply, done = _applied(client, wanted)
    return Told(reply, f"{PREFIX}{wanted.name} is {done}.")


@asks_server
def export(client: ApiClient, name: str, /) -> Told:
    """Print a router as a TOML file for `headrace routers apply`.

    Parameters
    ----------
    name:
        The router's name or uuid.
    """
    router = find_router(client, name)
    return Told({"model_router": router}, file_text(router).removesuffix("\n"))


@asks_server
def delete(client: ApiClient, name: str, /) -> Told:
    """Delete a router that no alias points to.

    Parameters
    ----------
    name:
        The router's name or uuid.
    """
    router = find_router(client, name)
    reply = client.send("DELETE", path_of(router), "admin")
    return Told(reply, f"{PREFIX}{text(router, 'name')} is deleted.")


@asks_server
def presets(client: ApiClient) -> Told:
    """List the routers that come with the catalog."""
    reply = every_page(client, f"{PATH}/presets", "presets")
    return Told(reply, routers_text(parts(reply, "presets")))


@asks_server
def tasks(client: ApiClient) -> Told:
    """List the catalog's tasks, for --task and task_slug."""
    reply = every_page(client, f"{PATH}/tasks/presets", "tasks")
    return Told(reply, tasks_text(parts(reply, "tasks")))


def _applied(client: ApiClient, wanted: RouterFile) -> tuple[JsonObject, str]:
    present = router_named(all_routers(client), wanted.name)
    try:
        if present is None:
            return client.send("POST", PATH, "admin", wanted.body), "live"
        return client.send("PUT", path_of(present), "admin", wanted.body), "replaced"
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
