"""llama.cpp as an engine: how it is launched, when it is ready, how busy it is; no request passes here."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import aiohttp

from headrace.domain.deployment import DeploymentSpec, LaunchPlan
from headrace.domain.errors import EngineFailed
from headrace.domain.plan import Endpoint
from headrace.drivers.engines.probing import figures_of, session

LAUNCHER = Path(__file__).with_name("llamacpp_server.py")
_PROBE: Mapping[str, str | int] = {"prompt": "1", "n_predict": 1, "cache_prompt": False}
_FIGURES: Mapping[str, str] = {
    "running": "llamacpp:requests_processing",
    "waiting": "llamacpp:requests_deferred",
    "output_tokens": "llamacpp:tokens_predicted_total",
    "input_tokens": "llamacpp:prompt_tokens_total",
    "cached_tokens": "llamacpp:prompt_tokens_cached_total",
}
# CUDA counts the fastest device first unless it is told to count as nvidia-smi does.
# Source: https://docs.nvidia.com/cuda/cuda-programming-guide/05-appendices/environment-variables.html, read 2026-11-28.
_DEVICES = (
    ("CUDA_DEVICE_ORDER", "PCI_BUS_ID"),
    ("CUDA_VISIBLE_DEVICES", "{devices}"),
    ("HIP_VISIBLE_DEVICES", "{devices}"),
)


class LlamaCpp:
    """The embedded engine; `threads` of None means the physical cores, divided among the replicas that there may be.

    `prompt_cache_mib` is how much memory each replica may use, beside its slots, to keep earlier prompts.
    """

    name = "llamacpp"

    def __init__(self, threads: int | None = None, prompt_cache_mib: int = 64) -> None:
        self._threads = threads or 0
        self._prompt_cache_mib = prompt_cache_mib

    def launch(self, spec: DeploymentSpec, replica: str) -> LaunchPlan:
        """Return how to start one replica: our launcher with the first weights file, by path; pure.

        Raises EngineFailed when there is none.
        """
        if not spec.weights:
            raise EngineFailed(f'"{spec.model_id}" has no weights on this machine that {self.name} could load.')
        argv = (
            *(sys.executable, "-P", str(LAUNCHER)),
            *("--model", str(spec.weights[0]), "--alias", spec.model_id),
            *("--port", "{port}", "--secret-file", "{secret_file}"),
            *("--slots", str(spec.slots), "--context", str(spec.context_length)),
            *("--threads", str(self._threads), "--sharers", "{sharers}"),
            *("--prompt-cache-mib", str(self._prompt_cache_mib)),
            *(("--on-gpus",) if spec.gpus else ()),
        )
        return LaunchPlan(
            deployment=spec.id,
            replica=replica,
            argv=argv,
            environment=_DEVICES if spec.gpus else (),
            memory_bytes=spec.memory_bytes,
            on_owner_loss=spec.on_owner_loss,
            gpus=spec.gpus,
            sharers=max(1, spec.max_replicas),
        )

    async def ready(self, endpoint: Endpoint) -> bool:
        """Whether the engine makes a real token now."""
        try:
            async with (
                session(endpoint) as asking,
                asking.post(f"{endpoint.base_url}/completion", json=_PROBE) as reply,
            ):
                return reply.status == 200 and bool(await reply.json())
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return False

    async def load(self, endpoint: Endpoint) -> Mapping[str, float]:
        """Return running and waiting requests, and counts of tokens; empty when the engine does not answer."""
        try:
            async with session(endpoint) as asking, asking.get(f"{endpoint.base_url}/metrics") as reply:
                return figures_of(await reply.text(), _FIGURES) if reply.status == 200 else {}
        except (aiohttp.ClientError, TimeoutError):
            return {}
