"""`headrace deployments`: listed, shown, scaled, deleted; their logs and tokens. Making one is deploy's."""

from __future__ import annotations

from headrace.cli.client import ApiClient, given, segment
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
from headrace.cli.known_deployments import PATH, Following, find_deployment, path_of
from headrace.cli.pages import every_page
from headrace.cli.replies import part, parts, text
from headrace.cli.verb_shapes import Running, Told, asks_server
from headrace.cli.verbs.deploy import FOLLOWING, FollowFlags
from headrace.domain.errors import ConfigInvalid
from headrace.domain.json_value import JsonObject


@asks_server
def list_deployments(client: ApiClient) -> Told:
    """List deployments with their model, hardware, replicas and price."""
    reply = every_page(client, PATH, "dedicated_inferences")
    found = parts(reply, "dedicated_inferences")
    empty = "There is no deployment. Make one: headrace deploy MODEL --accelerator cpu --scale 0:2"
    return Told(reply, deployments_text(found) if found else empty)


@asks_server
def show(client: ApiClient, name: str, /) -> Told:
    """Show a deployment: its state and the reason, its replicas and its price.

    Parameters
    ----------
    name:
        The deployment's name or id.
    """
    deployment = find_deployment(client, name)
    path = path_of(deployment)
    standing = client.get(f"{path}/standing", "admin")
    replicas = parts(every_page(client, f"{path}/accelerators", "accelerators"), "accelerators")
    reply: JsonObject = {
        "dedicated_inference": deployment,
        "standing": standing,
        "accelerators": [*replicas],
    }
    return Told(reply, deployment_text(deployment, standing, replicas))


@asks_server
def scale(client: ApiClient, name: str, to: str, /) -> Told:
    """Set the fewest and the most replicas of a deployment.

    Parameters
    ----------
    name:
        The deployment's name or id.
    to:
        The fewest and the most replicas, such as 0:4, or one number for a fixed count.
    """
    change: JsonObject = {"model_deployments": [{"accelerators": [bounds(to)]}]}
    deployment = find_deployment(client, name)
    reply = client.send("PATCH", path_of(deployment), "admin", {"spec": change})
    changed = part(reply, "dedicated_inference")
    return Told(reply, f"{text(changed, 'name')} scales {scale_text(changed)} now.")


@asks_server
def events(client: ApiClient, name: str, /) -> Told:
    """Show a deployment's events since the server started, with reasons.

    Parameters
    ----------
    name:
        The deployment's name or id.
    """
    deployment = find_deployment(client, name)
    reply = client.get(f"{path_of(deployment)}/events", "admin")
    return Told(reply, events_text(parts(reply, "events")) or f"Nothing has changed of {text(deployment, 'name')}.")


@asks_server
def logs(client: ApiClient, name: str, /, *, replica: str | None = None, lines: int = 100) -> Told:
    """Show the last log lines of a deployment's replicas, including those that have ended.

    Parameters
    ----------
    name:
        The deployment's name or id.
    replica:
        Only this replica.
    lines:
        How many lines of each replica.
    """
    query = given(lines=lines, replica=replica)
    deployment = find_deployment(client, name)
    reply = client.get(f"{path_of(deployment)}/logs", "admin", query)
    whose = f"of {text(deployment, 'name')}"
    silent = f"No replica {whose} has written anything."
    if replica is not None:
        silent = f"No replica {whose} with the id {replica} has written anything. Without --replica all are shown."
    return Told(reply, logs_text(parts(reply, "logs")) or silent)


@asks_server
def tokens(client: ApiClient, name: str, /, *, create: str | None = None, revoke: str | None = None) -> Told:
    """List the tokens that can call this deployment and nothing else. Create or revoke one.

    Parameters
    ----------
    name:
        The deployment's name or id.
    create:
        Create a token with this name and show it once.
    revoke:
        Revoke the token of this id.
    """
    if create is not None and revoke is not None:
        raise ConfigInvalid("--create and --revoke exclude each other. Drop one.", code="usage")
    path = f"{path_of(find_deployment(client, name))}/tokens"
    if create is not None:
        reply = client.send("POST", path, "admin", {"name": create})
        return Told(reply, f"{text(part(reply, 'token'), 'value')}\nIt is not shown again.")
    if revoke is not None:
        client.remove(f"{path}/{segment(revoke)}", "admin")
        return Told({"id": revoke}, f"The token {revoke} is revoked.")
    reply = every_page(client, path, "tokens")
    return Told(reply, tokens_text(parts(reply, "tokens")))


@asks_server
def delete(client: ApiClient, name: str, /, *, follow: FollowFlags = FOLLOWING, session: Running) -> Told:
    """Delete a deployment after its requests in flight have finished.

    Parameters
    ----------
    name:
        The deployment's name or id.
    """
    timeout_seconds = seconds("--timeout", follow.timeout)
    deployment = find_deployment(client, name)
    standing = client.get(f"{path_of(deployment)}/standing", "admin")
    reply = client.send("DELETE", path_of(deployment), "admin")
    called = text(deployment, "name")
    session.note(f"{called}: deleting, {standing_text(standing)}")
    if follow.wait:
        Following(client, session, deployment, timeout_seconds).until_gone()
    return Told(reply, f"{called} is deleted." if follow.wait else f"{called} is being deleted.")
