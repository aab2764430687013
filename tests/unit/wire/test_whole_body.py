"""The shared part of reading a whole answer, by a dialect that has only words."""

from collections.abc import Iterable

import pytest

from headrace.domain.errors import HeadraceError, UpstreamProtocol, UpstreamUnavailable
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.usage import Usage
from headrace.wire import whole_body
from headrace.wire.whole_body import WholeBodyReader


class WordsReader(WholeBodyReader):
    """Reads `{"words": [...]}`; a body with "sorry" is a failure."""

    def _problem(self, body: JsonObject) -> HeadraceError | None:
        return UpstreamUnavailable("Sorry.") if "sorry" in body else None

    def _usage_in(self, body: JsonObject) -> Usage | None:
        return Usage(output_text=3) if "words" in body else None

    def _written_in(self, body: JsonObject) -> Iterable[JsonValue]:
        words = body.get("words")
        return words if isinstance(words, list) else []


def read(*blocks: bytes) -> WordsReader:
    reader = WordsReader("served")
    for block in blocks:
        assert reader.feed(block) == b""
        assert not reader.meaningful
    reader.close()
    return reader


def test_an_answer_is_read_when_its_body_has_ended() -> None:
    reader = read(b'{"words": ["on', b'e", "seven"', b"]}")
    assert reader.ended
    assert reader.meaningful
    assert reader.failure is None
    assert reader.usage == Usage(output_text=3)
    assert reader.output_tokens_seen == 2 + 2


def test_an_answer_may_have_neither_usage_nor_content() -> None:
    reader = read(b"{}")
    assert reader.ended
    assert reader.usage is None
    assert reader.output_tokens_seen == 0


@pytest.mark.parametrize("body", [b"", b"{", b'{"words": "\xff"}', b"[]", b"null", b"[" * 100_000])
def test_what_is_no_object_is_a_failure(body: bytes) -> None:
    reader = read(body)
    assert isinstance(reader.failure, UpstreamProtocol)
    assert not reader.ended
    assert not reader.meaningful


def test_the_dialect_names_the_failure() -> None:
    reader = read(b'{"sorry": 1, "words": ["one"]}')
    assert isinstance(reader.failure, UpstreamUnavailable)
    assert not reader.ended
    assert reader.usage is None


def test_an_endless_answer_is_refused_also_when_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole_body, "MAX_BODY_BYTES", 4)
    assert read(b"{}", b"  ").ended
    reader = read(b"{}", b"   ")
    assert isinstance(reader.failure, UpstreamProtocol)
    assert not reader.ended
