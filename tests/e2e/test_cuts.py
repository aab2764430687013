"""The real server while its upstream's replies are cut: at every byte, over real sockets, down to the ledger."""

import json
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from headrace.testing.openai_replies import Chat, chat_reply
from headrace.testing.recordings import Recording
from tests.e2e.cut_cases import Cut, Outcome
from tests.e2e.cut_play import CHAT, RECORDINGS, Stage, cut_stage, faults_of, play
from tests.e2e.raw_client import RawReply
from tests.ledger_file import OpenHolds, ledger_file

RECEIPT_EVERY = 97
LEAST_BYTES = 4096
WHOLE_BODY = chat_reply(Chat("水は 山から 流れる, and the tailrace carries it away. " * 8, prompt_tokens=5))


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with cut_stage(tmp_path_factory.mktemp("cuts") / "home") as stage:
        yield stage


@pytest.mark.parametrize("recording", RECORDINGS.values(), ids=RECORDINGS)
async def test_a_stream_cut_at_any_byte_is_told_and_booked_as_what_it_is(stage: Stage, recording: Recording) -> None:
    size = len(recording.body)
    assert size >= LEAST_BYTES
    played = await play(stage, (Cut(recording, place) for place in range(size + 1)))
    seen: Counter[Outcome] = Counter()
    assert faults_of(stage, played, seen) == []
    assert seen.total() == size + 1
    assert all(seen[outcome] for outcome in Outcome)
    for cut, reply in played:
        if cut.after_bytes % RECEIPT_EVERY == 0:
            check_receipt(stage, reply)


def check_receipt(stage: Stage, reply: RawReply) -> None:
    receipt = stage.headrace.receipt(str(reply.request_id))
    (attempt,) = receipt["attempts"]
    if reply.status == 502:
        assert (receipt["status"], attempt["state"], receipt["charge_nano_usd"]) == (502, "voided", 0)
        return
    is_complete = attempt["ending"] == "complete"
    assert (receipt["status"], attempt["state"], is_complete) == (200, "settled", reply.whole)
    assert attempt["usage"]["estimated"] is (attempt["usage"]["source"] != "upstream")
    assert not (is_complete and attempt["usage"]["estimated"])
    assert attempt["delivered_bytes"] > 0
    assert receipt["charge_nano_usd"] > 0


@pytest.mark.parametrize("recording", RECORDINGS.values(), ids=RECORDINGS)
async def test_where_the_upstream_splits_its_stream_changes_no_byte(stage: Stage, recording: Recording) -> None:
    whole = recording.reply()
    bodies: list[bytes] = []
    client = stage.client()
    for reply in (whole, *(whole.split_every(size) for size in (1, 2, 3, 7, 64, 1000, len(whole.body)))):
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
    client = stage.client()
    body = {"model": "cut-tools", "messages": [{"role": "user", "content": "go"}]}
    got = [await client.post(CHAT, {**body, "x_place": place}) for place in replies]
    client.close()
    with ledger_file(stage.headrace.home) as ledger:
        booked = ledger.requests()
        assert ledger.open_holds() == OpenHolds(0, 0, 0)
    for reply in got:
        assert (reply.status, reply.whole) == (502, True)
        assert json.loads(reply.body)["error"]["code"] == "upstream_truncated"
        ended = booked[str(reply.request_id)]
        assert (ended.attempts, ended.charge_nano, ended.error_code) == (1, 0, "upstream_truncated")
