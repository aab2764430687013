"""The receiving side: the same answer out of any segmentation of its bytes."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.domain.errors import UpstreamProtocol
from headrace.drivers.transports.http1_response import MAX_SILENT_BYTES, Fields, ResponseParser

OK = b"HTTP/1.1 200 OK\r\n"
EXTENSIONS = ("", ";a", ";a=b", ';a="b c"', " ")
TRAILERS = (b"", b"X-Sum: 1\r\n", b"X-Sum: 1\r\nServer-Timing: 7\r\n")


CUTS = st.lists(st.integers(1, 400), max_size=12)


@st.composite
def answers(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """An answer as it travels, and its body."""
    parts = draw(st.lists(st.binary(min_size=1, max_size=40), max_size=6))
    body = b"".join(parts)
    announced = draw(st.sampled_from((b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early\r\nlink: a\r\n\r\n")))
    if draw(st.booleans()):
        return announced + OK + b"Content-Length: %d\r\n\r\n%b" % (len(body), body), body
    extensions = [draw(st.sampled_from(EXTENSIONS)).encode() for _ in parts]
    chunks = [b"%x%b\r\n%b\r\n" % (len(part), more, part) for part, more in zip(parts, extensions, strict=True)]
    tail = b"0\r\n%b\r\n" % draw(st.sampled_from(TRAILERS))
    return announced + OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(chunks) + tail, body


def segments(whole: bytes, cuts: list[int]) -> list[bytes]:
    inside = {cut for cut in cuts if cut < len(whole)}
    return [whole[start:end] for start, end in pairwise(sorted({0, *inside, len(whole)}))]


@given(st.lists(st.tuples(answers(), CUTS), min_size=1, max_size=3), st.integers(0))
def test_answers_in_any_segments_and_taken_at_any_time_are_the_same(
    asked: list[tuple[tuple[bytes, bytes], list[int]]], takes: int
) -> None:
    parser = ResponseParser()
    for place, ((raw, body), cuts) in enumerate(asked):
        answer = parser.begin() if place else parser.answer
        taken = b""
        for number, segment in enumerate(segments(raw, cuts)):
            assert not answer.is_complete
            parser.feed(segment)
            if answer.blocks and takes >> number & 1:
                assert answer.unread_bytes == sum(map(len, answer.blocks))
                taken += answer.take()
        assert taken + answer.take() == body
        assert (answer.status, answer.is_complete, answer.keeps_alive) == (200, True, True)
        assert not answer.is_followed and answer.unread_bytes == 0
        assert len(answer.fields) == 1


@given(answers(), CUTS, st.sampled_from((b"H", OK, OK + b"content-length: 0\r\n\r\n", b"\0")))
def test_bytes_behind_the_end_are_noticed_in_any_segments(
    answer: tuple[bytes, bytes], cuts: list[int], extra: bytes
) -> None:
    raw, body = answer
    parser = ResponseParser()
    for segment in segments(raw + extra, cuts):
        parser.feed(segment)
    assert (parser.answer.take(), parser.answer.is_complete, parser.answer.is_followed) == (body, True, True)


@given(answers(), CUTS, st.integers(0, 400), st.binary(max_size=3))
def test_any_bytes_are_an_answer_or_a_named_failure(
    answer: tuple[bytes, bytes], cuts: list[int], at: int, what: bytes
) -> None:
    raw, _ = answer
    parser = ResponseParser()
    try:
        for segment in segments(raw[:at] + what + raw[at + 1 :], cuts):
            parser.feed(segment)
    except UpstreamProtocol as error:
        assert error.detail
        assert not parser.answer.is_complete


def test_the_first_of_repeated_headers_is_kept_and_no_trailer() -> None:
    parser = ResponseParser()
    parser.feed(OK + b"X-A: 1\r\nx-a: 2\r\nB: \xe9\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\nC: 3\r\n\r\n")
    fields = Fields(parser.answer.fields)
    assert dict(fields) == {"x-a": "1", "b": "é", "transfer-encoding": "chunked"}
    assert (fields["X-A"], fields.get("c"), len(fields)) == ("1", None, 3)


@pytest.mark.parametrize(
    ("head", "ends"),
    [
        (b"", True),
        (b"content-length: 9\r\n", False),
        (b"transfer-encoding: chunked\r\n", False),
        (b"transfer-encoding: gzip\r\n", False),
    ],
)
def test_a_close_ends_only_a_body_that_has_no_other_end(head: bytes, ends: bool) -> None:
    parser = ResponseParser()
    parser.feed(OK + head + b"\r\n")
    parser.end()
    assert parser.answer.is_complete is ends
    assert not parser.answer.keeps_alive


def test_a_close_before_the_end_of_the_head_ends_nothing() -> None:
    parser = ResponseParser()
    assert not parser.has_begun
    parser.feed(OK)
    parser.end()
    assert parser.has_begun and not parser.answer.is_complete


def test_what_brings_no_body_is_limited_and_what_does_is_not() -> None:
    parser = ResponseParser()
    parser.feed(OK + b"transfer-encoding: chunked\r\n\r\n")
    for _ in range(MAX_SILENT_BYTES // 1024 + 8):
        parser.feed(b"1;" + b"a" * 1024 + b"\r\nb\r\n")
    parser.feed(b"1;")
    with pytest.raises(UpstreamProtocol):
        for _ in range(MAX_SILENT_BYTES // 1024 + 8):
            parser.feed(b"a" * 1024)
