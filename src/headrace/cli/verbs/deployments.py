"""`headrace deployments`: listed, shown, scaled, deleted; their logs and tokens. Making one is deploy's."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from headrace.cli.client import open_client, segment
from headrace.cli.deployment_text import (
    deployment_text,
    deployments_text,
    events_text,
    logs_text,
    scale_text,
    standing_text,
    tokens_text,
)
from headrace.cli.deployment_words import bounds, seconds
from headrace.cli.known_deployments import (
    Following,
    all_deployments,
    every_page,
    find_deployment,
    path_of,
)
from headrace.cli.options import NO_FLAGS, ClientFlags, wants_json
from headrace.cli.replies import part, parts, text
from headrace.cli.session import Session
from headrace.cli.verbs.deploy import FOLLOWING, FollowFlags
from headrace.domain.json_value import JsonObject

Running = Annotated[Session, Parameter(parse=False)]


def list_deployments(*, flags: ClientFlags = NO_FLAGS, session: Running) -> int:
    """List the deployments: what they run, on what, how many, at which price."""
    with open_client(session, flags) as client:
        reply = all_deployments(client)
    found = parts(reply, "dedicated_inferences")
    empty = "There is no deployment. Make one: headrace deploy MODEL --accelerator cpu --scale 0:2"
    line = deployments_text(found) if found else empty
    return session.tell(reply, line, as_json=wants_json(flags.json, session.environment))


def show(name: str, /, *, flags: ClientFlags = NO_FLAGS, session: Running) -> int:
    """Show a deployment: how it stands and why, its replicas, its price.

    Parameters
    ----------
    name:
        The deployment's name or id.
    """
    with open_client(session, flags) as client:
        deployment = find_deployment(client, name)
        path = path_of(deployment)
        standing = client.get(f"{path}/standing", "admin")
        replicas = parts(every_page(client, f"{path}/accelerators", "accelerators"), "accelerators")
    reply: JsonObject = {
        "dedicated_inference": deployment,
        "standing": standing,
        "accelerators": [*replicas],
    }
    line = deployment_text(deployment, standing, replicas)
    return session.tell(reply, line, as_json=wants_json(flags.json, session.environment))


def scale(name: str, to: str, /, *, flags: ClientFlags = NO_FLAGS, session: Running) -> int:
    """Change between how many replicas a deployment scales.

    Parameters
    ----------
    name:
        The deployment's name or id.
    to:
        The fewest and the most replicas, like 0:4, or one number for always so many.
    """
    change: JsonObject = {"model_deployments": [{"accelerators": [bounds(to)]}]}
    with open_client(session, flags) as client:
        deployment = find_deployment(client, name)
        reply = client.send("PATCH", path_of(deployment), "admin", {"spec": change})
    changed = part(reply, "dedicated_inference")
    line = f"{text(changed, 'name')} scales {scale_text(changed)} now."
    return session.tell(reply, line, as_json=wants_json(flags.json, session.environment))


def events(name: str, /, *, flags: ClientFlags = NO_FLAGS, session: Running) -> int:
    """Show what became of a deployment since the server began, and why.

    Parameters
    ----------
    name:
        The deployment's name or id.
    """
    with open_client(session, flags) as client:
        deployment = find_deployment(client, name)
        reply = client.get(f"{path_of(deployment)}/events", "admin")
    shown = events_text(parts(reply, "events")) or f"Nothing has changed of {text(deployment, 'name')}."
    return session.tell(reply, shown, as_json=wants_json(flags.json, session.environment))


def logs(
    name: str,
    /,
    *,
    replica: str | None = None,
    lines: int = 100,
    flags: ClientFlags = NO_FLAGS,
    session: Running,
) -> int:
    """Show the last lines that a deployment's replicas wrote, of those that ended too.

    Parameters
    ----------
    name:
        The deployment's name or id.
    replica:
        Only this replica.
    lines:
        How many of each.
    """
    query: dict[str, str | int] = {"lines": lines}
    if replica is not None:
        query["replica"] = replica
    with open_client(session, flags) as client:
        deployment = find_deployment(client, name)
        reply = client.get(f"{path_of(deployment)}/logs", "admin", query)
    shown = logs_text(parts(reply, "logs")) or f"No replica of {text(deployment, 'name')} has written anything."
    return session.tell(reply, shown, as_json=wants_json(flags.json, session.environment))


def tokens(
    name: str,
    /,
    *,
    create: str | None = None,
    revoke: str | None = None,
    flags: ClientFlags = NO_FLAGS,
    session: Running,
) -> int:
    """List the tokens that reach a deployment and nothing else; make or revoke one.

    Parameters
    ----------
    name:
        The deployment's name or id.
    create:
        Make a token of this name and show it, once.
    revoke:
        Revoke the token of this id.
    """
    reply: JsonObject
    with open_client(session, flags) as client:
        deployment = find_deployment(client, name)
        path = f"{path_of(deployment)}/tokens"
        if create is not None:
            reply = client.send("POST", path, "admin", {"name": create})
            line = f"{text(part(reply, 'token'), 'value')}\nIt is not shown again."
        elif revoke is not None:
            client.remove(f"{path}/{segment(revoke)}", "admin")
            reply = {"id": revoke}
            line = f"The token {revoke} is revoked."
        else:
            reply = every_page(client, path, "tokens")
            line = tokens_text(parts(reply, "tokens"))
    return session.tell(reply, line, as_json=wants_json(flags.json, session.environment))


def delete(
    name: str,
    /,
    *,
    follow: FollowFlags = FOLLOWING,
    flags: ClientFlags = NO_FLAGS,
    session: Running,
) -> int:
    """Delete a deployment; requests that it has end first, which is shown.

    Parameters
    ----------
    name:
        The deployment's name or id.
    """
    timeout_seconds = seconds("--timeout", follow.timeout)
    with open_client(session, flags) as client:
        deployment = find_deployment(client, name)
        standing = client.get(f"{path_of(deployment)}/standing", "admin")
        reply = client.send("DELETE", path_of(deployment), "admin")
        called = text(deployment, "name")
        session.note(f"{called}: deleting, {standing_text(standing)}")
        if follow.wait:
            Following(client, session, deployment, timeout_seconds).until_gone()
    line = f"{called} is deleted." if follow.wait else f"{called} is being deleted."
    return session.tell(reply, line, as_json=wants_json(flags.json, session.environment))
