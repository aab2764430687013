"""Shapes of a deployment's costs in the published description; writing them is deployment_costs_json's.

Types here only describe: no reply is written and no request is read by them.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from headrace.wire.openapi_amounts import Nano, Usd
from headrace.wire.openapi_control import Time
from headrace.wire.openapi_replay import Since

PerMillion = Annotated[str, Meta(description="Dollars per million tokens, read and written, as a decimal text.")]


class DeploymentTwin(Struct, kw_only=True):
    """The same tokens at a model that is paid by the token: the deployment's overflow, else the model that it runs.

    `saved` is what it would have cost more, below nothing when it would have cost less.
    """

    model: str
    provider: str
    price_version: str
    is_overflow: bool
    cost_usd: Usd
    cost_nano_usd: Nano
    effective_usd_per_mtok: PerMillion | None
    saved_usd: Usd
    saved_nano_usd: Nano


class DeploymentCosts(Struct, kw_only=True):
    """What a deployment's replicas cost: a busy part, the shares of its requests, and the idle rest."""

    deployment: str
    name: str
    since: Time
    until: Time
    replicas: Annotated[int, Meta(description="How many replicas were paid for at some time of it.")]
    replica_seconds: float
    busy_seconds: float
    idle_seconds: float
    busy_share: float | None
    cost_usd: Usd
    cost_nano_usd: Nano
    busy_usd: Usd
    busy_nano_usd: Nano
    idle_usd: Usd
    idle_nano_usd: Nano
    requests: int
    input_tokens: int
    output_tokens: int
    effective_usd_per_mtok: PerMillion | None
    twin: DeploymentTwin | None


class DeploymentCostsReply(Struct, kw_only=True):
    """A deployment's costs."""

    costs: DeploymentCosts


class DeploymentCostsQuery(Struct, kw_only=True):
    """Of which time; without it the last 7 days."""

    since: Since | None = None
    until: Since | None = None
