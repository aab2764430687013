"""A deployment as it is asked for, before anything of it is checked; what it may be is the services'."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.domain.dedicated import Overflow, ScaleTarget, WhenAsleep

PREFILL_DECODE = "prefill_decode"
MOST_REPLICAS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentDraft:
    """What somebody wants to run; None, or an empty text, is what was left out.

    `model` is a name of the catalogue or the model's public one. `accelerator` is a slug or a cloud's name of a
    machine, which then says how many of it a replica gets, unless `gpus` does. `model_deployment_id` is the public
    contract's id of the model within a deployment that is there already. Other fields are as in `Wanted`.
    """

    name: str
    model: str
    accelerator: str
    min_scale: int
    max_scale: int
    gpus: int | None = None
    driver: str = ""
    engine: str = ""
    slots: int | None = None
    context_length: int | None = None
    idle_seconds: int | None = None
    target: ScaleTarget | None = None
    overflow: Overflow | None = None
    when_asleep: WhenAsleep | None = None
    wait_seconds: int | None = None
    region: str = ""
    vpc_uuid: str = ""
    enable_public_endpoint: bool = True
    model_deployment_id: str = ""
    model_provider: str = ""
    provider_model_id: str = ""
    workload_config: str = "{}"
