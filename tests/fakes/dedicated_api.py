"""A cloud that speaks the public dedicated-inference contract, in memory: an ASGI application with knobs for tests.

Shapes are those of the public OpenAPI description and of the public clients' tests. Each look at a dedicated inference
moves its roll-out one step further, unless it is held.
Source: https://github.com/digitalocean/openapi, specification/resources/dedicated_inferences (read 2026-11-28).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from headrace.testing.clock import FakeClock
from headrace.wire.iso_time import iso_time

Json = dict[str, Any]
TOKEN = "dop_v1_test"
BASE = "https://api.cloud.example"
REQUIRED = ("version", "name", "region", "vpc", "enable_public_endpoint", "model_deployments")


@dataclass
class Accelerator:
    """One replica of a dedicated inference."""

    id: str
    slug: str
    created_at: str
    plan: str
    status: str = "provisioning"


@dataclass
class Inference:
    """A dedicated inference with what is rolled out and what runs."""

    id: str
    name: str
    spec: Json | None
    pending: Json | None
    status: str
    tokens: dict[str, Json] = field(default_factory=dict[str, Json])
    accelerators: list[Accelerator] = field(default_factory=list[Accelerator])
    reason: str | None = None


class DedicatedApi:
    """The cloud. `asked` are the control requests so far; requests to `hold` at an endpoint wait for `release`.

    `shows_slug` stands in the place of the model's name in what is in force.
    """

    def __init__(self, clock: FakeClock | None = None) -> None:
        self.clock = clock or FakeClock()
        self.inferences: dict[str, Inference] = {}
        self.asked: list[tuple[str, str]] = []
        self.bodies: list[Json] = []
        self.is_held = False
        self.has_capacity = True
        self.refusals: list[tuple[int, Json, dict[str, str]]] = []
        self.loses_replies_of: set[str] = set()
        self.accelerator_problem = ""
        self.per_page_most = 100
        self.endpoint_scheme = "https://"
        self.shows_slug = ""
        self.release = asyncio.Event()
        self.served = 0
        self._numbers = 0
        root = "/v2/dedicated-inferences"
        self.app = Starlette(
            routes=[
                Route(root, self._guard(self._list), methods=["GET"]),
                Route(root, self._guard(self._create), methods=["POST"]),
                Route(f"{root}/{{id}}", self._guard(self._get), methods=["GET"]),
                Route(f"{root}/{{id}}", self._guard(self._patch), methods=["PATCH"]),
                Route(f"{root}/{{id}}", self._guard(self._delete), methods=["DELETE"]),
                Route(f"{root}/{{id}}/accelerators", self._guard(self._accelerators), methods=["GET"]),
                Route(f"{root}/{{id}}/tokens", self._guard(self._tokens), methods=["GET"]),
                Route(f"{root}/{{id}}/tokens", self._guard(self._new_token), methods=["POST"]),
                Route("/endpoint/{id}/v1/{rest:path}", self._serve, methods=["GET", "POST"]),
            ]
        )

    def refuse(self, status: int, message: str, **headers: str) -> None:
        """Answer the next control request so."""
        self.refusals.append((status, {"id": "refused", "message": message}, headers))

    def garble(self) -> None:
        """Answer the next control request as another server might."""
        self.refusals.append((200, {"dedicated_inferences": "none"}, {}))

    def count(self, method: str) -> int:
        """How many control requests of this method came."""
        return sum(each == method for each, _ in self.asked)

    def only(self) -> Inference:
        """The one dedicated inference."""
        (found,) = self.inferences.values()
        return found

    def _guard(self, endpoint: Callable[[Request], Any]) -> Callable[[Request], Any]:
        async def guarded(request: Request) -> Response:
            self.asked.append((request.method, request.url.path))
            if self.refusals:
                status, body, headers = self.refusals.pop(0)
                return JSONResponse(body, status, headers)
            if request.headers.get("authorization") != f"Bearer {TOKEN}":
                return _refusal(401, "Unable to authenticate you")
            response = cast("Response", await endpoint(request))
            if request.method in self.loses_replies_of:
                self.loses_replies_of.remove(request.method)
                raise httpx2.ReadError("the reply was lost")
            return response

        return guarded

    def _next(self, prefix: str) -> str:
        self._numbers += 1
        return f"{prefix}-{self._numbers:03d}"

    def _found(self, request: Request) -> Inference | None:
        return self.inferences.get(request.path_params["id"])

    async def _list(self, request: Request) -> Response:
        name = request.query_params.get("name", "")
        found = [self._seen(each) for each in self.inferences.values() if name in each.name]
        return self._page(request, "dedicated_inferences", found)

    def _page(self, request: Request, plural: str, items: list[Json]) -> Response:
        size = min(int(request.query_params.get("per_page", "20")), self.per_page_most)
        page = int(request.query_params.get("page", "1"))
        pages: Json = {"next": "https://elsewhere.example/next"} if page * size < len(items) else {}
        shown = items[(page - 1) * size : page * size]
        return JSONResponse({plural: shown, "meta": {"total": len(items)}, "links": {"pages": pages}})

    async def _create(self, request: Request) -> Response:
        body = await request.json()
        self.bodies.append(body)
        problem = self._problem(body["spec"])
        if problem:
            return _refusal(422, problem)
        name = body["spec"]["name"]
        if any(each.name == name for each in self.inferences.values()):
            return _refusal(409, f'The name "{name}" is taken')
        inference = Inference(self._next("di"), name, None, body["spec"], "PROVISIONING")
        self.inferences[inference.id] = inference
        token = self._token(inference, "default")
        return JSONResponse({"dedicated_inference": _shown(inference, None), "token": token}, 202)

    def _problem(self, spec: Json) -> str:
        missing = [each for each in REQUIRED if not spec.get(each)]
        if missing:
            return f"{missing[0]} is required"
        group = spec["model_deployments"][0]["accelerators"][0]
        if group["scale"] < 1:
            return "scale must be at least 1"
        return "" if group["accelerator_slug"].startswith("gpu-") else "unknown accelerator_slug"

    async def _get(self, request: Request) -> Response:
        inference = self._found(request)
        if inference is None:
            return _refusal(404, "The resource you were accessing could not be found")
        shown = self._seen(inference)
        self._roll(inference)
        return JSONResponse({"dedicated_inference": shown})

    async def _patch(self, request: Request) -> Response:
        inference = self._found(request)
        if inference is None:
            return _refusal(404, "The resource you were accessing could not be found")
        body = await request.json()
        self.bodies.append(body)
        problem = self._problem(body["spec"])
        if problem:
            return _refusal(422, problem)
        inference.pending, inference.status = body["spec"], "UPDATING"
        self._bring(inference)
        return JSONResponse({"dedicated_inference": _shown(inference, self._endpoint(inference))}, 202)

    async def _delete(self, request: Request) -> Response:
        inference = self._found(request)
        if inference is None:
            return _refusal(404, "The resource you were accessing could not be found")
        inference.status = "DELETING"
        return Response(status_code=202)

    async def _accelerators(self, request: Request) -> Response:
        inference = self._found(request)
        if inference is None:
            return _refusal(404, "The resource you were accessing could not be found")
        items = [
            {"id": each.id, "name": each.id, "slug": each.slug, "role": "prefill_decode", "status": each.status.upper()}
            | {"created_at": each.created_at}
            for each in inference.accelerators
        ]
        return self._page(request, "accelerators", items)

    async def _tokens(self, request: Request) -> Response:
        inference = self._found(request)
        if inference is None:
            return _refusal(404, "The resource you were accessing could not be found")
        shown = [{**each, "value": ""} for each in inference.tokens.values()]
        return self._page(request, "tokens", shown)

    async def _new_token(self, request: Request) -> Response:
        inference = self._found(request)
        if inference is None:
            return _refusal(404, "The resource you were accessing could not be found")
        return JSONResponse({"token": self._token(inference, (await request.json())["name"])}, 202)

    async def _serve(self, request: Request) -> Response:
        inference = self._found(request)
        tokens = inference.tokens.values() if inference is not None else ()
        values = {f"Bearer {each['value']}" for each in tokens}
        if request.headers.get("authorization") not in values:
            return _refusal(401, "no token of this endpoint")
        if inference is None or not any(each.status == "active" for each in inference.accelerators):
            return _refusal(503, "no replica")
        self.served += 1
        if request.path_params["rest"] == "hold":
            await self.release.wait()
        return JSONResponse({"object": "chat.completion"})

    def _seen(self, inference: Inference) -> Json:
        """As later looks show it: what is in force may stand in words of the cloud's own."""
        shown = _shown(inference, self._endpoint(inference))
        if self.shows_slug and shown["spec"] is not None:
            shown["spec"]["model_deployments"][0]["model_slug"] = self.shows_slug
        return shown

    def _token(self, inference: Inference, name: str) -> Json:
        token: Json = {"id": self._next("tok"), "name": name, "value": self._next("di_secret"), "is_managed": False}
        inference.tokens[token["id"]] = token
        return token

    def _roll(self, inference: Inference) -> None:
        """Take one step of the roll-out."""
        if self.is_held:
            return
        if inference.status == "DELETING":
            del self.inferences[inference.id]
        elif inference.pending is not None:
            self._finish(inference)

    def _finish(self, inference: Inference) -> None:
        if not self.has_capacity:
            inference.status, inference.reason = "error", "no gpu-mi300x1-192gb is free"
            return
        self._bring(inference)
        plan, scale = _plan_of(inference.pending or {})
        current = [each for each in inference.accelerators if each.plan == plan][:scale]
        if all(each.status == "active" for each in current):
            inference.spec, inference.pending, inference.status = inference.pending, None, "ACTIVE"
            inference.accelerators = current
        for each in current:
            each.status = "active"

    def _bring(self, inference: Inference) -> None:
        """Put up the accelerators that the pending specification needs, beside those that run."""
        plan, scale = _plan_of(inference.pending or {})
        while sum(each.plan == plan for each in inference.accelerators) < scale:
            slug = plan.partition("|")[0]
            created = iso_time(self.clock.unix_micros())
            inference.accelerators.append(Accelerator(self._next("acc"), slug, created, plan))

    def _endpoint(self, inference: Inference) -> str | None:
        return f"{self.endpoint_scheme}api.cloud.example/endpoint/{inference.id}" if inference.accelerators else None


def _plan_of(spec: Json) -> tuple[str, int]:
    model = spec["model_deployments"][0]
    group = model["accelerators"][0]
    return f"{group['accelerator_slug']}|{model['model_slug']}|{model['workload_config']}", group["scale"]


def _shown(inference: Inference, endpoint: str | None) -> Json:
    return {
        "id": inference.id,
        "name": inference.name,
        "region": "atl1",
        "status": inference.status,
        "vpc_uuid": None,
        "endpoints": {"public_endpoint_fqdn": endpoint, "private_endpoint_fqdn": None},
        "spec": _spec(inference.spec, "model-001", "acc-x"),
        "pending_deployment_spec": _spec(inference.pending, "", ""),
        "reason": inference.reason,
        "created_at": "2026-11-28T10:00:00Z",
    }


def _spec(spec: Json | None, model_id: str, accelerator_id: str) -> Json | None:
    """As the cloud shows it: with ids where they are assigned, and `invalid` where not."""
    if spec is None:
        return None
    (model,) = spec["model_deployments"]
    state = "active" if accelerator_id else "invalid"
    groups = [{**each, "accelerator_id": accelerator_id, "state": state} for each in model["accelerators"]]
    return {**spec, "model_deployments": [{**model, "model_id": model_id or model["model_id"], "accelerators": groups}]}


def _refusal(status: int, message: str) -> Response:
    return JSONResponse({"id": "refused", "message": message, "request_id": "r-1"}, status)
