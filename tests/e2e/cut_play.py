"""Plays cuts against a running installation and collects what was wrong; what is right is cut_cases.py's."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from headrace.testing.script import Reply, UpstreamRequest
from headrace.testing.upstream import FakeUpstream
from tests.e2e.cut_cases import Cut, Outcome, judge_ledger, judge_reply
from tests.e2e.cut_recordings import DIALECTS, Dialect, cut_streams
from tests.e2e.raw_client import RawClient, RawReply
from tests.ledger_file import OpenHolds, ledger_of
from tests.running import RunningHeadrace

STREAMS = cut_streams()
ADAPTERS: Mapping[Dialect, str | None] = {"chat": None, "messages": "anthropic", "responses": "openai_responses"}
CLIENTS = 16
NOTHING_HELD = OpenHolds(0, 0, 0)
ASKED = re.compile(rb"cut=([a-z-]+):(\d+):([a-z]+)")


@dataclass(frozen=True)
class Stage:
    """The server under test and its upstream."""

    headrace: RunningHeadrace
    upstream: FakeUpstream

    def client(self) -> RawClient:
        """A client with a connection of its own."""
        port = int(self.headrace.base_url.rsplit(":", 1)[1].split("/")[0])
        return RawClient(port, self.headrace.api_key)


@asynccontextmanager
async def cut_stage(home: Path) -> AsyncGenerator[Stage]:
    """An installation whose providers, one for each dialect, answer by recordings."""
    headrace = RunningHeadrace(home)
    async with FakeUpstream() as upstream:
        # Thousands of cuts in a row would open the breaker of any target; here every one of them must be seen.
        headrace.home.mkdir(parents=True, exist_ok=True)
        (headrace.home / "headrace.toml").write_text("[limits]\nbreaker_failures = 0\n")
        for dialect in DIALECTS:
            models = [f"cut-{stream.name}" for stream in STREAMS.values() if stream.dialect == dialect]
            headrace.add_provider(f"recorded-{dialect}", upstream.base_url, *models, adapter=ADAPTERS[dialect])
        with headrace:
            yield Stage(headrace, upstream)


async def play(stage: Stage, cuts: Iterable[Cut]) -> list[tuple[Cut, RawReply]]:
    """Send every cut, a few at a time, each client over one connection as long as it holds."""
    whole = {name: stream.reply() for name, stream in STREAMS.items()}

    def answer(request: UpstreamRequest) -> Reply:
        asked = ASKED.search(request.body)
        assert asked is not None, request.body
        name, place, caller = (part.decode() for part in asked.groups())
        return Cut(STREAMS[name], int(place), cast("Dialect", caller)).reply(whole[name])

    stage.upstream.follow(answer)
    left: Iterator[Cut] = iter(cuts)
    played: list[tuple[Cut, RawReply]] = []

    async def send(client: RawClient) -> None:
        for cut in left:
            played.append((cut, await client.post(cut.spoken.path, cut.request())))
        client.close()

    await asyncio.gather(*(send(stage.client()) for _ in range(CLIENTS)))
    return played


def faults_of(stage: Stage, played: Sequence[tuple[Cut, RawReply]], seen: Counter[Outcome]) -> list[str]:
    """Judge every reply and its ledger entry; adds the ends to `seen` and returns what was wrong.

    Nothing may be held any more: the end of a reply leaves only after its books are closed.
    """
    with ledger_of(stage.headrace) as ledger:
        booked = ledger.requests()
        faults = [f"spending is not the sum of the charges: {scope}" for scope in ledger.unbalanced_scopes()]
        faults += [f"held after the last reply: {held}" for held in [ledger.open_holds()] if held != NOTHING_HELD]
    for cut, reply in played:
        try:
            outcome = judge_reply(cut, reply)
            judge_ledger(cut, outcome, reply, booked[str(reply.request_id)])
            seen[outcome] += 1
        except (AssertionError, LookupError, ValueError) as error:
            place = f"{cut.stream.name} cut at {cut.after_bytes} for a caller of {cut.caller}"
            faults.append(f"{place}: {error!r}; status {reply.status}")
    return faults
