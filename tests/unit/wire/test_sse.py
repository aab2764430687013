"""Splitting a stream into frames and reading their data."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.wire import sse
from headrace.wire.sse import FrameSplitter, FrameTooLong, comment_frame, data_frame, frame_data

PIECES = st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"\n\n", b"\r\n\r\n", b"data: x", b": c", b"a"]), max_size=12)


def split(stream: bytes, *cuts: int) -> tuple[list[bytes], bytes]:
    splitter = FrameSplitter()
    frames: list[bytes] = []
    places = [0, *sorted(cuts), len(stream)]
    for start, end in pairwise(places):
        frames += splitter.feed(stream[start:end])
    return frames, splitter.rest


@given(pieces=PIECES)
def test_frames_do_not_depend_on_how_the_stream_was_cut(pieces: list[bytes]) -> None:
    stream = b"".join(pieces)
    whole = split(stream)
    assert b"".join(whole[0]) + whole[1] == stream
    assert split(stream, *range(1, len(stream))) == whole
    for cut in range(1, len(stream)):
        assert split(stream, cut) == whole


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_frame_ends_with_its_blank_line(end: bytes) -> None:
    first, second = b"data: a" + end + end, b": c" + end + end
    assert split(first + second + b"data: cut" + end) == ([first, second], b"data: cut" + end)


def test_a_frame_of_bare_returns_comes_out_with_the_byte_after_it() -> None:
    splitter = FrameSplitter()
    assert splitter.feed(b"data: a\r\r") == []
    assert splitter.feed(b"d") == [b"data: a\r\r"]
    assert splitter.rest == b"d"


def test_a_line_feed_after_its_return_stays_with_its_frame() -> None:
    splitter = FrameSplitter()
    assert splitter.feed(b"data: a\r\n\r") == []
    assert splitter.feed(b"\n") == [b"data: a\r\n\r\n"]
    assert splitter.rest == b""


def test_an_endless_frame_is_refused_once_it_passes_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_FRAME_BYTES", 64)
    splitter = FrameSplitter()
    splitter.feed(b"x" * 64)
    with pytest.raises(FrameTooLong):
        splitter.feed(b"x")


def test_a_frame_as_large_as_the_limit_passes_in_small_blocks() -> None:
    frame = b"data: " + b"x" * (sse.MAX_FRAME_BYTES - 6) + b"\n\n"
    splitter = FrameSplitter()
    blocks = [splitter.feed(frame[start : start + 65_536]) for start in range(0, len(frame), 65_536)]
    assert [len(each) for each in blocks[:-1]] == [0] * (len(blocks) - 1)
    assert blocks[-1] == [frame]


@pytest.mark.parametrize(
    ("frame", "data"),
    [
        (b"data: x\n\n", b"x"),
        (b"data: x\r\n\r\n", b"x"),
        (b"data:x\n\n", b"x"),
        (b"data:  x\n\n", b" x"),
        (b"data\n\n", b""),
        (b"data: a\ndata: b\n\n", b"a\nb"),
        (b"retry: 5\nevent: message\ndata:{}\n\n", b"{}"),
        (b"\ndata: x\n\n", b"x"),
        (b"datum: x\n\n", None),
        (b"database: x\n\n", None),
        (b": comment\n\n", None),
        (b"event: ping\n\n", None),
        (b"\n\n", None),
    ],
)
def test_the_data_of_a_frame(frame: bytes, data: bytes | None) -> None:
    assert frame_data(frame) == data


def test_frames_that_are_written_can_be_read() -> None:
    assert frame_data(data_frame(b'{"a":1}')) == b'{"a":1}'
    assert frame_data(comment_frame(b"waiting")) is None
    assert split(comment_frame(b"waiting"))[0] == [b": waiting\n\n"]
