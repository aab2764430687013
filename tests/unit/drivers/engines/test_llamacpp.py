"""How llama.cpp is launched."""

from dataclasses import replace
from pathlib import Path

from headrace.domain.deployment import DeploymentSpec, OwnerLoss
from headrace.drivers.engines.llamacpp import LlamaCpp

SPEC = DeploymentSpec(
    id="small",
    model_id="smollm2-135m",
    engine="llamacpp",
    driver="local",
    weights=(Path("/models/a"), Path("/models/b")),
    memory_bytes=1_000,
    context_length=2_048,
    slots=3,
    min_replicas=0,
    max_replicas=1,
    idle_seconds=60,
    on_owner_loss=OwnerLoss.KEEP,
)


def option(argv: tuple[str, ...], name: str) -> str:
    return argv[argv.index(name) + 1]


def test_the_plan_carries_sizes_and_blanks_and_no_secret() -> None:
    plan = LlamaCpp(threads=4).launch(SPEC, "small-0")
    assert (plan.deployment, plan.replica, plan.memory_bytes) == ("small", "small-0", 1_000)
    assert plan.on_owner_loss is OwnerLoss.KEEP
    assert plan.environment == ()
    assert option(plan.argv, "--model") == "/models/a"
    assert option(plan.argv, "--alias") == "smollm2-135m"
    assert option(plan.argv, "--port") == "{port}"
    assert option(plan.argv, "--secret-file") == "{secret_file}"
    assert (option(plan.argv, "--slots"), option(plan.argv, "--context")) == ("3", "2048")
    assert option(plan.argv, "--threads") == "4"


def test_the_plan_is_a_pure_function_of_the_deployment() -> None:
    engine = LlamaCpp()
    assert engine.launch(SPEC, "small-0") == LlamaCpp().launch(SPEC, "small-0")
    assert engine.launch(SPEC, "small-0") == engine.launch(replace(SPEC, idle_seconds=1), "small-0")
    assert engine.launch(SPEC, "small-0") != engine.launch(replace(SPEC, slots=4), "small-0")
