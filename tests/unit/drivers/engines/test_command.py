"""Engines as commands: the launch plan is pure, and a value of the API stays a value."""

from dataclasses import replace
from pathlib import Path

import pytest

from headrace.domain.engine_command import EngineCommand
from headrace.domain.errors import EngineFailed
from headrace.drivers.catalogs.engines import EngineFiles
from headrace.drivers.engines.command import CommandEngine
from tests.fakes.deployed import a_spec

SPEC = a_spec(
    id="di_1",
    model_id="qwen3-8b",
    engine="vllm",
    memory_bytes=1_000,
    context_length=32_768,
    slots=16,
    max_replicas=2,
    source="Qwen/Qwen3-8B",
    gpus=2,
    name="prod",
)
ENVIRONMENT = {"PATH": "/usr/bin", "HF_TOKEN": "hf_secret", "OTHER": "x"}


def shipped(name: str) -> EngineCommand:
    (found,) = [each for each in EngineFiles(None).read() if each.name == name]
    return found


def options(argv: tuple[str, ...]) -> dict[str, list[str]]:
    """Each option with the values that follow it."""
    found: dict[str, list[str]] = {"": []}
    at = ""
    for part in argv:
        if part.startswith("--"):
            at = part
            found[at] = []
        else:
            found[at].append(part)
    return found


@pytest.mark.parametrize("name", ["vllm", "sglang"])
def test_devices_are_counted_as_their_makers_tool_counts_them(name: str) -> None:
    plan = CommandEngine(shipped(name), ENVIRONMENT).launch(SPEC, "di_1-0")
    assert dict(plan.environment)["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"


def test_vllm_gets_sizes_devices_and_a_secret_that_is_no_argument() -> None:
    plan = CommandEngine(shipped("vllm"), ENVIRONMENT).launch(SPEC, "di_1-0")
    given = options(plan.argv)
    assert given[""] == ["vllm", "serve", "Qwen/Qwen3-8B"]
    assert given["--served-model-name"] == ["qwen3-8b", "prod"]
    assert (given["--max-model-len"], given["--max-num-seqs"]) == (["32768"], ["16"])
    assert (given["--tensor-parallel-size"], given["--port"]) == (["2"], ["{port}"])
    assert given["--host"] == ["127.0.0.1"]
    environment = dict(plan.environment)
    assert (environment["CUDA_VISIBLE_DEVICES"], environment["VLLM_API_KEY"]) == ("{devices}", "{secret}")
    assert environment["HF_TOKEN"] == "hf_secret"
    assert "OTHER" not in environment
    assert "{secret}" not in " ".join(plan.argv)
    assert (plan.gpus, plan.base_path, plan.memory_bytes) == (2, "/v1", 1_000)


def test_sglang_reads_its_secret_of_a_file_of_its_own() -> None:
    plan = CommandEngine(shipped("sglang"), {}).launch(SPEC, "di_1-0")
    given = options(plan.argv)
    assert given[""] == ["sglang", "serve"]
    assert (given["--model-path"], given["--tp-size"]) == (["Qwen/Qwen3-8B"], ["2"])
    assert (given["--context-length"], given["--max-running-requests"]) == (["32768"], ["16"])
    assert given["--config"] == ["{private_file}"]
    assert plan.private_text == 'api-key: "{secret}"\n'
    assert "{secret}" not in " ".join(plan.argv)


def test_weights_come_before_a_source_and_a_cpu_has_no_gpu_arguments() -> None:
    spec = replace(SPEC, weights=(Path("/models/a"),), gpus=0, name="")
    given = options(CommandEngine(shipped("vllm"), {}).launch(spec, "x-0").argv)
    assert given[""] == ["vllm", "serve", "/models/a"]
    assert given["--served-model-name"] == ["qwen3-8b", "di_1"]
    assert "--tensor-parallel-size" not in given


@pytest.mark.parametrize("source", ["", "--trust-remote-code", "a{secret}", "a}b", "a\nb", "a\x7f", "x" * 5_000])
def test_a_value_that_could_be_more_than_a_value_is_refused(source: str) -> None:
    engine = CommandEngine(shipped("vllm"), {})
    with pytest.raises(EngineFailed, match=r'engine "vllm" cannot be given .* for \{model\}'):
        engine.launch(replace(SPEC, source=source), "x-0")
    with pytest.raises(EngineFailed, match=r"for \{name\}"):
        engine.launch(replace(SPEC, name="-rf"), "x-0")
