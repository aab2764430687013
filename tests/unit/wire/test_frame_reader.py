"""The shared part of reading a stream, by a dialect of three words: text, last and stop."""

import pytest

from headrace.domain.errors import UpstreamProtocol, UpstreamTruncated
from headrace.wire import frame_reader
from headrace.wire.frame_reader import FrameReader, check_json
from headrace.wire.sse import data_frame

TEXT, LAST, STOP = data_frame(b'"text"'), data_frame(b'"last"'), data_frame(b'"stop"')
COMMENT = b": waiting\n\n"


class WordReader(FrameReader):
    """Passes words on; "last" is the end of the content and "stop" the terminator."""

    def _read_data(self, frame: bytes, data: bytes) -> bytes | None:
        check_json(data)
        self.meaningful = self.meaningful or data == b'"text"'
        self._is_finished = self._is_finished or data == b'"last"'
        self.ended = data == b'"stop"'
        return None if self.ended else self._place(frame)


class PatientReader(WordReader):
    """The same, with a terminator that may be missing."""

    _ends_with_body = True


def test_what_comes_before_content_waits_for_it_and_what_ends_it_is_held() -> None:
    reader = WordReader("served")
    assert reader.feed(COMMENT) == b""
    assert reader.kept == COMMENT
    assert reader.feed(TEXT + TEXT + LAST + COMMENT) == COMMENT + TEXT + TEXT
    assert reader.kept == LAST + COMMENT
    assert not reader.ended
    assert reader.feed(STOP + TEXT) == b""
    assert reader.ended
    assert reader.kept == LAST + COMMENT
    reader.close()
    assert reader.failure is None


def test_frames_before_a_bad_one_leave_and_none_after_it() -> None:
    reader = WordReader("served")
    assert reader.feed(TEXT + data_frame(b"{") + TEXT) == TEXT
    assert isinstance(reader.failure, UpstreamProtocol)
    assert reader.feed(TEXT) == b""


@pytest.mark.parametrize("bad", [b"{", b'"\xff"', b"[" * 100_000])
def test_what_is_not_json_is_a_failure(bad: bytes) -> None:
    reader = WordReader("served")
    reader.feed(data_frame(bad))
    assert isinstance(reader.failure, UpstreamProtocol)


def test_a_dialect_says_whether_the_terminator_may_be_missing() -> None:
    strict, patient, early = WordReader("served"), PatientReader("served"), PatientReader("served")
    for reader, stream in ((strict, TEXT + LAST), (patient, TEXT + LAST), (early, TEXT)):
        reader.feed(stream)
        reader.close()
    assert isinstance(strict.failure, UpstreamTruncated)
    assert patient.ended
    assert isinstance(early.failure, UpstreamTruncated)


def test_a_last_frame_without_its_blank_line_counts_and_half_of_one_is_a_cut() -> None:
    whole, half, cut_off = WordReader("served"), PatientReader("served"), PatientReader("served")
    for reader, stream in ((whole, TEXT + STOP[:-2]), (half, TEXT + LAST + b"dat"), (cut_off, TEXT + b'data: "te')):
        reader.feed(stream)
        reader.close()
    assert whole.ended
    assert isinstance(half.failure, UpstreamTruncated)
    assert isinstance(cut_off.failure, UpstreamTruncated)


@pytest.mark.parametrize("start", [b"", TEXT + LAST])
def test_only_so_much_is_kept(start: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame_reader, "MAX_KEPT_BYTES", 50)
    reader = WordReader("served")
    reader.feed(start + COMMENT)
    assert reader.failure is None
    reader.feed(COMMENT * 10)
    assert isinstance(reader.failure, UpstreamProtocol)
    assert len(reader.kept) <= 50 + len(COMMENT)
