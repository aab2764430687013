"""Kills a running installation again and again while clients stream through it; judging is kill_judge.py's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import psutil

from headrace.testing.openai_replies import Chat, chat_stream
from headrace.testing.script import Reply, UpstreamRequest
from headrace.testing.upstream import FakeUpstream
from tests.e2e.kill_judge import Kill, Told, Verdict, judge, told_by
from tests.e2e.raw_client import RawClient
from tests.ledger_file import ledger_copy, ledger_file
from tests.running import RunningHeadrace

CHAT = "/v1/chat/completions"
STREAMS = 20
PACED_MODEL = "paced"
EMBEDDED_MODEL = "smollm2-135m"
KILL_BETWEEN_SECONDS = (0.3, 1.3)
ENGINE_GONE_SECONDS = 5.0


@dataclass
class KillRounds:
    """One installation under fire; everything random comes from the seed, apart from the machine's own pace."""

    headrace: RunningHeadrace
    upstream: FakeUpstream
    seed: int
    kills: list[Kill] = field(default_factory=list[Kill])
    told: list[Told] = field(default_factory=list[Told])

    async def round(self, *, embedded: bool = False) -> Kill:
        """Stream, kill at a random instant, look, start again."""
        random = Random(f"{self.seed}:{len(self.kills)}")
        if embedded:
            await self._told_of(self._client(), _request(EMBEDDED_MODEL, max_tokens=4))
        clients = [asyncio.ensure_future(self._stream(PACED_MODEL)) for _ in range(STREAMS)]  # noqa: TID251 - gathered below
        if embedded:
            clients.append(asyncio.ensure_future(self._stream(EMBEDDED_MODEL)))  # noqa: TID251 - gathered below
        await asyncio.sleep(random.uniform(*KILL_BETWEEN_SECONDS))
        children = self._children()
        self.headrace.kill()
        await asyncio.gather(*clients)
        with ledger_copy(self.headrace.home, self.headrace.home.parent / "killed") as ledger:
            open_then = ledger.open_holds()
        _, left = await asyncio.to_thread(psutil.wait_procs, children, timeout=ENGINE_GONE_SECONDS)
        began = time.monotonic()
        await asyncio.to_thread(self.headrace.start)
        ready_seconds = time.monotonic() - began
        with ledger_file(self.headrace.home) as ledger:
            open_after = ledger.open_holds()
        kill = Kill(open_then, open_after, ready_seconds, len(children), len(left))
        self.kills.append(kill)
        return kill

    def verdict(self) -> Verdict:
        """Stop the server, which must end well, and judge."""
        status = self.headrace.stop()
        with ledger_file(self.headrace.home) as ledger:
            found = judge(self.kills, self.told, self.upstream.log, ledger)
        if status == 0:
            return found
        raise AssertionError(f"SIGTERM ended the server with {status}: {found}")

    async def _stream(self, model: str) -> None:
        client = self._client()
        while await self._told_of(client, _request(model, max_tokens=400)):
            continue
        client.close()

    async def _told_of(self, client: RawClient, body: dict[str, object]) -> bool:
        reply = await client.post(CHAT, body)
        told = told_by(reply)
        if told is not None:
            self.told.append(told)
        return told is not None and reply.whole

    def _client(self) -> RawClient:
        return RawClient(int(self.headrace.base_url.rsplit(":", 1)[1].split("/")[0]), self.headrace.api_key)

    def _children(self) -> list[psutil.Process]:
        if self.headrace.process is None:
            raise AssertionError("the server does not run")
        return psutil.Process(self.headrace.process.pid).children(recursive=True)


@asynccontextmanager
async def kill_rounds(home: Path, seed: int, weights: Path | None = None) -> AsyncGenerator[KillRounds]:
    """An installation with a paced upstream, and with an embedded model where weights are given."""
    headrace = RunningHeadrace(home)
    if weights is not None:
        headrace.take_weights(weights)
    async with FakeUpstream(_paced(seed)) as upstream:
        headrace.add_provider("upstream", upstream.base_url, PACED_MODEL)
        with headrace:
            yield KillRounds(headrace, upstream, seed)


def _request(model: str, *, max_tokens: int) -> dict[str, object]:
    messages = [{"role": "user", "content": "Tell a long story of a river."}]
    return {"model": model, "messages": messages, "stream": True, "max_tokens": max_tokens}


def _paced(seed: int) -> Callable[[UpstreamRequest], Reply]:
    def answer(request: UpstreamRequest) -> Reply:
        random = Random(f"{seed}:reply:{request.number}")
        text = " ".join(["water"] * random.choice((1, 3, 10, 50)))
        reply = chat_stream(Chat(text, prompt_tokens=random.randint(1, 500)))
        return reply.delayed(
            before_headers_seconds=random.choice((0.0, 0.0, 0.02, 0.2)),
            between_writes_seconds=random.choice((0.0, 0.001, 0.01, 0.03)),
        )

    return answer
