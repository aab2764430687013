"""Shapes of routing decisions in the published description; writing them is decision_json's.

Types here only describe: no reply is written and no request is read by them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from headrace.domain.call import Dialect
from headrace.domain.router import RoutingPreference
from headrace.domain.switching import SwitchVerdict
from headrace.wire.openapi_amounts import Nano, Usd
from headrace.wire.openapi_chat import ModelName
from headrace.wire.openapi_routers import RouterReplacement

Probability = Annotated[float, Meta(ge=0, le=1)]


class RoutingQuestion(Struct, kw_only=True):
    """A request in any of the dialects, and what it is asked of: a router as its model, or a draft."""

    model: ModelName | None = None
    router: RouterReplacement | UnsetType = UNSET
    dialect: Annotated[Dialect, Meta(description="Which it is; left out, its shape tells.")] | UnsetType = UNSET
    messages: list[dict[str, Any]] | None = None
    input: Any = None
    routing_preference: RoutingPreference | None = None


class RouteRunnerUp(Struct, kw_only=True):
    """The second likeliest task."""

    route: str
    score: Probability


class RouteCandidate(Struct, kw_only=True):
    """A target that was considered; without a rank it gets no request, and code and reason say why."""

    name: Annotated[str, Meta(description="How the pool spells it.")]
    model: str
    provider: str | None
    rank: Annotated[int, Meta(ge=1)] | None
    code: str
    reason: str
    expected_cost_nano_usd: Nano | None
    expected_cost_usd: Usd | None
    expected_seconds: float | None
    strength: float | None


class RoutePlacement(Struct, kw_only=True):
    """A model at a provider."""

    model: str
    provider: str


class RouteReference(RoutePlacement, kw_only=True):
    """The dearest that could have served, and what it was expected to cost: savings are measured against it."""

    expected_cost_nano_usd: Nano
    expected_cost_usd: Usd


class RouteSwitch(Struct, kw_only=True):
    """How leaving a session's warm prompt cache was weighed."""

    verdict: SwitchVerdict
    taken: bool
    forced: bool
    anchor: RoutePlacement
    candidate: RoutePlacement
    counterfactual: RoutePlacement | None
    cost_nano_usd: Nano | None
    cost_usd: Usd | None
    context_tokens: int
    warm_tokens: int
    cap_pct: float
    spent_nano_usd: Nano
    spent_usd: Usd
    base_nano_usd: Nano
    base_usd: Usd


class Routing(Struct, kw_only=True):
    """What a router decided and why."""

    router: str | None
    route: Annotated[str, Meta(description="The task that matched.")] | None
    score: Annotated[Probability, Meta(description="That the likeliest task is the right one.")] | None
    basis: Literal["matched", "no_match", "no_text", "tool_loop", "affinity", "switch_vetoed", "managed", "unread"]
    policy: str
    reason: str
    likeliest: str | None
    runner_up: RouteRunnerUp | None
    closest_example: int | None
    difficulty: float | None
    predicted_output_tokens: int | None
    session: str | None
    switch: RouteSwitch | None
    candidates: list[RouteCandidate]
    decided_ms: float
    reference: RouteReference | None


class ReceiptRouting(Routing, kw_only=True):
    """What a router decided for a request, and what serving it so saved: the reference less the cost."""

    saved_nano_usd: Nano | None
    saved_usd: Usd | None


class RoutingDecision(Routing, kw_only=True):
    """Who would serve a request."""

    object: Literal["routing.decision"]
    model: str | None
    provider: str | None
