"""Replies as data: which bytes leave in which writes, what they bill, and which reply a request gets."""

import pytest

from headrace.testing.script import (
    Fault,
    Frame,
    Reply,
    UpstreamRequest,
    answering,
    json_reply,
    raw_reply,
)
from headrace.testing.waiting import Gate

FRAMES = (Frame(b"one ", 1), Frame(b"two ", 1), Frame(b"three", 3))


def request_for(model: str = "m", path: str = "/v1/chat/completions") -> UpstreamRequest:
    return UpstreamRequest(1, 1, "POST", path, "", (("X-A".lower(), "1"),), b'{"model":"%b"}' % model.encode())


def sent(reply: Reply) -> list[bytes]:
    return [write.data for write in reply.writes()]


def test_each_frame_is_a_write() -> None:
    assert sent(Reply(frames=FRAMES)) == [b"one ", b"two ", b"three"]


def test_boundaries_replace_frames() -> None:
    reply = Reply(frames=FRAMES)
    assert sent(reply.split_at(1, 6)) == [b"o", b"ne tw", b"o three"]
    assert sent(reply.split_every(5)) == [b"one t", b"wo th", b"ree"]
    assert sent(reply.split_at()) == [b"one two three"]


@pytest.mark.parametrize("after_bytes", range(15))
def test_a_fault_ends_the_writes_at_its_byte(after_bytes: int) -> None:
    reply = Reply(frames=FRAMES).cut(after_bytes)
    assert b"".join(sent(reply)) == b"one two three"[:after_bytes]
    assert all(sent(reply))


@pytest.mark.parametrize(("written_bytes", "tokens"), [(0, 0), (3, 0), (4, 1), (7, 1), (8, 2), (12, 2), (13, 5)])
def test_only_frames_that_are_wholly_written_are_billed(written_bytes: int, tokens: int) -> None:
    assert Reply(frames=FRAMES).billed_tokens(written_bytes) == tokens


def test_a_gate_splits_where_it_stands() -> None:
    gate = Gate()
    held = Reply(frames=FRAMES).split_at().hold(gate, before_frame=2)
    assert [(write.data, write.gate) for write in held.writes()] == [(b"one two ", None), (b"three", gate)]


def test_a_gate_can_stand_before_the_end_and_before_a_fault() -> None:
    gate = Gate()
    at_end = Reply(frames=FRAMES).hold(gate, before_frame=3)
    before_fault = Reply(frames=FRAMES).hold(gate, before_frame=1).reset(after_bytes=4)
    assert [(write.data, write.gate) for write in at_end.writes()][-1] == (b"", gate)
    assert [(write.data, write.gate) for write in before_fault.writes()] == [(b"one ", None), (b"", gate)]


def test_faults_are_named() -> None:
    reply = Reply(frames=FRAMES)
    assert reply.stall(3).fault == Fault("stall", 3)
    assert reply.without_headers("reset").fault == Fault("reset", 0, before_headers=True)
    assert reply.fault is None


def test_a_body_that_is_not_json_is_kept_and_parses_to_nothing() -> None:
    request = UpstreamRequest(1, 1, "POST", "/", "", (("x-a", "1"),), b"{")
    assert (request.json, request.model, request.header("X-A"), request.header("x-b")) == (
        None,
        None,
        "1",
        None,
    )
    assert "{" not in repr(request).replace("UpstreamRequest", "")


def test_one_reply_answers_for_ever_and_a_sequence_runs_out_loudly() -> None:
    one, two = raw_reply(b"1"), raw_reply(b"2")
    always = answering(one)
    assert [always(request_for()) for _ in range(3)] == [one, one, one]
    in_order = answering([one, two])
    assert [in_order(request_for()) for _ in range(2)] == [one, two]
    last = in_order(request_for("lost"))
    assert last.status == 501
    assert b"'lost'" in last.body


def test_replies_are_chosen_by_path_then_model_then_star() -> None:
    answer = answering(
        {
            "/v1/embeddings": json_reply("path"),
            "m": [json_reply("first"), json_reply("second")],
            "*": lambda request: json_reply(request.model),
        }
    )
    asked = [request_for(path="/v1/embeddings"), request_for(), request_for(), request_for("other")]
    assert [answer(request).body for request in asked] == [b'"path"', b'"first"', b'"second"', b'"other"']
    assert answer(request_for()).status == 501


def test_connection_close_is_recognised() -> None:
    assert Reply(framing="close").closes
    assert Reply(headers={"Connection": "close"}).closes
    assert not Reply(headers={"connection": "keep-alive"}).closes
