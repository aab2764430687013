"""What passes through: text completions, reranking, images, speech."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from headrace.domain.call import Envelope, Operation
from headrace.domain.catalog import Capability
from headrace.domain.errors import InvalidRequest, UpstreamProtocol, UpstreamTruncated
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.usage import TokenClass, UnitClass, Usage
from headrace.wire import images, openai_completions, rerank, speech
from headrace.wire.openai_passthrough import PATHS, passthrough_reader
from headrace.wire.speech import SpeechReader

ReadEnvelope = Callable[[JsonObject, int], Envelope]
GOOD: dict[ReadEnvelope, JsonObject] = {
    openai_completions.read_envelope: {"model": "m", "prompt": "Once"},
    rerank.read_envelope: {"model": "m", "query": "q", "documents": ["a", {"text": "b"}]},
    images.read_envelope: {"model": "m", "prompt": "a river"},
    speech.read_envelope: {"model": "m", "input": "Hello", "voice": "alloy"},
}
NOTHING: list[JsonValue] = [None, "", 5, [], {}]


@pytest.mark.parametrize(("read", "body"), GOOD.items())
def test_a_good_request_is_understood(read: ReadEnvelope, body: JsonObject) -> None:
    envelope = read(body, 9)
    assert (envelope.model, envelope.stream, envelope.choices, envelope.body_bytes) == ("m", False, 1, 9)


@pytest.mark.parametrize(("read", "body"), GOOD.items())
@pytest.mark.parametrize("wrong", NOTHING)
def test_every_own_field_is_needed(read: ReadEnvelope, body: JsonObject, wrong: JsonValue) -> None:
    for name in body.keys() - {"voice"}:
        with pytest.raises(InvalidRequest) as caught:
            read({**body, name: wrong}, 9)
        assert caught.value.param == name


@pytest.mark.parametrize(
    ("read", "more", "param"),
    [
        (openai_completions.read_envelope, {"prompt": ["a", 1]}, "prompt"),
        (openai_completions.read_envelope, {"prompt": [None]}, "prompt"),
        (openai_completions.read_envelope, {"prompt": ["a"] * 257}, "prompt"),
        (openai_completions.read_envelope, {"best_of": 2}, "best_of"),
        (openai_completions.read_envelope, {"n": 0}, "n"),
        (openai_completions.read_envelope, {"max_tokens": 0}, "max_tokens"),
        (openai_completions.read_envelope, {"logprobs": True}, "logprobs"),
        (openai_completions.read_envelope, {"stream_options": {}}, "stream_options"),
        (rerank.read_envelope, {"documents": ["a", 1]}, "documents"),
        (rerank.read_envelope, {"documents": ["a"] * 10_001}, "documents"),
        (rerank.read_envelope, {"top_n": 0}, "top_n"),
        (images.read_envelope, {"n": 11}, "n"),
        (images.read_envelope, {"stream": True}, "stream"),
        (speech.read_envelope, {"input": "a" * 16_385}, "input"),
        (speech.read_envelope, {"response_format": "midi"}, "response_format"),
        (speech.read_envelope, {"response_format": []}, "response_format"),
        (speech.read_envelope, {"stream_format": "sse"}, "stream_format"),
    ],
)
def test_what_is_wrong_is_named(read: ReadEnvelope, more: JsonObject, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read({**GOOD[read], **more}, 9)
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("prompt", "n", "choices"),
    [("a", None, 1), ("a", 3, 3), (["a", "b"], 2, 4), ([1, 2, 3], None, 1), ([[1, 2], [3]], None, 2)],
)
def test_every_prompt_makes_its_own_choices(prompt: JsonValue, n: int | None, choices: int) -> None:
    body: JsonObject = {"model": "m", "prompt": prompt, "n": n, "best_of": n, "logprobs": 2}
    envelope = openai_completions.read_envelope(body, 9)
    assert (envelope.choices, envelope.output_cap) == (choices, openai_completions.DEFAULT_OUTPUT_TOKENS)
    assert envelope.needs == {Capability.COMPLETIONS, Capability.LOGPROBS}


@pytest.mark.parametrize(
    ("answer", "usage"),
    [
        ({"usage": {"prompt_tokens": 4, "total_tokens": 5}}, Usage(input_fresh=4)),
        ({"usage": {"total_tokens": 5}}, Usage(input_fresh=5)),
        ({"meta": {"tokens": {"input_tokens": 6}}}, Usage(input_fresh=6)),
        ({"meta": {"billed_units": {"search_units": 1}}}, Usage(more=((UnitClass.SEARCH, 1),))),
        ({"meta": {"billed_units": {"search_units": "1"}}}, None),
        ({"usage": {"total_tokens": True}}, None),
        ({"usage": {"total_tokens": -1}}, None),
        ({"usage": [], "meta": 3}, None),
        ({}, None),
    ],
)
def test_the_usage_of_reranking(answer: JsonObject, usage: Usage | None) -> None:
    assert rerank.read_usage(answer) == usage


def test_the_usage_of_images() -> None:
    counted: JsonObject = {"data": [{}], "usage": {"input_tokens": 5, "output_tokens": 70, "total_tokens": 75}}
    drawn = ((TokenClass.OUTPUT_IMAGE, 70), (UnitClass.IMAGE, 1))
    assert images.read_usage(counted) == Usage(input_fresh=5, more=drawn)
    assert images.read_usage({"data": [{}, {}]}) == Usage(more=((UnitClass.IMAGE, 2),))
    assert images.read_usage({}) is None


@pytest.mark.parametrize(
    ("operation", "name", "usage"),
    [(Operation.RERANK, "results", None), (Operation.IMAGES, "data", Usage(more=((UnitClass.IMAGE, 1),)))],
)
def test_a_whole_answer_is_read(operation: Operation, name: str, usage: Usage | None) -> None:
    reader = passthrough_reader(operation, "ours")
    reader.feed(msgspec.json.encode({name: [{"index": 0}], "model": "theirs"}))
    reader.close()
    assert (reader.ended, reader.failure, reader.usage) == (True, None, usage)
    body = msgspec.json.decode(reader.finish(Usage(input_fresh=3, source="counted"), {}))
    assert (body["model"], body["usage"]["estimated"], body["usage"]["prompt_tokens"]) == ("ours", True, 3)
    empty = passthrough_reader(operation, "ours")
    empty.feed(b"{}")
    empty.close()
    assert isinstance(empty.failure, UpstreamProtocol)


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_sound_comes_out_as_it_went_in_with_its_end_held_back(size: int) -> None:
    sound = bytes(range(7))
    reader = SpeechReader()
    out = b"".join(reader.feed(sound[at : at + size]) for at in range(0, len(sound), size)) + reader.feed(b"")
    assert reader.meaningful
    assert len(out) < len(sound)
    reader.close()
    assert (reader.ended, reader.failure) == (True, None)
    assert out + reader.finish(Usage(), {}) == sound


def test_no_sound_is_a_failure() -> None:
    reader = SpeechReader()
    reader.close()
    assert (reader.ended, reader.meaningful) == (False, False)
    assert isinstance(reader.failure, UpstreamTruncated)


def test_the_type_of_sound_is_what_was_asked_for() -> None:
    assert speech.content_type({}) == "audio/mpeg"
    assert speech.content_type({"response_format": "wav"}) == "audio/wav"


def test_every_path_is_read() -> None:
    assert {Operation.RERANK, Operation.IMAGES, Operation.SPEECH} == PATHS.keys()
    assert isinstance(passthrough_reader(Operation.SPEECH, "m"), SpeechReader)


@pytest.mark.parametrize(
    ("read", "more", "units"),
    [
        (images.read_envelope, {"n": 4}, ((UnitClass.IMAGE, 4),)),
        (images.read_envelope, {}, ((UnitClass.IMAGE, 1),)),
        (speech.read_envelope, {"input": "å" * 7}, ((UnitClass.CHARACTER, 7),)),
        (rerank.read_envelope, {"documents": ["a"] * 99}, ((UnitClass.SEARCH, 1),)),
        (rerank.read_envelope, {"documents": ["a"] * 101}, ((UnitClass.SEARCH, 2),)),
    ],
)
def test_what_is_billed_by_the_piece_is_counted(read: ReadEnvelope, more: JsonObject, units: object) -> None:
    assert read({**GOOD[read], **more}, 9).units == units


def test_long_documents_count_as_several() -> None:
    body: JsonObject = {**GOOD[rerank.read_envelope], "documents": [*("a" * 60)]}
    assert rerank.read_envelope(body, 20_000).units == ((UnitClass.SEARCH, 1),)
    assert rerank.read_envelope(body, 20_500).units == ((UnitClass.SEARCH, 2),)
