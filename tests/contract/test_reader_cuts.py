"""Recordings cut over a real socket: what is delivered, judged and booked follows from where the cut was."""

from dataclasses import replace

import msgspec
import pytest

from headrace.domain.books import Settlement
from headrace.domain.errors import HeadraceError
from headrace.domain.plan import Plan
from headrace.drivers.transports.http1_transport import Http1Transport
from headrace.services.turn import run_turn
from headrace.testing.recordings import Recording, Seen, recordings
from headrace.testing.script import FaultKind, Reply
from headrace.testing.upstream import FakeUpstream
from tests.contract.raw_upstream import trusting_nobody
from tests.fakes.nouns import PROVIDER, a_call, a_plan, a_target
from tests.fakes.turn_world import World

pytestmark = pytest.mark.anyio

ALL = recordings()
STRIDE_BYTES = 23
DONE = b"data: [DONE]\n\n"


def cuts_of(recording: Recording) -> list[int]:
    """Every few bytes, and every byte around what decides."""
    decisive = (recording.first_meaningful, recording.finish, recording.usage_frame, recording.done)
    near = {seen.certain_bytes + shift for seen in decisive for shift in range(-5, 3)}
    whole = len(recording.body)
    return sorted({*range(0, whole, STRIDE_BYTES), *(place for place in near if place < whole), whole - 1})


def has(seen: Seen, cut: int) -> bool | None:
    """Whether the cut lies behind that frame; None where a reader may see it either way."""
    if cut >= seen.certain_bytes:
        return True
    return None if cut >= seen.possible_bytes else False


def whole_content_frames(recording: Recording, cut: int) -> tuple[int, int]:
    """How many frames that bill a token certainly arrived, and how many may have."""
    certain = possible = end = 0
    for frame, kind in zip(recording.frames, recording.kinds, strict=True):
        end += len(frame.data)
        if kind == "content":
            certain += end <= cut
            possible += end - 1 <= cut
    return certain, possible


async def serve(
    upstream: FakeUpstream, transport: Http1Transport, show_usage: bool
) -> tuple[World, HeadraceError | None]:
    world = World()
    parts = replace(world.parts, transport=transport)
    target = replace(a_target(), provider=replace(PROVIDER, base_url=upstream.base_url))
    plan: Plan = a_plan(target)
    call = a_call(stream=True, stream_options={"include_usage": show_usage})
    try:
        await run_turn(parts, call, plan, world.sink)
    except HeadraceError as error:
        world.check_books()
        return world, error
    world.check_books()
    return world, None


def delivered_chunks(world: World) -> list[dict[str, object]]:
    events = world.sink.body.replace(b"\r\n", b"\n").split(b"\n\n")
    lines = [line for event in events for line in event.split(b"\n") if line.startswith(b"data:")]
    data = [line.removeprefix(b"data:").strip() for line in lines]
    return [msgspec.json.decode(each, type=dict[str, object]) for each in data if each != b"[DONE]"]


def check_cut(recording: Recording, cut: int, world: World, error: HeadraceError | None) -> None:
    chunks = delivered_chunks(world)
    assert {chunk["model"] for chunk in chunks} <= {"one"}
    complete = has(recording.done, cut)
    if complete is not None:
        assert (error is None) is complete, cut
    if error is None:
        assert world.sink.body.endswith(DONE)
        assert world.settlements[0].ending == "complete"
        assert not world.settlements[0].usage.estimated
        return
    assert error.code == "upstream_truncated"
    assert not world.sink.ended
    assert DONE.strip() not in world.sink.body
    assert b'"finish_reason":"' not in world.sink.body
    assert not any(chunk.get("usage") for chunk in chunks)
    [closing] = world.ledger.closings
    meaningful = has(recording.first_meaningful, cut)
    if meaningful is not None:
        assert isinstance(closing, Settlement) is meaningful
        assert world.sink.started is meaningful
    if isinstance(closing, Settlement) and closing.usage.estimated:
        certain, possible = whole_content_frames(recording, cut)
        assert certain <= closing.usage.output_text <= possible
        assert has(recording.usage_frame, cut) is not True


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", list(ALL))
@pytest.mark.parametrize("show_usage", [True, False])
async def test_a_recording_cut_anywhere(name: str, show_usage: bool) -> None:
    recording = ALL[name]
    kinds: tuple[FaultKind, ...] = ("cut", "reset")
    async with FakeUpstream(recording.reply()) as upstream, Http1Transport("t", tls=trusting_nobody()) as transport:
        for place, cut in enumerate(cuts_of(recording)):
            reply: Reply = recording.reply()
            upstream.follow(reply.cut(cut) if kinds[place % 2] == "cut" else reply.reset(cut))
            check_cut(recording, cut, *await serve(upstream, transport, show_usage))


@pytest.mark.parametrize("name", list(ALL))
@pytest.mark.parametrize("show_usage", [True, False])
@pytest.mark.parametrize("size", [1, 5, 64, 1 << 20])
async def test_a_whole_recording_in_chunks_of_any_size(name: str, show_usage: bool, size: int) -> None:
    recording = ALL[name]
    async with (
        FakeUpstream(recording.reply().split_every(size)) as upstream,
        Http1Transport("t", tls=trusting_nobody()) as transport,
    ):
        world, error = await serve(upstream, transport, show_usage)
    assert error is None
    chunks = delivered_chunks(world)
    assert [chunk["usage"] for chunk in chunks if chunk.get("usage")] == ([recording.usage] if show_usage else [])
    [settlement] = world.settlements
    assert settlement.usage.input_total == recording.prompt_tokens
    assert settlement.usage.output_total == recording.completion_tokens
