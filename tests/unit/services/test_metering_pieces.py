"""Bounds and usage of what is no text: media in a prompt, images, searches, characters, seconds."""

from dataclasses import replace
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.domain.call import NO_MEDIA, Call, Media, Operation
from headrace.domain.catalog import ModelKind
from headrace.domain.json_value import JsonObject
from headrace.domain.plan import Target
from headrace.domain.price import PriceVersion, Rates, price_lines
from headrace.domain.usage import TokenClass, UnitClass, Usage, UsageClass, rare
from headrace.services.budgets import affordable_cap
from headrace.services.metering import TEMPLATE_TOKENS, bound_of, completed_usage, estimated_usage
from headrace.wire import anthropic_messages, images, rerank, speech
from headrace.wire.json_strict import encode
from tests.fakes.nouns import CALLER, a_call, a_model, a_price, a_target

PIXELS = "A" * 20_000
PICTURE: JsonObject = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXELS}"}}
LINK: JsonObject = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
VOICE: JsonObject = {"type": "input_audio", "input_audio": {"data": PIXELS, "format": "wav"}}
PDF: JsonObject = {"type": "file", "file": {"file_id": "file-1"}}
DEAR_MEDIA: Rates = {**a_price().rates_pico, TokenClass.INPUT_AUDIO: 32_000, TokenClass.INPUT_IMAGE: 8_000}
READERS = {
    Operation.IMAGES: images.read_envelope,
    Operation.RERANK: rerank.read_envelope,
    Operation.SPEECH: speech.read_envelope,
}


def asking(*parts: JsonObject, **fields: object) -> Call:
    """A chat call whose prompt has these parts."""
    return a_call(messages=[{"role": "user", "content": [{"type": "text", "text": "Hm?"}, *parts]}], **fields)  # pyright: ignore[reportArgumentType] - plain JSON


def piece(operation: Operation, **body: object) -> Call:
    """A call of an operation that is billed by the piece."""
    fields: JsonObject = {"model": "one", **body}  # pyright: ignore[reportAssignmentType] - plain JSON
    return Call("req_1", operation, CALLER, READERS[operation](fields, len(encode(fields))), fields, 0)


def target(rates: Rates, kind: ModelKind = ModelKind.CHAT, /, **limits: int) -> Target:
    """A target with these rates; `limits` are the model's."""
    price = replace(a_price(), rates_pico=MappingProxyType(dict(rates)))
    return a_target(replace(a_model(kind=kind), **limits), price)


def charge(usage: Usage, price: PriceVersion) -> int:
    """What this usage is billed."""
    return sum(line.charge_nano for line in price_lines(usage, price, 0))


def test_inline_media_count_as_their_most_tokens_and_not_as_bytes() -> None:
    call, to = asking(PICTURE), target(a_price().rates_pico, max_image_tokens=1_445)
    text = call.envelope.body_bytes - len(PIXELS) + TEMPLATE_TOKENS
    assert bound_of(call, to).input_tokens == text + 1_445
    assert bound_of(call, to, call.envelope.body_bytes + 100).input_tokens == text + 100 + 1_445


def test_media_by_address_count_too() -> None:
    plain, linked = bound_of(asking(), a_target()), bound_of(asking(LINK, LINK), target(a_price().rates_pico))
    assert linked.input_tokens - plain.input_tokens > 2 * 5_000
    twice = bound_of(asking(LINK, n=2), target(a_price().rates_pico, max_image_tokens=9_000))
    assert twice.input_tokens > 2 * 9_000


def test_audio_and_files_are_never_more_than_the_context() -> None:
    to = target(a_price().rates_pico)
    text = bound_of(asking(), to).input_tokens
    for parts in ((VOICE,), (VOICE, VOICE), (PDF,), (VOICE, PDF)):
        media = bound_of(asking(*parts), to).input_tokens - text
        assert 4_096 <= media < 4_096 + 400
    small = target(a_price().rates_pico, max_audio_tokens=100, max_file_tokens=50)
    assert bound_of(asking(VOICE, PDF), small).input_tokens - text < 150 + 400


@given(
    fresh=st.integers(0, 30),
    audio=st.integers(0, 4_096),
    image=st.integers(0, 5_000),
    cached=st.integers(0, 60),
    output=st.integers(0, 9),
)
def test_a_prompt_with_media_is_never_billed_over_its_hold(
    fresh: int, audio: int, image: int, cached: int, output: int
) -> None:
    to = target(DEAR_MEDIA)
    more = rare({TokenClass.INPUT_AUDIO: audio, TokenClass.INPUT_IMAGE: image})
    usage = Usage(fresh, cached, output_text=output, more=more)
    assert charge(usage, to.price) <= bound_of(asking(VOICE, LINK, max_tokens=9), to).amount_nano


def test_text_is_not_held_at_the_price_of_audio() -> None:
    to = target(DEAR_MEDIA)
    assert bound_of(asking(), to).amount_nano == bound_of(asking(), a_target()).amount_nano


@pytest.mark.parametrize("limits", [{}, {"max_image_tokens": 3}])
def test_our_own_count_of_media_is_never_over_the_hold(limits: dict[str, int]) -> None:
    call, to = asking(PICTURE, LINK), target(a_price().rates_pico, **limits)
    guess = estimated_usage(call, to, 0)
    assert guess.input_fresh < call.envelope.body_bytes // 4
    assert charge(guess, to.price) <= bound_of(call, to).amount_nano


def test_seconds_are_held_for_what_may_be_heard() -> None:
    rates = {**a_price().rates_pico, UnitClass.SECOND: 66_666_667}
    silent, heard = (bound_of(asking(*parts), target(rates)).amount_nano for parts in ((), (VOICE,)))
    assert heard - silent >= 4_096 * 66_666
    assert charge(Usage(4, more=((UnitClass.SECOND, 4_096),)), target(rates).price) <= heard


def test_searches_are_held_as_often_as_the_tool_may_search() -> None:
    body: JsonObject = {
        "model": "one",
        "max_tokens": 1,
        "messages": [{"role": "user", "content": "Hi"}],
    }
    rates = {**a_price().rates_pico, UnitClass.SEARCH: 10_000_000_000}
    bounds: list[int] = []
    for uses in (3, 0):
        tool: JsonObject = {"type": "web_search_20250305", "name": "web_search", "max_uses": uses}
        envelope = anthropic_messages.read_envelope({**body, "tools": [tool]}, 100)
        call = Call("req_1", Operation.CHAT, CALLER, envelope, body, 0)
        bounds.append(bound_of(call, target(rates)).amount_nano)
        assert estimated_usage(call, target(rates), 0).more == ()
    assert 30_000_000 <= bounds[0] < 31_000_000
    assert 200_000_000 <= bounds[1] < 201_000_000


PER_IMAGE: Rates = {UnitClass.IMAGE: 65_000_000_000}
PER_SEARCH: Rates = {UnitClass.SEARCH: 2_000_000_000}
PER_CHARACTER: Rates = {UnitClass.CHARACTER: 15_000_000}


@pytest.mark.parametrize(
    ("call", "rates", "kind", "nano"),
    [
        (piece(Operation.IMAGES, prompt="A cat", n=3), PER_IMAGE, ModelKind.IMAGE, 195_000_000),
        (piece(Operation.RERANK, query="q", documents=["a"] * 150), PER_SEARCH, ModelKind.RERANK, 4_000_000),
        (piece(Operation.SPEECH, input="Hello", voice="v"), PER_CHARACTER, ModelKind.SPEECH, 75_000),
    ],
)
def test_what_is_priced_by_the_piece_is_held_and_counted_from_the_request(
    call: Call, rates: Rates, kind: ModelKind, nano: int
) -> None:
    to = target(rates, kind, max_output_tokens=0, default_output_tokens=0)
    bound, guess = bound_of(call, to).amount_nano, estimated_usage(call, to, 0)
    assert nano <= bound <= nano + 20
    assert charge(guess, to.price) == nano
    assert guess.source == "counted"


IMAGE_TOKENS: Rates = {TokenClass.INPUT_FRESH: 5_000_000, TokenClass.OUTPUT_TEXT: 30_000_000}


@pytest.mark.parametrize(
    ("rates", "given", "counts", "source"),
    [
        (PER_IMAGE, Usage(more=((UnitClass.IMAGE, 2),)), {UnitClass.IMAGE: 2}, "upstream"),
        (
            IMAGE_TOKENS,
            Usage(input_fresh=9, more=((TokenClass.OUTPUT_IMAGE, 1_056), (UnitClass.IMAGE, 1))),
            {TokenClass.INPUT_FRESH: 9, TokenClass.OUTPUT_IMAGE: 1_056, UnitClass.IMAGE: 1},
            "upstream",
        ),
        (
            IMAGE_TOKENS,
            Usage(more=((UnitClass.IMAGE, 2),)),
            {TokenClass.INPUT_FRESH: 20, TokenClass.OUTPUT_IMAGE: 3_000, UnitClass.IMAGE: 2},
            "bound",
        ),
    ],
)
def test_images_whose_tokens_nobody_counted_are_not_free(
    rates: Rates, given: Usage, counts: dict[UsageClass, int], source: str
) -> None:
    call = piece(Operation.IMAGES, prompt="A cat", n=2)
    to = target(rates, ModelKind.IMAGE, max_output_tokens=1_500, default_output_tokens=1_500)
    usage = completed_usage(call, to, given)
    assert (dict(usage.quantities()), usage.source) == (counts, source)
    assert charge(usage, to.price) <= bound_of(call, to).amount_nano


@pytest.mark.parametrize(
    ("rates", "given", "counts", "source"),
    [
        (PER_SEARCH, Usage(more=((UnitClass.SEARCH, 1),)), {UnitClass.SEARCH: 1}, "upstream"),
        (PER_SEARCH, Usage(input_fresh=80), {TokenClass.INPUT_FRESH: 80, UnitClass.SEARCH: 2}, "counted"),
        ({TokenClass.INPUT_FRESH: 10}, Usage(input_fresh=80), {TokenClass.INPUT_FRESH: 80}, "upstream"),
        (
            {TokenClass.INPUT_FRESH: 10},
            Usage(more=((UnitClass.SEARCH, 1),)),
            {TokenClass.INPUT_FRESH: 161, UnitClass.SEARCH: 1},
            "counted",
        ),
    ],
)
def test_an_upstream_may_count_in_another_unit_than_it_is_priced_in(
    rates: Rates, given: Usage, counts: dict[UsageClass, int], source: str
) -> None:
    call = piece(Operation.RERANK, query="q", documents=["a"] * 150)
    usage = completed_usage(call, target(rates, ModelKind.RERANK), given)
    assert (dict(usage.quantities()), usage.source) == (counts, source)


def test_a_chat_keeps_the_upstreams_usage() -> None:
    usage = Usage(1, output_text=2)
    assert completed_usage(a_call(), a_target(), usage) is usage
    assert a_call().envelope.media is NO_MEDIA
    assert Media() == NO_MEDIA


def test_an_affordable_cap_leaves_room_for_media() -> None:
    call, to = asking(LINK, max_tokens=1_000), target(DEAR_MEDIA)
    bound = bound_of(call, to)
    left = bound.amount_nano - 400 * 4
    cap = affordable_cap(call, to.price, bound, left)
    assert cap == 600
    assert bound_of(asking(LINK, max_tokens=cap), to).amount_nano <= left
