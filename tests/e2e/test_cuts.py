"""The real server while its upstream's replies are cut, over real sockets, down to the ledger.

One recording is cut at every byte, the others around every frame's end and at every few bytes; `make torture` cuts
all of them at every byte, and tests/contract/test_stream_cuts.py does so without sockets.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Iterable

import pytest

from headrace.testing.anthropic_replies import Message, messages_reply
from headrace.testing.openai_replies import Chat, chat_reply
from headrace.testing.responses_replies import response_reply
from tests.e2e.cut_cases import Cut, Outcome, every_byte, sampled, translated
from tests.e2e.cut_dialects import SPOKEN
from tests.e2e.cut_play import STREAMS, Stage, cut_stage, faults_of, play
from tests.e2e.cut_recordings import DIALECTS, CutStream, Dialect
from tests.e2e.raw_client import RawReply
from tests.ledger_file import OpenHolds, ledger_of

RECEIPT_EVERY = 97
AT_EVERY_BYTE = ("messages-vendor",)
SAMPLED_EVERY = 17
TRANSLATED_EVERY = 97
WORDS = "水は 山から 流れる, and the tailrace carries it away. " * 8
WHOLE_BODIES = {
    "chat": chat_reply(Chat(WORDS, prompt_tokens=5)),
    "messages": messages_reply(Message(WORDS, input_tokens=5)),
    "responses": response_reply(Chat(WORDS, prompt_tokens=5)),
}


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with cut_stage(tmp_path_factory.mktemp("cuts") / "home") as stage:
        yield stage


def test_there_are_four_kinds_of_recordings_in_each_dialect() -> None:
    for dialect in DIALECTS:
        kinds = {stream.name.removeprefix(f"{dialect}-") for stream in STREAMS.values() if stream.dialect == dialect}
        assert kinds >= {"text", "tools", "reasoning", "vendor"}
    assert [stream.name for stream in STREAMS.values() if stream.body.isascii()] == ["chat-vendor"]


async def judged(stage: Stage, cuts: Iterable[Cut]) -> list[tuple[Cut, RawReply]]:
    """Play cuts of one stream and expect each to be told and booked as what it is."""
    played = await play(stage, cuts)
    seen: Counter[Outcome] = Counter()
    assert faults_of(stage, played, seen) == []
    assert seen.total() == len(played)
    assert all(seen[outcome] for outcome in Outcome)
    return played


@pytest.mark.parametrize("name", AT_EVERY_BYTE)
async def test_a_stream_cut_at_any_byte_is_told_and_booked_as_what_it_is(stage: Stage, name: str) -> None:
    played = await judged(stage, every_byte([STREAMS[name]]))
    assert len(played) == len(STREAMS[name].body) + 1
    for cut, reply in played:
        if cut.after_bytes % RECEIPT_EVERY == 0:
            check_receipt(stage, reply)


@pytest.mark.parametrize("name", sorted(set(STREAMS) - set(AT_EVERY_BYTE)))
async def test_a_stream_cut_around_each_frames_end_is_told_and_booked_as_what_it_is(stage: Stage, name: str) -> None:
    await judged(stage, sampled([STREAMS[name]], SAMPLED_EVERY))


@pytest.mark.parametrize("name", STREAMS)
async def test_a_translated_stream_that_is_cut_is_told_and_booked_as_what_it_is(stage: Stage, name: str) -> None:
    await judged(stage, translated([STREAMS[name]], TRANSLATED_EVERY))


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


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
async def test_where_the_upstream_splits_its_stream_changes_no_byte(stage: Stage, stream: CutStream) -> None:
    whole = stream.reply()
    bodies: list[bytes] = []
    client = stage.client()
    cut = Cut(stream, 1, stream.dialect)
    for reply in (whole, *(whole.split_every(size) for size in (1, 2, 3, 7, 64, 1000, len(whole.body)))):
        stage.upstream.follow(reply)
        got = await client.post(cut.spoken.path, cut.request())
        assert (got.status, got.whole) == (200, True)
        bodies.append(without_names(got))
    client.close()
    assert len(set(bodies)) == 1


def without_names(reply: RawReply) -> bytes:
    """A reply's body without what differs from one request to the next."""
    named = str(reply.request_id).removeprefix("req_").encode()
    return reply.body.replace(named, b"ID")


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_whole_body_cut_anywhere_is_an_error_and_free(stage: Stage, dialect: Dialect) -> None:
    whole = WHOLE_BODIES[dialect]
    size = len(whole.body)
    spoken = SPOKEN[dialect]
    client = stage.client()
    got: list[RawReply] = []
    for place in (*range(0, size, 7), size - 1):
        stage.upstream.follow(whole.cut(place))
        asked = spoken.request(f"cut-{dialect}-text", "go", False)
        got.append(await client.post(spoken.path, {**asked, "stream": False}))
    client.close()
    with ledger_of(stage.headrace) as ledger:
        booked = ledger.requests()
        assert ledger.open_holds() == OpenHolds(0, 0, 0)
    for reply in got:
        assert (reply.status, reply.whole) == (502, True)
        assert spoken.body_code_of(json.loads(reply.body)) == "upstream_truncated"
        ended = booked[str(reply.request_id)]
        assert (ended.attempts, ended.charge_nano, ended.error_code) == (1, 0, "upstream_truncated")
