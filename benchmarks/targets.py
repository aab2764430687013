"""Starts what is measured: the bench upstream alone, LiteLLM's proxy before it, Headrace before it."""

import os
import secrets
import shutil
import socket
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from benchmarks.calls import fetch, wait_for_reply
from benchmarks.figures import BenchError
from benchmarks.processes import Cores, Launch, Running, start, stop
from benchmarks.workloads import UNARY, WORKLOADS, Workload

LIFETIME_SECONDS = 3600
READY_SECONDS = 60.0
LITELLM_ENVIRONMENT = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_MODE": "PRODUCTION",
    "LITELLM_LOG": "ERROR",
    "NO_PROXY": "127.0.0.1",
}


@dataclass(frozen=True, slots=True)
class Target:
    """A running server to measure; `models` maps each workload's name to the model to ask for."""

    name: str
    port: int
    authorization: str
    models: Mapping[str, str]
    running: Running

    def body(self, workload: Workload) -> bytes:
        """Return the workload's request body for this target."""
        return workload.body(self.models[workload.name])


@dataclass(frozen=True, slots=True)
class HeadraceFiles:
    """What Headrace writes into its home at the first start."""

    api_key: str
    admin_token: str


class _Credentials(msgspec.Struct, frozen=True):
    api_key: str
    admin_token: str


class _Model(msgspec.Struct, frozen=True):
    id: str


class _Models(msgspec.Struct, frozen=True):
    data: list[_Model]


class _Listening(msgspec.Struct, frozen=True):
    port: int


def free_port() -> int:
    """Return a loopback port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _environment(home: Path) -> dict[str, str]:
    return {"PATH": os.defpath, "HOME": str(home), "LANG": "C.UTF-8"}


@contextmanager
def upstream(program: Path, cores: Cores, directory: Path) -> Generator[Target]:
    """Run the bench upstream; as a target it is the direct path."""
    command = (str(program), "--lifetime-seconds", str(LIFETIME_SECONDS))
    running = start(Launch("upstream", command, cores.load, directory, _environment(directory)))
    try:
        deadline = time.monotonic() + READY_SECONDS
        line = ""
        while not line and time.monotonic() < deadline:
            running.check_alive()
            time.sleep(0.02)
            line = running.launch.log.read_text(encoding="utf-8").partition("\n")[0]
        port = msgspec.json.decode(line, type=_Listening).port
        yield Target("direct", port, "", {w.name: w.upstream_model for w in WORKLOADS}, running)
    finally:
        stop(running)


def litellm_config(upstream_port: int) -> str:
    """Return LiteLLM's configuration; JSON is YAML too. The master key comes from the environment."""
    models = [
        {
            "model_name": w.model,
            "litellm_params": {
                "model": f"openai/{w.upstream_model}",
                "api_base": f"http://127.0.0.1:{upstream_port}/v1",
                "api_key": "none",
            },
        }
        for w in WORKLOADS
    ]
    config = {
        "model_list": models,
        "general_settings": {"master_key": "os.environ/LITELLM_MASTER_KEY"},
        "litellm_settings": {"telemetry": False},
    }
    return msgspec.json.encode(config).decode()


def litellm_flags(port: str = "PORT") -> tuple[str, ...]:
    """Return the flags that LiteLLM's proxy is started with."""
    flags = "--config litellm.yaml --host 127.0.0.1 --num_workers 1 --telemetry False --port"
    return (*flags.split(), port)


def check_keys(target: Target) -> None:
    """Raise if the target serves a request with a wrong key: a gateway without keys is not comparable."""
    status, _ = fetch(target.port, "/v1/chat/completions", "Bearer sk-wrong", target.body(UNARY))
    if status not in {400, 401, 403}:
        raise BenchError(f"{target.name} answered {status} to a request with a wrong key")


@contextmanager
def litellm(python: Path, upstream_port: int, cores: Cores, directory: Path) -> Generator[Target]:
    """Run LiteLLM's proxy: one worker, a master key, no database."""
    (directory / "litellm.yaml").write_text(litellm_config(upstream_port), encoding="utf-8")
    key = f"sk-{secrets.token_hex(16)}"
    port = free_port()
    environment = _environment(directory) | LITELLM_ENVIRONMENT | {"LITELLM_MASTER_KEY": key}
    command = (str(python.parent / "litellm"), *litellm_flags(str(port)))
    running = start(Launch("litellm", command, cores.target, directory, environment))
    target = Target("LiteLLM", port, f"Bearer {key}", {w.name: w.model for w in WORKLOADS}, running)
    try:
        wait_for_reply(port, target.authorization, target.body(UNARY), running.check_alive)
        check_keys(target)
        yield target
    finally:
        stop(running)


def headrace_provider(upstream_port: int) -> str:
    """Return the provider file that makes the bench upstream's models callable."""
    head = f"""[provider]
name = "bench"
display_name = "Bench upstream"
wire_format = "openai"
base_url = "http://127.0.0.1:{upstream_port}/v1"
auth = "none"
docs_url = "https://example.com"
checked_on = 2026-11-24
"""
    models = (
        f"""
[[models]]
id = "{w.model}"
upstream_name = "{w.upstream_model}"
kind = "chat"
capabilities = ["streaming"]
context_length = 100000
max_output_tokens = 4096

[[models.prices]]
effective = 2026-01-01
source = "benchmark"
input = "0.10"
output = "0.20"
"""
        for w in WORKLOADS
    )
    return head + "".join(models)


def read_credentials(home: Path, running: Running) -> HeadraceFiles:
    """Return the keys of Headrace's first start, waiting until they are written."""
    path = home / "credentials.json"
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        running.check_alive()
        try:
            found = msgspec.json.decode(path.read_bytes(), type=_Credentials)
        except (OSError, msgspec.DecodeError):
            time.sleep(0.05)
            continue
        return HeadraceFiles(found.api_key, found.admin_token)
    raise BenchError(f"Headrace wrote no credentials.json within {READY_SECONDS:.0f} s:\n{running.log_tail()}")


def _listed_models(port: int, authorization: str, running: Running) -> list[str]:
    deadline = time.monotonic() + READY_SECONDS
    problem = "nothing answered"
    while time.monotonic() < deadline:
        running.check_alive()
        try:
            status, body = fetch(port, "/v1/models", authorization)
            if status == 200:
                return [model.id for model in msgspec.json.decode(body, type=_Models).data]
            problem = f"status {status}: {body[:400].decode(errors='replace')}"
        except OSError as error:
            problem = str(error)
        time.sleep(0.1)
    raise BenchError(f"Headrace does not list its models: {problem}\n{running.log_tail()}")


def name_models(listed: list[str]) -> dict[str, str]:
    """Return each workload's model as the catalogue lists it, with or without the provider's name."""
    names: dict[str, str] = {}
    for workload in WORKLOADS:
        matches = [name for name in listed if name.rpartition("/")[2] == workload.model]
        if not matches:
            raise BenchError(f"Headrace does not offer {workload.model}; it lists: {', '.join(listed) or 'none'}")
        names[workload.name] = matches[0]
    return names


@contextmanager
def headrace(
    upstream_port: int, cores: Cores, directory: Path, script: Path | None = None
) -> Generator[tuple[Target, HeadraceFiles]]:
    """Run Headrace on a fresh home with its ledger as shipped, and the bench upstream as its provider.

    With a script, that is run in the place of the command.
    """
    program = Path(sys.executable).parent / "headrace"
    if not program.exists():
        raise BenchError(f"{program.name} is not installed beside this Python: start with `make bench`")
    name = "headrace" if script is None else script.stem
    home = directory / f"{name}-home"
    shutil.rmtree(home, ignore_errors=True)
    (home / "catalog").mkdir(parents=True, mode=0o700)
    home.chmod(0o700)
    (home / "catalog" / "bench.toml").write_text(headrace_provider(upstream_port), encoding="utf-8")
    port = free_port()
    started = (str(program),) if script is None else (sys.executable, "-P", str(script))
    command = (*started, "serve", "--home", str(home), "--host", "127.0.0.1", "--port", str(port))
    running = start(Launch(name, command, cores.target, directory, _environment(directory)))
    try:
        files = read_credentials(home, running)
        authorization = f"Bearer {files.api_key}"
        models = name_models(_listed_models(port, authorization, running))
        target = Target(name.capitalize(), port, authorization, models, running)
        wait_for_reply(port, authorization, target.body(UNARY), running.check_alive)
        check_keys(target)
        yield target, files
    finally:
        stop(running)
