"""How llama.cpp is launched."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from headrace.domain.deployment import OwnerLoss
from headrace.domain.errors import EngineFailed
from headrace.drivers.compute.replica_file import plan_mark
from headrace.drivers.engines.llamacpp import LlamaCpp
from headrace.drivers.engines.llamacpp_server import check_gpus, cores_of_each
from tests.fakes.deployed import a_spec

SPEC = a_spec(
    id="small",
    model_id="smollm2-135m",
    engine="llamacpp",
    weights=(Path("/models/a"), Path("/models/b")),
    memory_bytes=1_000,
    context_length=2_048,
    slots=3,
)


class Devices:
    """The part of the bindings that says what they compute on."""

    def __init__(self, *types: str) -> None:
        self.types = types

    def get_device_info(self) -> Sequence[Mapping[str, object]]:
        return [{"type": each} for each in self.types]


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


def test_replicas_divide_the_cores_and_none_is_restarted_for_another_number_of_them() -> None:
    alone, of_three = (LlamaCpp().launch(replace(SPEC, max_replicas=number), "small-0") for number in (1, 3))
    assert alone == of_three
    assert (alone.sharers, of_three.sharers) == (1, 3)
    assert (option(alone.argv, "--threads"), option(alone.argv, "--sharers")) == ("0", "{sharers}")
    assert plan_mark(alone) == plan_mark(of_three)
    assert [cores_of_each(8, sharers) for sharers in (1, 2, 3, 16)] == [8, 4, 2, 1]


def test_on_accelerators_it_sees_its_own_and_puts_every_layer_there() -> None:
    plan = LlamaCpp().launch(replace(SPEC, gpus=2), "small-0")
    assert "--on-gpus" in plan.argv
    assert dict(plan.environment) == {
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "CUDA_VISIBLE_DEVICES": "{devices}",
        "HIP_VISIBLE_DEVICES": "{devices}",
    }
    assert plan.gpus == 2
    assert "--on-gpus" not in LlamaCpp().launch(SPEC, "small-0").argv


def test_without_weights_there_is_nothing_to_launch() -> None:
    with pytest.raises(EngineFailed, match='"smollm2-135m" has no weights on this machine'):
        LlamaCpp().launch(replace(SPEC, weights=()), "small-0")


def test_a_build_without_gpus_says_so_instead_of_running_on_the_processor() -> None:
    check_gpus(Devices("GGML_BACKEND_DEVICE_TYPE_CPU", "GGML_BACKEND_DEVICE_TYPE_GPU"))
    with pytest.raises(SystemExit, match="This build of xllamacpp sees no GPU"):
        check_gpus(Devices("GGML_BACKEND_DEVICE_TYPE_CPU"))
