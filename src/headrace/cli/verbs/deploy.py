"""`headrace deploy`: a catalog model on hardware of its own, followed until it is active."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from cyclopts import Parameter

from headrace.cli.client import ApiClient, given, open_client
from headrace.cli.deployment_words import bounds, name_for, overflow, seconds, target
from headrace.cli.known_deployments import PATH, Following
from headrace.cli.options import NO_FLAGS, ClientFlags, wants_json
from headrace.cli.replies import number, part, short_dollars, text
from headrace.cli.session import Session
from headrace.cli.verb_shapes import Running
from headrace.domain.json_value import JsonObject, JsonValue

WhenAsleepWord = Literal["wait", "overflow", "refuse"]


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class DeployFlags:
    """What `headrace deploy` takes beside the model and the hardware; all of it may be left out."""

    name: Annotated[str | None, Parameter(help="What callers write as the model (MODEL-dedicated).")] = None
    gpus: Annotated[
        int | None, Parameter(help="Accelerators of each replica; else what the accelerator's name says.")
    ] = None
    driver: Annotated[str | None, Parameter(help="Which compute driver runs it (local).")] = None
    engine: Annotated[str | None, Parameter(help="Which engine runs it; else the model's own.")] = None
    context: Annotated[int | None, Parameter(help="Tokens of one request, prompt and answer.")] = None
    slots: Annotated[int | None, Parameter(help="Requests that one replica answers at once.")] = None
    target: Annotated[str | None, Parameter(help="What scaling holds: queue:2 or ttft:500ms.")] = None
    idle: Annotated[str | None, Parameter(help="Without a request for so long it sleeps, like 10m; 0: never.")] = None
    overflow: Annotated[
        str | None, Parameter(help="MODEL:LIMIT: who takes what waits behind LIMIT requests for each replica.")
    ] = None
    when_asleep: Annotated[
        WhenAsleepWord | None, Parameter(help="What a request gets while no replica is there (wait).")
    ] = None
    patience: Annotated[str | None, Parameter(help="How long a request waits for a replica, like 2m.")] = None
    region: Annotated[str | None, Parameter(help="The region, for drivers of clouds.")] = None
    team: Annotated[str | None, Parameter(help="The team that pays (default).")] = None
    scale: Annotated[
        str, Parameter(help="The fewest and the most replicas, like 0:4, where 0 lets it sleep; 2 is always two.")
    ] = "1"
    dry_run: Annotated[
        bool,
        Parameter(help="Say whether it fits and what it costs, and make nothing.", negative="", show_default=False),
    ] = False


AS_USUAL = DeployFlags()


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class FollowFlags:
    """Whether and how long a verb waits for what it began."""

    wait: Annotated[bool, Parameter(help="Wait until it is done.", negative="--no-wait")] = True
    timeout: Annotated[str, Parameter(help="How long to wait at the most.")] = "20m"


FOLLOWING = FollowFlags()


def deploy(
    model: str,
    /,
    *,
    accelerator: str,
    more: DeployFlags = AS_USUAL,
    follow: FollowFlags = FOLLOWING,
    flags: ClientFlags = NO_FLAGS,
    session: Running,
) -> int:
    """Run a model on dedicated hardware. Callers use the deployment's name as the model.

    Parameters
    ----------
    model:
        The model, as `headrace models --all` shows it, or its public name.
    accelerator:
        The hardware of each replica: cpu, h100, gpu-h100x8-640gb, …
    """
    body = _body(model, accelerator, more)
    timeout_seconds = seconds("--timeout", follow.timeout)
    as_json = wants_json(flags.json, session.environment)
    with open_client(session, flags) as client:
        if more.dry_run:
            tried = client.send("POST", f"{PATH}/draft", "admin", body)
            return session.tell(tried, _tried(tried), as_json=as_json)
        reply = client.send("POST", PATH, "admin", body)
        if not as_json:
            session.say(_made(reply))
        if follow.wait:
            reply["dedicated_inference"] = _followed(client, session, reply, timeout_seconds)
    if as_json:
        session.say_json(reply)
    elif follow.wait:
        session.say(f"{text(part(reply, 'dedicated_inference'), 'name')} is active.")
    return 0


def _followed(client: ApiClient, session: Session, reply: JsonObject, timeout_seconds: int) -> JsonObject:
    return Following(client, session, part(reply, "dedicated_inference"), timeout_seconds).until_active()


def _body(model: str, accelerator: str, more: DeployFlags) -> JsonObject:
    group: JsonObject = {"accelerator_slug": accelerator, **bounds(more.scale), **given(gpus=more.gpus)}
    deployed: JsonObject = given(
        model_slug=model,
        driver=more.driver,
        engine=more.engine,
        context_length=more.context,
        slots=more.slots,
        target=None if more.target is None else target(more.target),
        idle_seconds=None if more.idle is None else seconds("--idle", more.idle),
        overflow=None if more.overflow is None else overflow(more.overflow),
        when_asleep=more.when_asleep,
        wait_seconds=None if more.patience is None else seconds("--patience", more.patience),
        accelerators=list[JsonValue]([group]),
    )
    spec: JsonObject = {
        "name": more.name or name_for(model),
        "model_deployments": [deployed],
        **given(region=more.region),
    }
    return {"spec": spec, **given(team=more.team)}


def _made(reply: JsonObject) -> str:
    """Said before the waiting, because the token is shown once."""
    deployment = part(reply, "dedicated_inference")
    name = text(deployment, "name")
    return (
        f'{name} is being deployed. Call it as the model "{name}" with any key that may, or at its own endpoint\n'
        f"  {text(part(deployment, 'endpoints'), 'base_url')}\n"
        "with its token, which is shown only now:\n"
        f"  {text(part(reply, 'token'), 'value')}"
    )


def _tried(tried: JsonObject) -> str:
    least, most = short_dollars(tried, "least_per_hour"), short_dollars(tried, "most_per_hour")
    fit = part(tried, "fit")
    return (
        f"{text(fit, 'sentence')}\n"
        f"{least} to {most} an hour: {short_dollars(part(tried, 'price'), 'per_replica_hour')} for each replica"
        f" ({text(part(tried, 'price'), 'source')}).\n"
        f"Each replica answers {number(fit, 'slots')} requests at once, of {number(fit, 'context_length')} tokens each."
        " Nothing was made."
    )
