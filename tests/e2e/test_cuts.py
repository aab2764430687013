"""The real server while its upstream's replies are cut: at every byte, over real sockets, down to the ledger."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass

import pytest

from headrace.testing.openai_replies import Chat, chat_reply
from headrace.testing.recordings import Recording, recordings
from headrace.testing.script import Reply, UpstreamRequest
from headrace.testing.upstream import FakeUpstream
from tests.e2e.cut_cases import Cut, Outcome, judge_ledger, judge_reply
from tests.e2e.raw_client import RawClient, RawReply
from tests.ledger_file import OpenHolds, ledger_file
from tests.running import RunningHeadrace

RECORDINGS = recordings()
CHAT = "/v1/chat/completions"
CLIENTS = 16
RECEIPT_EVERY = 97
SETTLED_SECONDS = 10.0
WHOLE_BODY = chat_reply(Chat("水は 山から 流れる, and the tailrace carries it away. " * 8, prompt_tokens=5))


@dataclass(frozen=True)
class Stage:
    """The server under test and its upstream."""

    headrace: RunningHeadrace
    upstream: FakeUpstream

    def clients(self) -> list[RawClient]:
        port = int(self.headrace.base_url.rsplit(":", 1)[1].split("/")[0])
        return [RawClient(port, self.headrace.api_key) for _ in range(CLIENTS)]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    headrace = RunningHeadrace(tmp_path_factory.mktemp("cuts") / "home")
    async with FakeUpstream() as upstream:
        headrace.add_provider("recorded", upstream.base_url, *(f"cut-{name}" for name in RECORDINGS))
        with headrace:
            yield Stage(headrace, upstream)


def cutting(request: UpstreamRequest) -> Reply:
    """Answer by the recording that the request names, cut where it says."""
    name, _, place = str(request.fields["x_cut"]).partition(":")
    return Cut(RECORDINGS[name], int(place)).reply(RECORDINGS[name].reply())


async def play(stage: Stage, cuts: Iterable[Cut]) -> list[tuple[Cut, RawReply]]:
    """Send every cut, a few at a time, each client over one connection as long as it holds."""
    left: Iterator[Cut] = iter(cuts)
    played: list[tuple[Cut, RawReply]] = []

    async def send(client: RawClient) -> None:
        for cut in left:
            played.append((cut, await client.post(CHAT, cut.request())))
        client.close()

    await asyncio.gather(*(send(client) for client in stage.clients()))
    return played


async def closed_ledger(stage: Stage) -> None:
    """Wait until nothing is held: a reply that broke off has left when its books are closed, but look to be sure."""
    deadline = time.monotonic() + SETTLED_SECONDS
    while True:
        with ledger_file(stage.headrace.home) as ledger:
            holds = ledger.open_holds()
        if holds == OpenHolds(0, 0, 0):
            return
        assert time.monotonic() < deadline, holds
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("recording", RECORDINGS.values(), ids=RECORDINGS)
async def test_a_stream_cut_at_any_byte_is_told_and_booked_as_what_it_is(stage: Stage, recording: Recording) -> None:
    stage.upstream.follow(cutting)
    size = len(recording.body)
    assert size >= 4096
    played = await play(stage, (Cut(recording, place) for place in range(size + 1)))
    assert {cut.after_bytes for cut, _ in played} == set(range(size + 1))
    await closed_ledger(stage)
    with ledger_file(stage.headrace.home) as ledger:
        booked = ledger.requests()
        assert ledger.unbalanced_scopes() == []
    seen: Counter[Outcome] = Counter()
    for cut, reply in played:
        outcome = judge_reply(cut, reply)
        judge_ledger(cut, outcome, reply, booked[str(reply.request_id)])
        seen[outcome] += 1
        if cut.after_bytes % RECEIPT_EVERY == 0:
            check_receipt(stage.headrace, outcome, reply)
    assert all(seen[outcome] for outcome in Outcome)


def check_receipt(headrace: RunningHeadrace, outcome: Outcome, reply: RawReply) -> None:
    receipt = headrace.receipt(str(reply.request_id))
    (attempt,) = receipt["attempts"]
    if outcome is Outcome.REFUSED:
        assert (receipt["status"], attempt["state"], receipt["charge_nano_usd"]) == (502, "voided", 0)
        return
    assert (receipt["status"], attempt["state"]) == (200, "settled")
    assert attempt["usage"]["estimated"] is (attempt["usage"]["source"] != "upstream")
    assert attempt["delivered_bytes"] > 0


@pytest.mark.parametrize("recording", RECORDINGS.values(), ids=RECORDINGS)
async def test_where_the_upstream_splits_its_stream_changes_no_byte_of_the_reply(
    stage: Stage, recording: Recording
) -> None:
    whole = recording.reply()
    sizes = (1, 2, 3, 7, 64, 1000, len(whole.body))
    bodies: list[bytes] = []
    (client, *_) = stage.clients()
    for reply in (whole, *(whole.split_every(size) for size in sizes)):
        stage.upstream.follow(reply)
        got = await client.post(CHAT, Cut(recording, 1).request())
        assert (got.status, got.whole) == (200, True)
        assert got.body.endswith(b"data: [DONE]\n\n")
        bodies.append(got.body)
    client.close()
    assert len(set(bodies)) == 1


async def test_a_whole_body_cut_anywhere_is_an_error_and_free(stage: Stage) -> None:
    size = len(WHOLE_BODY.body)
    replies = {place: WHOLE_BODY.cut(place) for place in (*range(0, size, 7), size - 1)}
    stage.upstream.follow(lambda request: replies[int(str(request.fields["x_place"]))])
    (client, *_) = stage.clients()
    body = {"model": "cut-tools", "messages": [{"role": "user", "content": "go"}]}
    got = [await client.post(CHAT, {**body, "x_place": place}) for place in replies]
    client.close()
    with ledger_file(stage.headrace.home) as ledger:
        booked = ledger.requests()
    for reply in got:
        assert (reply.status, reply.whole) == (502, True)
        assert json.loads(reply.body)["error"]["code"] == "upstream_truncated"
        ended = booked[str(reply.request_id)]
        assert (ended.attempts, ended.charge_nano, ended.error_code) == (1, 0, "upstream_truncated")
    await closed_ledger(stage)
