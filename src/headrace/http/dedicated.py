"""The own endpoint of a deployment: `/dedicated/{deployment}/v1/…`, where every request is for that deployment.

Its routes are those of the data plane with the model decided; the shared endpoint serves deployments too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TypeAlias

from headrace.domain.access import Caller
from headrace.domain.call import Operation
from headrace.domain.dedicated import Deployment, DeploymentStatus
from headrace.domain.errors import Forbidden, NotFound
from headrace.domain.json_value import JsonObject
from headrace.domain.snapshot import Snapshot
from headrace.http.edge import DEDICATED, Scope, data_path, speaks_messages
from headrace.http.gateway import AsgiApp
from headrace.http.hot_routes import HOT_ROUTES
from headrace.http.inference import InferenceEndpoint, InferenceParts
from headrace.http.messages_models import messages_model_list, one_messages_model
from headrace.http.models import model_object, one_model
from headrace.http.routing import READ, TAGGED, Audience, Reply, Request, RouteSpec, Stream, resource_reply
from headrace.services.snapshots import Snapshots
from headrace.wire.openapi import Entry
from headrace.wire.openapi_catalog import ListedModel, MessagesModel, MessagesModelList, ModelList

Slugs: TypeAlias = Callable[[], Mapping[str, str]]
OPERATIONS = frozenset({Operation.CHAT, Operation.EMBEDDINGS, Operation.COMPLETIONS})
BASE = DEDICATED + "{deployment}"
OWN_ROUTES = tuple(
    replace(each, path=f"{BASE}{each.path}", entry=None) for each in HOT_ROUTES if each.operation in OPERATIONS
)
LIST_ENTRY = Entry(
    "Lists a deployment, which is the only model here",
    (ModelList, MessagesModelList),
    sends=TAGGED,
    reads=("anthropic-version", *READ),
)
ONE_ENTRY = Entry(
    "Shows the deployment as a model", (ListedModel, MessagesModel), sends=TAGGED, reads=("anthropic-version", *READ)
)


class OwnEndpoints:
    """Finds the hot route of a path under `/dedicated/{deployment}`; each serves every deployment.

    `slugs` are the public names of the catalogue's models as they were last looked up.
    """

    def __init__(self, parts: InferenceParts, slugs: Slugs) -> None:
        pinned = Pinned(slugs)
        self._by_rest: Mapping[str, AsgiApp] = {
            each.path.removeprefix(BASE): InferenceEndpoint(parts, each, pinned) for each in OWN_ROUTES
        }

    def find(self, path: str) -> AsgiApp | None:
        """Return who serves a POST to the path, None where that is no hot route."""
        return self._by_rest.get(data_path(path)) if path.startswith(DEDICATED) else None


class Pinned:
    """Decides the model of a request by its path; who may not reach that deployment is refused."""

    def __init__(self, slugs: Slugs) -> None:
        self._slugs = slugs

    def __call__(self, scope: Scope, snapshot: Snapshot, caller: Caller, fields: JsonObject) -> None:
        """Write the deployment's name into the body in place of what may stand for it; raises NotFound, Forbidden."""
        path = str(scope["path"]).removeprefix(DEDICATED)
        deployment = deployment_for(path.partition("/")[0], snapshot, caller)
        asked = fields.get("model")
        if isinstance(asked, str) and asked not in names_of(deployment, snapshot, self._slugs()):
            raise NotFound(
                f'This endpoint is that of the deployment "{deployment.name}" only, not of "{asked[:128]}": name it, or'
                " ask the shared endpoint, /v1.",
                code="model_not_found",
                param="model",
            )
        fields["model"] = deployment.name


def deployment_for(deployment_id: str, snapshot: Snapshot, caller: Caller) -> Deployment:
    """Return the deployment that a caller reaches by its path; raises NotFound, Forbidden for another one's token.

    A caller that may not call it does not learn whether it is there.
    """
    found = snapshot.deployments.get(deployment_id)
    if found is None or not caller.may_call(found.name):
        if caller.deployment not in (None, deployment_id):
            raise Forbidden("This token is that of another deployment.", code="model_forbidden")
        raise NotFound(
            f'No deployment that this key may call has the id "{deployment_id[:80]}".', code="deployment_not_found"
        )
    if found.status is DeploymentStatus.DELETING:
        raise NotFound(f'The deployment "{found.name}" is being deleted.', code="deployment_not_found")
    return found


def dedicated_routes(
    snapshots: Snapshots, slugs: Slugs, counts: Iterable[RouteSpec], responses: Iterable[RouteSpec]
) -> tuple[RouteSpec, ...]:
    """Return what lies below `/dedicated/{deployment}` beside the hot routes, in the shapes of the shared endpoint.

    `counts` are the routes of token counts, which decide the model by the path, `responses` those of kept responses.
    """

    def reaching(spec: RouteSpec) -> RouteSpec:
        async def reached(request: Request) -> Reply | Stream:
            deployment_for(request.part("deployment"), snapshots.current(), request.who)
            return await spec.endpoint(request)

        return replace(spec, path=BASE + spec.path, endpoint=reached)

    return (
        *_model_routes(snapshots, slugs),
        *(reaching(each) for each in (*counts, *responses)),
    )


def _model_routes(snapshots: Snapshots, slugs: Slugs) -> tuple[RouteSpec, ...]:
    async def all_models(request: Request) -> Reply:
        deployment, alone = _reached(snapshots.current(), request)
        if speaks_messages(request.scope):
            return resource_reply(messages_model_list(alone, request.who, 1, None, None))
        entries = alone.models[deployment.name][:1]
        return resource_reply({"object": "list", "data": [model_object(each) for each in entries]})

    async def one(request: Request) -> Reply:
        deployment, alone = _reached(snapshots.current(), request)
        if request.part("model") not in names_of(deployment, snapshots.current(), slugs()):
            raise NotFound(f'Here is only "{deployment.name}".', code="model_not_found", param="model")
        if speaks_messages(request.scope):
            return resource_reply(one_messages_model(alone, request.who, deployment.name))
        return resource_reply(one_model(alone, request.who, deployment.name))

    return (
        RouteSpec("GET", f"{BASE}/v1/models", all_models, Audience.OWN, LIST_ENTRY),
        RouteSpec("GET", f"{BASE}/v1/models/{{model:path}}", one, Audience.OWN, ONE_ENTRY),
    )


def names_of(deployment: Deployment, snapshot: Snapshot, slugs: Mapping[str, str]) -> frozenset[str]:
    """Return what callers who were moved here write: the name, the catalogue's id and the model's names elsewhere."""
    wanted = deployment.wanted
    elsewhere = {each.model.upstream_name for each in snapshot.models.get(wanted.model, ())}
    public = slugs.get(wanted.model, wanted.model)
    return frozenset({deployment.name, wanted.model, public, *elsewhere})


def _reached(snapshot: Snapshot, request: Request) -> tuple[Deployment, Snapshot]:
    """The deployment of a path, and a snapshot that has no other model."""
    deployment = deployment_for(request.part("deployment"), snapshot, request.who)
    models = MappingProxyType({deployment.name: snapshot.models.get(deployment.name, ())})
    return deployment, replace(snapshot, models=models, aliases={}, routers={})
