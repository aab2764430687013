"""One client, three modes, and a move between them under load: `python examples/three_modes.py MODEL`.

The address and the credential come from OPENAI_BASE_URL and OPENAI_API_KEY, as the official SDK reads them; the
credential is the admin token, because the script makes what it shows (a deployment of the embedded MODEL on this
machine's processor, a router, an alias, and a key for its own requests) and removes it at the end.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2
from openai import AsyncOpenAI, OpenAIError

OWN, ROUTER, ALIAS = "three-modes-own", "three-modes", "assistant"
STREAMS, ANSWERS_EACH = 50, 20
START_SECONDS, MOVE_SECONDS, POLL_SECONDS = 120.0, 120.0, 0.5
DEPLOYMENTS, ROUTERS = "/v2/dedicated-inferences", "/v2/gen-ai/models/routers"
KEYS, ALIASES = "/v2/gen-ai/models/api_keys", "/v2/aliases"
PROMPT = "Name a river."


@dataclass
class Load:
    """Streams that run until they are told to stop, and how they ended: answers by the mode of then, failures."""

    answered: dict[str, int] = field(default_factory=dict[str, int])
    failed: list[str] = field(default_factory=list[str])
    mode: str = ""
    is_over: bool = False
    heard: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def total(self) -> int:
        """All answers."""
        return sum(self.answered.values())

    async def more(self, answers: int) -> None:
        """Wait for so many further answers, or the first failure."""
        goal = self.total + answers
        while self.total < goal and not self.failed:
            self.heard.clear()
            await self.heard.wait()


class Refused(Exception):
    """The control plane did not do what it was asked, or not in time."""


class Operator:
    """Calls the control plane with the admin token."""

    def __init__(self, sdk: AsyncOpenAI) -> None:
        root = str(sdk.base_url).rstrip("/").removesuffix("/v1")
        headers = {"Authorization": f"Bearer {sdk.api_key}"}
        self._http = httpx2.AsyncClient(base_url=root, headers=headers, timeout=30.0)

    async def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the reply; raises Refused with what the server said."""
        reply = await self._http.request(method, path, json=body)
        if not reply.is_success:
            raise Refused(f"{method} {path}: {reply.status_code} {reply.text}")
        return reply.json() if reply.content else {}

    async def until(self, holds: Callable[[int, dict[str, Any]], bool], path: str, what: str) -> None:
        """Ask again until the reply is as wished; raises Refused after a while."""
        for _ in range(round(START_SECONDS / POLL_SECONDS)):
            reply = await self._http.get(path)
            if holds(reply.status_code, reply.json()):
                return
            await asyncio.sleep(POLL_SECONDS)
        raise Refused(f"not within {START_SECONDS:g} s: {what}")


@asynccontextmanager
async def made(operator: Operator, model: str) -> AsyncGenerator[tuple[Operator, str, Sequence[tuple[str, str]]]]:
    """Yield a key and the three modes with their names, and remove everything afterwards."""
    undo: list[str] = []
    try:
        group = {"accelerator_slug": "cpu", "min_scale": 1, "max_scale": 1}
        spec = {"name": OWN, "model_deployments": [{"model_slug": model, "slots": 4, "accelerators": [group]}]}
        own = (await operator.call("POST", DEPLOYMENTS, {"spec": spec}))["dedicated_inference"]["id"]
        undo.append(f"{DEPLOYMENTS}/{own}")
        await operator.until(
            lambda _, body: body["dedicated_inference"]["status"] == "active", undo[0], "the deployment is active"
        )
        policies = [{"task_slug": "creative-writing", "models": [OWN, model]}]
        asked = {"name": ROUTER, "policies": policies, "fallback_models": [model]}
        router = (await operator.call("POST", ROUTERS, asked))["model_router"]["uuid"]
        undo.append(f"{ROUTERS}/{router}")
        key = (await operator.call("POST", KEYS, {"name": "three-modes"}))["api_key_info"]
        undo.append(f"{KEYS}/{key['uuid']}")
        await operator.call("POST", ALIASES, {"name": ALIAS, "points_to": model})
        undo.append(f"{ALIASES}/{ALIAS}")
        yield operator, key["secret_key"], (("serverless", model), ("dedicated", OWN), ("routed", f"router:{ROUTER}"))
    finally:
        for path in reversed(undo):
            await operator.call("DELETE", path)
        if undo:
            await operator.until(lambda status, _: status == 404, undo[0], "the deployment is gone")


async def stream(caller: AsyncOpenAI, model: str) -> tuple[str, str, int]:
    """Return who served, what it said and how many tokens that took; the same call for all three modes."""
    said, served, tokens = "", "", 0
    chunks = await caller.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": PROMPT}],
        max_tokens=8,
        stream=True,
        stream_options={"include_usage": True},
    )
    async for chunk in chunks:
        served = chunk.model or served
        said += "".join(each.delta.content or "" for each in chunk.choices)
        if chunk.usage is not None:
            tokens = chunk.usage.total_tokens
    if not tokens:
        raise OpenAIError("the stream ended before its usage")
    return served, " ".join(said.split()), tokens


async def run_line(caller: AsyncOpenAI, load: Load) -> None:
    """One of the streams: asks the alias again and again."""
    while not load.is_over:
        mode = load.mode
        try:
            await stream(caller, ALIAS)
        except OpenAIError as error:
            load.failed.append(f"{mode}: {error}")
        else:
            load.answered[mode] = load.answered.get(mode, 0) + 1
        load.heard.set()


async def move(operator: Operator, load: Load, modes: Sequence[tuple[str, str]]) -> None:
    """Point the alias from one mode to the next while the streams run."""
    try:
        for mode, name in modes:
            await operator.call("PUT", f"{ALIASES}/{ALIAS}", {"points_to": name})
            load.mode = mode
            await asyncio.wait_for(load.more(ANSWERS_EACH), MOVE_SECONDS)
    except Refused as refused:
        load.failed.append(str(refused))
    except TimeoutError:
        load.failed.append(f"{load.mode}: not {ANSWERS_EACH} answers within {MOVE_SECONDS:g} s")
    finally:
        load.is_over = True


async def show(caller: AsyncOpenAI, modes: Sequence[tuple[str, str]]) -> None:
    """Print each mode's answer to the same call."""
    sys.stdout.write(f"{'MODE':<12}{'MODEL':<22}{'SERVED BY':<22}{'TOKENS':>6}  SAID\n")
    for mode, name in modes:
        served, said, tokens = await stream(caller, name)
        sys.stdout.write(f"{mode:<12}{name:<22}{served:<22}{tokens:>6}  {said}\n")


async def main(model: str) -> None:
    """Print each mode's answer to the same call, then how the streams fared while the alias moved."""
    async with AsyncOpenAI() as sdk, made(Operator(sdk), model) as (operator, key, modes):
        # No retry of the SDK hides a failure.
        caller = sdk.with_options(api_key=key, max_retries=0)
        await show(caller, modes)
        load = Load(mode=modes[0][0])
        async with asyncio.TaskGroup() as lines:
            lines.create_task(move(operator, load, [*modes, modes[0]]))
            for _ in range(STREAMS):
                lines.create_task(run_line(caller, load))
    sys.stdout.write(f"\n{STREAMS} streams while {ALIAS} moved:\n")
    for mode, answered in load.answered.items():
        sys.stdout.write(f"{mode:<12}{answered:>6} answers that began then\n")
    sys.stdout.write(f"{load.total} answers, {len(load.failed)} failed requests\n")
    if load.failed:
        raise SystemExit("\n".join(load.failed[:5]))


try:
    asyncio.run(main(sys.argv[1]))
except Refused as refused:
    sys.exit(str(refused))
