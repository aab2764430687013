"""Deployments by the public contract's paths: made, listed, changed, deleted; drafts, sizes, logs; tokens elsewhere.

Source: https://github.com/digitalocean/openapi, folder `dedicated_inferences`, by pydo 0.44.0 (read 2026-11-28): what
changes a deployment is answered with 202 and goes on after the reply.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from headrace.domain.dedicated import Deployment, Standing
from headrace.domain.deployment import Replica, ReplicaState
from headrace.domain.errors import InvalidRequest, NotFound
from headrace.domain.json_value import JsonObject
from headrace.domain.team import DEFAULT_TEAM
from headrace.http.edge import headers_named
from headrace.http.pages import page_links
from headrace.http.routing import (
    CHANGE,
    READ,
    TAGGED,
    Audience,
    Reply,
    Request,
    RouteSpec,
    json_reply,
    require_match,
    resource_reply,
)
from headrace.ports.fleet import Compute
from headrace.services.deployment_events import EventsOf
from headrace.services.deployments import Check, Deployments
from headrace.services.snapshots import Snapshots
from headrace.wire.control_json import list_object
from headrace.wire.dedicated_body import CREATE_FIELDS, PATCH_FIELDS, patched, read_draft, read_model_token
from headrace.wire.dedicated_json import (
    Place,
    accelerator_object,
    configs_object,
    deployment_object,
    draft_object,
    events_object,
    logs_object,
    sizes_object,
    spec_object,
    standing_object,
    token_object,
)
from headrace.wire.openapi import Entry
from headrace.wire.openapi_dedicated import (
    AcceleratorQuery,
    DeploymentBody,
    DeploymentChange,
    DeploymentList,
    DeploymentQuery,
    DeploymentReply,
    DeploymentSizes,
    GpuModelConfigs,
    LogQuery,
    MadeDeployment,
    TriedDeployment,
    UsedAccelerator,
    UsedAcceleratorList,
)
from headrace.wire.openapi_replicas import DeploymentLogs, DeploymentStanding, EventsOfDeployment

PATH = "/v2/dedicated-inferences"
ONE = PATH + "/{id}"
PAGE_LIMIT, MAX_PAGE_LIMIT, MAX_PAGE = 20, 200, 1_000_000
# The public contract's word for the page before, in this family of routes.
PREVIOUS = "prev"
LOG_LINES, MAX_LOG_LINES = 100, 5_000
LIST_ENTRY = Entry("Lists deployments", DeploymentList, asks=DeploymentQuery, sends=TAGGED, reads=READ)
CREATE_ENTRY = Entry(
    "Begins a deployment; its first token is shown in this reply only",
    MadeDeployment,
    DeploymentBody,
    statuses=(202,),
    fails=(409, 422),
)
TRY_ENTRY = Entry("Says what a draft comes to, making nothing", TriedDeployment, DeploymentBody, fails=(409, 422))
SIZES_ENTRY = Entry("Lists machines and their prices", DeploymentSizes)
CONFIG_ENTRY = Entry("Lists which machines hold which model", GpuModelConfigs)
ONE_ENTRY = Entry("Shows one deployment", DeploymentReply, sends=TAGGED, reads=READ)
CHANGE_ENTRY = Entry(
    "Begins a change; what is left out stays",
    DeploymentReply,
    DeploymentChange,
    statuses=(202,),
    fails=(422,),
    reads=CHANGE,
)
REMOVE_ENTRY = Entry("Begins to delete it: its requests end first", DeploymentReply, statuses=(202,), reads=CHANGE)
USED_ENTRY = Entry("Lists its replicas", UsedAcceleratorList, asks=AcceleratorQuery, sends=TAGGED, reads=READ)
ONE_USED_ENTRY = Entry("Shows one replica", UsedAccelerator, sends=TAGGED, reads=READ)
STANDING_ENTRY = Entry("Says how it stands now", DeploymentStanding)
EVENTS_ENTRY = Entry("Lists its last changes, with why", EventsOfDeployment)
LOGS_ENTRY = Entry("Shows the last lines of its replicas' logs", DeploymentLogs, asks=LogQuery)


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list is asked for."""

    number: int
    limit: int

    def reply(self, path: str, plural: str, found: Sequence[JsonObject], chosen: str = "") -> Reply:
        """Return the part, with links to the other ones; `chosen` is the rest of the query string."""
        pages = max(1, -(-len(found) // self.limit))
        meta: JsonObject = {"total": len(found), "page": self.number, "pages": pages}
        body = list_object(plural, found[(self.number - 1) * self.limit : self.number * self.limit], meta)
        body["links"] = {"pages": page_links(path, self.number, pages, self.limit, chosen, PREVIOUS)}
        return resource_reply(body)


def page_of(request: Request) -> Page:
    """Return which page a request asks for; raises InvalidRequest."""
    return Page(request.number("page", 1, MAX_PAGE), request.number("per_page", PAGE_LIMIT, MAX_PAGE_LIMIT))


def place_of(request: Request) -> Place:
    """Return the server as the caller reached it, which is how it reaches a deployment too."""
    hosts = headers_named(request.scope, b"host")
    host = hosts[0].decode("latin-1") if hosts else ""
    return Place(str(request.scope["scheme"]), f"{host}{request.scope.get('root_path', '')}")


def routes(deployments: Deployments, compute: Compute, snapshots: Snapshots, events: EventsOf) -> tuple[RouteSpec, ...]:
    """Return lists, creation, drafts, one deployment, its change and removal, what runs of it and what became of it."""
    return (*_Changes(deployments, snapshots).routes(), *_Views(deployments, compute, events).routes())


class _Changes:
    """What makes, changes and deletes deployments, and shows one."""

    def __init__(self, deployments: Deployments, snapshots: Snapshots) -> None:
        self._deployments = deployments
        self._snapshots = snapshots

    def routes(self) -> tuple[RouteSpec, ...]:
        return (
            RouteSpec("GET", PATH, self.page, Audience.ADMIN, LIST_ENTRY),
            RouteSpec("POST", PATH, self.create, Audience.ADMIN, CREATE_ENTRY),
            RouteSpec("POST", f"{PATH}/draft", self.attempt, Audience.ADMIN, TRY_ENTRY),
            RouteSpec("GET", f"{PATH}/sizes", self.sizes, Audience.ADMIN, SIZES_ENTRY),
            RouteSpec("GET", f"{PATH}/gpu-model-config", self.configs, Audience.ADMIN, CONFIG_ENTRY),
            RouteSpec("GET", ONE, self.one, Audience.ADMIN, ONE_ENTRY),
            RouteSpec("PATCH", ONE, self.change, Audience.ADMIN, CHANGE_ENTRY),
            RouteSpec("DELETE", ONE, self.remove, Audience.ADMIN, REMOVE_ENTRY),
        )

    async def page(self, request: Request) -> Reply:
        region, name = request.text("region"), request.text("name")
        show = await self._shower(request)
        found = [
            show(each)
            for each in self._deployments.all()
            if region in (None, "", each.wanted.region) and name in (None, "", each.name)
        ]
        chosen = "".join(f"&{key}={quote(value)}" for key, value in (("region", region), ("name", name)) if value)
        return page_of(request).reply(PATH, "dedicated_inferences", found, chosen)

    async def create(self, request: Request) -> Reply:
        fields = await request.fields(CREATE_FIELDS)
        draft, token = read_draft(fields), read_model_token(fields)
        deployment, minted = await self._deployments.create(draft, _team(fields), token)
        shown = (await self._shower(request))(deployment)
        first = token_object(minted.key, deployment, minted.text)
        return json_reply({"dedicated_inference": shown, "token": first}, 202)

    async def attempt(self, request: Request) -> Reply:
        fields = await request.fields(CREATE_FIELDS)
        draft = read_draft(fields)
        read_model_token(fields)
        judged = await self._deployments.attempt(draft, _team(fields))
        slugs = await self._deployments.trial.slugs(self._snapshots.current())
        return json_reply(draft_object(judged.wanted, judged.fit, (judged.nano_per_hour, judged.price_source), slugs))

    async def sizes(self, request: Request) -> Reply:
        return json_reply(sizes_object(await self._deployments.trial.machines()))

    async def configs(self, request: Request) -> Reply:
        return json_reply(configs_object(await self._deployments.trial.configs(self._snapshots.current())))

    async def one(self, request: Request) -> Reply:
        deployment = self._deployments.find(request.part("id"))
        return resource_reply(_wrapped((await self._shower(request))(deployment)))

    async def change(self, request: Request) -> Reply:
        fields = await request.fields(PATCH_FIELDS)
        token = read_model_token(fields)
        changed = await self._deployments.change(
            request.part("id"),
            lambda present: read_draft(patched(spec_object(present, present.goal, {}), fields)),
            await self._unchanged(request),
            token,
        )
        return json_reply(_wrapped((await self._shower(request))(changed)), 202)

    async def remove(self, request: Request) -> Reply:
        removed = await self._deployments.remove(request.part("id"), await self._unchanged(request))
        return json_reply(_wrapped((await self._shower(request))(removed)), 202)

    async def _unchanged(self, request: Request) -> Check:
        show = await self._shower(request)
        return lambda present: require_match(request, _wrapped(show(present)))

    async def _shower(self, request: Request) -> Callable[[Deployment], JsonObject]:
        slugs, place = await self._deployments.trial.slugs(self._snapshots.current()), place_of(request)
        return lambda deployment: deployment_object(deployment, slugs, place)


class _Views:
    """What runs of a deployment."""

    def __init__(self, deployments: Deployments, compute: Compute, events: EventsOf) -> None:
        self._deployments = deployments
        self._compute = compute
        self._events = events

    def routes(self) -> tuple[RouteSpec, ...]:
        return (
            RouteSpec("GET", f"{ONE}/accelerators", self.accelerators, Audience.ADMIN, USED_ENTRY),
            RouteSpec("GET", f"{ONE}/accelerators/{{accelerator}}", self.accelerator, Audience.ADMIN, ONE_USED_ENTRY),
            RouteSpec("GET", f"{ONE}/standing", self.standing, Audience.ADMIN, STANDING_ENTRY),
            RouteSpec("GET", f"{ONE}/events", self.events, Audience.ADMIN, EVENTS_ENTRY),
            RouteSpec("GET", f"{ONE}/logs", self.logs, Audience.ADMIN, LOGS_ENTRY),
        )

    async def accelerators(self, request: Request) -> Reply:
        deployment, slug = self._deployments.find(request.part("id")), request.text("slug")
        found = [each for each in self._used(deployment) if slug in (None, "", each["slug"])]
        chosen = f"&slug={quote(slug)}" if slug else ""
        return page_of(request).reply(f"{PATH}/{deployment.id}/accelerators", "accelerators", found, chosen)

    async def accelerator(self, request: Request) -> Reply:
        deployment = self._deployments.find(request.part("id"))
        return resource_reply(self._one_used(deployment, request.part("accelerator")))

    async def standing(self, request: Request) -> Reply:
        deployment = self._deployments.find(request.part("id"))
        standing = self._compute.standing(deployment.id) or Standing()
        return json_reply(standing_object(standing, await self._compute.figures(deployment.id)))

    async def events(self, request: Request) -> Reply:
        return json_reply(events_object(self._events(self._deployments.find(request.part("id")).id)))

    async def logs(self, request: Request) -> Reply:
        deployment = self._deployments.find(request.part("id"))
        lines, replica = request.number("lines", LOG_LINES, MAX_LOG_LINES), request.text("replica")
        found = await self._compute.logs(deployment.id, replica, lines)
        if replica is not None and replica not in found:
            self._one_used(deployment, replica)
        return json_reply(logs_object(found))

    def _one_used(self, deployment: Deployment, name: str) -> JsonObject:
        for each in self._used(deployment):
            if each["id"] == name:
                return each
        raise NotFound(
            f'"{deployment.name}" has no replica "{name[:80]}" now; `headrace deployments show {deployment.name}` lists'
            " them.",
            code="accelerator_not_found",
        )

    def _used(self, deployment: Deployment) -> list[JsonObject]:
        replicas = [each for each in self._compute.observe() if each.deployment == deployment.id]
        return [accelerator_object(each, deployment.wanted) for each in replicas if not _is_over(each)]


def _is_over(replica: Replica) -> bool:
    """Whether it ended as it should; one that failed is told of."""
    return replica.ended_at_micros is not None and replica.state is ReplicaState.STOPPING


def _wrapped(shown: JsonObject) -> JsonObject:
    return {"dedicated_inference": shown}


def _team(fields: JsonObject) -> str:
    team = fields.get("team")
    if team is None:
        return DEFAULT_TEAM
    if isinstance(team, str):
        return team
    raise InvalidRequest('"team" must be the name of a team, which pays.', param="team")
