"""Any OpenAI-compatible server as an engine, by what its file says; no request of a caller passes here."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import suppress

import aiohttp

from headrace.domain.deployment import DeploymentSpec, LaunchPlan
from headrace.domain.engine_command import EngineCommand, ProbeKind
from headrace.domain.errors import DriverUnusable, EngineFailed
from headrace.domain.plan import Endpoint
from headrace.drivers.engines.probing import figures_of, session
from headrace.wire.json_strict import is_object

VERSION_SECONDS = 120.0
LONGEST_VALUE = 4096
# Without the part after +, which says how it was built.
_VERSION = re.compile(r"\d+(?:\.\d+)+[0-9A-Za-z.]*")
# A value that began like an option would be one; one with braces could name a blank of the start.
_PLAIN = re.compile(r"[^-{}\x00-\x1f\x7f][^{}\x00-\x1f\x7f]*")
_QUESTIONS: Mapping[ProbeKind, tuple[str, Mapping[str, object]]] = {
    ProbeKind.COMPLETIONS: ("/completions", {"prompt": "1", "max_tokens": 1}),
    ProbeKind.CHAT: ("/chat/completions", {"messages": [{"role": "user", "content": "1"}], "max_tokens": 1}),
    ProbeKind.EMBEDDINGS: ("/embeddings", {"input": "1"}),
}


class CommandEngine:
    """An engine that is a command; `environment` is what may be passed on of the gateway's own, PATH in it."""

    def __init__(self, command: EngineCommand, environment: Mapping[str, str]) -> None:
        self.name = command.name
        self._command = command
        self._environment = environment
        self._found_version: str | None = None

    def launch(self, spec: DeploymentSpec, replica: str) -> LaunchPlan:
        """Return how to start one replica; pure. Raises EngineFailed for a value that could be more than a value."""
        command = self._command
        values = {
            "{model}": str(spec.weights[0]) if spec.weights else spec.source,
            "{model_id}": spec.model_id,
            "{name}": spec.name or spec.id,
            "{context_length}": str(spec.context_length),
            "{slots}": str(spec.slots),
            "{gpus}": str(spec.gpus),
        }
        arguments = (*command.arguments, *(command.gpu_arguments if spec.gpus else ()))
        passed = ((name, self._environment[name]) for name in command.pass_environment if name in self._environment)
        return LaunchPlan(
            deployment=spec.id,
            replica=replica,
            argv=(command.executable, *(self._filled(each, values) for each in arguments)),
            environment=(*passed, *((name, self._filled(value, values)) for name, value in command.environment)),
            memory_bytes=spec.memory_bytes,
            on_owner_loss=spec.on_owner_loss,
            gpus=spec.gpus,
            base_path=command.base_path,
            private_text=self._filled(command.private_text, values),
        )

    async def check(self) -> None:
        """Raise DriverUnusable when the program is not there, or is of another version than its file says."""
        command = self._command
        program = shutil.which(command.executable, path=self._environment.get("PATH", ""))
        if program is None:
            raise DriverUnusable(
                f'The engine "{self.name}" needs the program "{command.executable}", which is not in PATH.'
                f" Install it: {command.install}"
            )
        if not command.version_arguments or self._found_version == command.version:
            return
        self._found_version = await self._version(program)
        if self._found_version not in (command.version, None):
            raise DriverUnusable(
                f"{program} is version {self._found_version}; {command.file} is written for {command.version}."
                f" Install that ({command.install}), or put a file for the other into"
                f" HOME/catalog/engines/{self.name}.toml and restart."
            )

    async def ready(self, endpoint: Endpoint) -> bool:
        """Whether the engine makes a real token, or vector, now."""
        path, question = _QUESTIONS[self._command.probe]
        try:
            async with session(endpoint) as asking:
                async with asking.get(f"{endpoint.base_url}/models") as reply:
                    model = _first_model(await reply.json(content_type=None)) if reply.status == 200 else None
                if model is None:
                    return False
                async with asking.post(f"{endpoint.base_url}{path}", json={"model": model, **question}) as reply:
                    answer: object = await reply.json(content_type=None)
                    return reply.status == 200 and is_object(answer) and bool(answer.get("choices", answer.get("data")))
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return False

    async def load(self, endpoint: Endpoint) -> Mapping[str, float]:
        """Return running and waiting requests, cache use and token counts, as far as its file names them."""
        command = self._command
        if not command.metrics_path:
            return {}
        url = endpoint.base_url.removesuffix(command.base_path) + command.metrics_path
        try:
            async with session(endpoint) as asking, asking.get(url) as reply:
                return figures_of(await reply.text(), command.figures) if reply.status == 200 else {}
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return {}

    def _filled(self, text: str, values: Mapping[str, str]) -> str:
        for blank, value in values.items():
            if blank not in text:
                continue
            if _PLAIN.fullmatch(value) is None or len(value) > LONGEST_VALUE:
                raise EngineFailed(
                    f'The engine "{self.name}" cannot be given {value[:80]!r} for {blank}: it is empty, begins with -,'
                    " or holds braces or control characters."
                )
            text = text.replace(blank, value)
        return text

    async def _version(self, program: str) -> str | None:
        """Return the version that the program reports, None when it reports none."""
        path = self._environment.get("PATH", "")
        try:
            process = await asyncio.create_subprocess_exec(
                program,
                *self._command.version_arguments,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={name: self._environment[name] for name in ("HOME", "LD_LIBRARY_PATH") if name in self._environment}
                | {"PATH": path},
            )
        except OSError as failure:
            raise DriverUnusable(
                f"{program} cannot be run: {failure}. Install it: {self._command.install}"
            ) from failure
        try:
            async with asyncio.timeout(VERSION_SECONDS):
                output, _ = await process.communicate()
        except TimeoutError:
            return None
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        found = _VERSION.search(output.decode("utf-8", "replace"))
        return found[0] if found is not None else None


def _first_model(listed: object) -> str | None:
    if not is_object(listed):
        return None
    models = listed.get("data")
    first = models[0] if isinstance(models, list) and models else None
    name = first.get("id") if is_object(first) else None
    return name if isinstance(name, str) else None
