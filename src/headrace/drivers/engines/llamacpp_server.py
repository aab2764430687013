"""The launcher of one llama.cpp server, run as a script in a process of its own; it supervises nothing.

Source: llama.cpp, tools/server/README.md (read 2026-11-24); the bindings set the same parameters.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, cast

import psutil

WARNINGS = 2
# Beside one for each slot: requests that wait hold a thread, and whether it lives is still answered.
SPARE_HTTP_THREADS = 64
ALL_LAYERS = 999


class ModelParameters(Protocol):
    """Where the weights are."""

    path: str


class ThreadParameters(Protocol):
    """How much of the CPU is used."""

    n_threads: int


class Parameters(Protocol):
    """What we set of the server's parameters; the bindings have no types of their own."""

    model: ModelParameters
    cpuparams: ThreadParameters
    model_alias: set[str]
    hostnames: list[str]
    port: int
    api_keys: list[str]
    cors_origins: str
    ui: bool
    n_parallel: int
    n_threads_http: int
    n_ctx: int
    n_gpu_layers: int
    kv_unified: bool
    cont_batching: bool
    endpoint_metrics: bool
    endpoint_slots: bool
    use_jinja: bool
    cache_ram_mib: int
    verbosity: int


class DeviceList(Protocol):
    """The part of the bindings' module that knows devices."""

    def get_device_info(self) -> Sequence[Mapping[str, object]]:
        """Return what this build of llama.cpp can compute on."""
        ...


class Bindings(DeviceList, Protocol):
    """The part of the bindings' module that we use."""

    def CommonParams(self) -> Parameters:
        """Return the server's default parameters."""
        ...

    def Server(self, parameters: Parameters) -> object:
        """Start serving in threads of its own; returns when the model is loaded."""
        ...


def arguments() -> argparse.Namespace:
    """Read the command line that the engine driver writes."""
    parser = argparse.ArgumentParser(prog="headrace-llamacpp")
    parser.add_argument("--model", required=True)
    parser.add_argument("--alias", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--secret-file", type=Path, required=True)
    parser.add_argument("--slots", type=int, required=True)
    parser.add_argument("--context", type=int, required=True, help="tokens of each slot")
    parser.add_argument("--threads", type=int, default=0, help="0: the physical cores, divided among the sharers")
    parser.add_argument("--sharers", type=int, default=1, help="how many replicas this machine's cores are for")
    parser.add_argument("--prompt-cache-mib", type=int, default=0)
    parser.add_argument("--on-gpus", action="store_true", help="put every layer on the accelerators that can be seen")
    return parser.parse_args()


def parameters(bindings: Bindings, options: argparse.Namespace) -> Parameters:
    """Return the server's parameters: loopback only, with a secret, without its web interface."""
    params = bindings.CommonParams()
    params.model.path = options.model
    params.model_alias = {options.alias}
    params.hostnames = ["127.0.0.1"]
    params.port = options.port
    params.api_keys = [options.secret_file.read_text()]
    params.cors_origins = ""
    params.ui = False
    params.n_parallel = options.slots
    params.n_threads_http = options.slots + SPARE_HTTP_THREADS
    params.n_ctx = options.context * options.slots
    params.kv_unified = False
    params.cont_batching = True
    params.endpoint_metrics = True
    params.endpoint_slots = True
    params.use_jinja = True
    params.cache_ram_mib = options.prompt_cache_mib
    params.cpuparams.n_threads = options.threads or cores_of_each(psutil.cpu_count(logical=False) or 1, options.sharers)
    params.verbosity = WARNINGS
    if options.on_gpus:
        params.n_gpu_layers = ALL_LAYERS
    return params


def check_gpus(bindings: DeviceList) -> None:
    """End with a sentence when this build would run on the processor instead."""
    if not any("GPU" in str(each["type"]) for each in bindings.get_device_info()):
        sys.exit("This build of xllamacpp sees no GPU: install its wheel for CUDA, ROCm or Vulkan, or deploy on cpu.")


def cores_of_each(cores: int, sharers: int) -> int:
    """Return how many cores one replica uses: more threads than cores in all are many times slower than fewer."""
    return max(1, cores // sharers)


def main() -> None:
    """Serve until the process is ended."""
    bindings = cast("Bindings", importlib.import_module("xllamacpp"))
    options = arguments()
    if options.on_gpus:
        check_gpus(bindings)
    server = bindings.Server(parameters(bindings, options))
    threading.Event().wait()
    # The server stops when its last reference goes.
    del server


if __name__ == "__main__":
    main()
