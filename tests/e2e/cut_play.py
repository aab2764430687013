"""Plays cuts against a running installation and collects what was wrong; what is right is cut_cases.py's."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from headrace.testing.recordings import recordings
from headrace.testing.script import Reply, UpstreamRequest
from headrace.testing.upstream import FakeUpstream
from tests.e2e.cut_cases import Cut, Outcome, judge_ledger, judge_reply
from tests.e2e.raw_client import RawClient, RawReply
from tests.ledger_file import OpenHolds, ledger_file
from tests.running import RunningHeadrace

RECORDINGS = recordings()
CHAT = "/v1/chat/completions"
CLIENTS = 16
NOTHING_HELD = OpenHolds(0, 0, 0)


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
    """An installation whose one provider answers by recordings."""
    headrace = RunningHeadrace(home)
    async with FakeUpstream() as upstream:
        # Thousands of cuts in a row would open the breaker of any target; here every one of them must be seen.
        headrace.home.mkdir(parents=True, exist_ok=True)
        (headrace.home / "headrace.toml").write_text("[limits]\nbreaker_failures = 0\n")
        headrace.add_provider("recorded", upstream.base_url, *(f"cut-{name}" for name in RECORDINGS))
        with headrace:
            yield Stage(headrace, upstream)


async def play(stage: Stage, cuts: Iterable[Cut]) -> list[tuple[Cut, RawReply]]:
    """Send every cut, a few at a time, each client over one connection as long as it holds."""
    whole = {name: recording.reply() for name, recording in RECORDINGS.items()}

    def answer(request: UpstreamRequest) -> Reply:
        name, _, place = str(request.fields["x_cut"]).partition(":")
        return Cut(RECORDINGS[name], int(place)).reply(whole[name])

    stage.upstream.follow(answer)
    left: Iterator[Cut] = iter(cuts)
    played: list[tuple[Cut, RawReply]] = []

    async def send(client: RawClient) -> None:
        for cut in left:
            played.append((cut, await client.post(CHAT, cut.request())))
        client.close()

    await asyncio.gather(*(send(stage.client()) for _ in range(CLIENTS)))
    return played


def faults_of(stage: Stage, played: Sequence[tuple[Cut, RawReply]], seen: Counter[Outcome]) -> list[str]:
    """Judge every reply and its ledger entry; adds the ends to `seen` and returns what was wrong.

    Nothing may be held any more: the end of a reply leaves only after its books are closed.
    """
    with ledger_file(stage.headrace.home) as ledger:
        booked = ledger.requests()
        faults = [f"spending is not the sum of the charges: {scope}" for scope in ledger.unbalanced_scopes()]
        faults += [f"held after the last reply: {held}" for held in [ledger.open_holds()] if held != NOTHING_HELD]
    for cut, reply in played:
        try:
            outcome = judge_reply(cut, reply)
            judge_ledger(cut, outcome, reply, booked[str(reply.request_id)])
            seen[outcome] += 1
        except (AssertionError, LookupError, ValueError) as error:
            faults.append(f"{cut.recording.name} cut at {cut.after_bytes}: {error!r}; status {reply.status}")
    return faults
