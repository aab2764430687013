"""What a driver is told to run, and what stands in the way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from headrace.domain.catalog import AVAILABLE, Listed, LocalRunning, Model
from headrace.domain.deployment import DeploymentSpec, OwnerLoss
from headrace.domain.snapshot import Snapshot
from headrace.services.deployment_specs import LEAST_OVERHEAD_BYTES, DeploymentSpecs, SpecProblem, memory_of_replica
from tests.fakes.nouns import a_model
from tests.fakes.reconciled import FILE, TINY, MemoryWeights, a_deployment, a_wanted

MIB = 1024**2


def snapshot(*models: Model) -> Snapshot:
    return Snapshot(1, models={"tiny": tuple(Listed(each, None, AVAILABLE) for each in models)}, providers={}, keys={})


def made(specs: DeploymentSpecs, engine: str = "llamacpp", gpus: int = 0) -> DeploymentSpec:
    wanted = replace(a_wanted(1, 3), engine=engine, gpus=gpus, accelerator="h100" if gpus else "cpu")
    spec = specs.make(a_deployment(wanted))
    assert isinstance(spec, DeploymentSpec)
    return spec


def test_an_embedded_model_runs_from_its_weights_and_outlives_the_gateway() -> None:
    spec = made(DeploymentSpecs(lambda: snapshot(a_model("tiny"), TINY), MemoryWeights()))
    assert spec.weights == (Path("/weights") / FILE.sha256,)
    assert (spec.id, spec.name, spec.model_id, spec.engine, spec.driver) == ("dep", "prod", "tiny", "llamacpp", "local")
    assert (spec.min_replicas, spec.max_replicas, spec.idle_seconds) == (1, 3, 60)
    assert spec.on_owner_loss is OwnerLoss.KEEP
    assert spec.is_scaled


def test_what_is_pending_is_what_should_run() -> None:
    deployment = replace(a_deployment(), pending=a_wanted(2, 5, slots=3))
    spec = DeploymentSpecs(lambda: snapshot(TINY), MemoryWeights()).make(deployment)
    assert isinstance(spec, DeploymentSpec)
    assert (spec.max_replicas, spec.slots) == (5, 3)


@pytest.mark.parametrize("engine", ["llamacpp", "vllm"])
def test_missing_weights_matter_only_to_the_engine_that_needs_them(engine: str) -> None:
    specs = DeploymentSpecs(lambda: snapshot(TINY), MemoryWeights(is_here=False))
    if engine == "vllm":
        assert made(specs, "vllm", gpus=1).weights == ()
        return
    problem = specs.make(a_deployment())
    assert problem == SpecProblem('The weights of "tiny" are not on this machine: `headrace models pull tiny`.')


def test_an_engine_that_fetches_weights_gets_the_name_under_which_they_are_published() -> None:
    other = replace(a_model("tiny"), upstream_name="acme/Tiny-1B")
    weights = MemoryWeights()
    assert made(DeploymentSpecs(lambda: snapshot(a_model("tiny")), weights), "vllm").source == "upstream-tiny"
    assert made(DeploymentSpecs(lambda: snapshot(TINY, other), weights), "vllm").source == "acme/Tiny-1B"
    specs = DeploymentSpecs(lambda: snapshot(TINY, other), weights, lambda model_id: f"maker/{model_id}")
    assert made(specs, "vllm").source == "maker/tiny"


def test_a_folder_is_what_its_engine_reads() -> None:
    folder = a_model("tiny", local=LocalRunning("vllm", (), 0, source="/models/tiny"))
    specs = DeploymentSpecs(lambda: snapshot(folder), MemoryWeights(is_here=False), lambda _id: "acme/tiny")
    spec = made(specs, "vllm", gpus=1)
    assert (spec.source, spec.weights) == ("/models/tiny", ())
    assert made(specs, "sglang", gpus=1).source == "acme/tiny"


def test_a_model_that_is_gone_is_told_and_a_deployment_is_no_model_to_run() -> None:
    deployed = replace(a_model("tiny"), deployment=a_deployment())
    for found in (Snapshot(1, models={}, providers={}, keys={}), snapshot(deployed)):
        problem = DeploymentSpecs(lambda found=found: found, MemoryWeights()).make(a_deployment())
        assert isinstance(problem, SpecProblem)
        assert problem.reason.startswith('The catalogue has no model "tiny" any more')


def test_accelerators_have_memory_of_their_own() -> None:
    specs = DeploymentSpecs(lambda: snapshot(TINY), MemoryWeights())
    assert made(specs, gpus=2).memory_bytes == 0
    assert (made(specs, gpus=2).gpus, made(specs, gpus=2).accelerator) == (2, "h100")
    assert made(specs).memory_bytes > 0


@pytest.mark.parametrize(
    ("slots", "context_length", "expected"),
    [(4, 4096, 1100), (2, 4096, 600), (8, 4096, 2100), (4, 8192, 2100), (1, 512, 228)],
)
def test_memory_goes_with_the_tokens_that_the_slots_hold(slots: int, context_length: int, expected: int) -> None:
    local = LocalRunning("llamacpp", (replace(FILE, size_bytes=100 * MIB),), 1100 * MIB, slots=4)
    wanted = replace(a_wanted(slots=slots), context_length=context_length)
    assert memory_of_replica(local, 4096, wanted) == expected * MIB
    assert LEAST_OVERHEAD_BYTES == 128 * MIB
