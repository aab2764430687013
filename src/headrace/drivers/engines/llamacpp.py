"""llama.cpp as an engine: how it is launched, when it is ready, how busy it is; no request passes here."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import aiohttp

from headrace.domain.deployment import DeploymentSpec, LaunchPlan
from headrace.domain.plan import Endpoint

LAUNCHER = Path(__file__).with_name("llamacpp_server.py")
PROBE_SECONDS = 30.0
CONNECT_SECONDS = 2.0
_PROBE: Mapping[str, str | int] = {"prompt": "1", "n_predict": 1, "cache_prompt": False}
_LOAD_FIGURES: Mapping[str, str] = {
    "llamacpp:requests_processing": "running",
    "llamacpp:requests_deferred": "waiting",
    "llamacpp:kv_cache_usage_ratio": "cache_use",
    "llamacpp:tokens_predicted_total": "output_tokens",
    "llamacpp:prompt_tokens_total": "input_tokens",
}


class LlamaCpp:
    """The embedded engine; `threads` of None means one for each physical core.

    `prompt_cache_mib` is how much memory each replica may use, beside its slots, to keep earlier prompts.
    """

    name = "llamacpp"

    def __init__(self, threads: int | None = None, prompt_cache_mib: int = 64) -> None:
        self._threads = threads or 0
        self._prompt_cache_mib = prompt_cache_mib

    def launch(self, spec: DeploymentSpec, replica: str) -> LaunchPlan:
        """Return how to start one replica: our launcher with the first weights file, by path; pure."""
        argv = (
            *(sys.executable, "-P", str(LAUNCHER)),
            *("--model", str(spec.weights[0]), "--alias", spec.model_id),
            *("--port", "{port}", "--secret-file", "{secret_file}"),
            *("--slots", str(spec.slots), "--context", str(spec.context_length)),
            *("--threads", str(self._threads), "--prompt-cache-mib", str(self._prompt_cache_mib)),
        )
        return LaunchPlan(
            deployment=spec.id,
            replica=replica,
            argv=argv,
            environment=(),
            memory_bytes=spec.memory_bytes,
            on_owner_loss=spec.on_owner_loss,
        )

    async def ready(self, endpoint: Endpoint) -> bool:
        """Whether the engine makes a real token now."""
        try:
            async with (
                _session(endpoint) as session,
                session.post(f"{endpoint.base_url}/completion", json=_PROBE) as reply,
            ):
                return reply.status == 200 and bool(await reply.json())
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return False

    async def load(self, endpoint: Endpoint) -> Mapping[str, float]:
        """Return running and waiting requests and token counts; empty when the engine does not answer."""
        try:
            async with _session(endpoint) as session, session.get(f"{endpoint.base_url}/metrics") as reply:
                return _figures(await reply.text()) if reply.status == 200 else {}
        except (aiohttp.ClientError, TimeoutError):
            return {}


def _session(endpoint: Endpoint) -> aiohttp.ClientSession:
    """Return a session for one probe; probes are rare, and none leaves a connection open."""
    headers: dict[str, str] = {}
    if endpoint.auth_header is not None and endpoint.auth_value is not None:
        headers[endpoint.auth_header] = endpoint.auth_value.reveal()
    timeout = aiohttp.ClientTimeout(total=PROBE_SECONDS, connect=CONNECT_SECONDS)
    return aiohttp.ClientSession(headers=headers, timeout=timeout)


def _figures(metrics: str) -> dict[str, float]:
    figures: dict[str, float] = {}
    for line in metrics.splitlines():
        name, _, value = line.partition(" ")
        if name in _LOAD_FIGURES:
            figures[_LOAD_FIGURES[name]] = float(value)
    return figures
