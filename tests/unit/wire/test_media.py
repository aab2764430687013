"""Images, audio and files in a prompt, in every dialect."""

import pytest

from headrace.domain.call import NO_MEDIA, Media
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire import anthropic_messages, openai_chat, openai_responses
from headrace.wire.json_strict import encode

PIXELS = "A" * 1000
TEXT: JsonObject = {"type": "text", "text": "What is this?"}


def chat(*parts: JsonValue) -> Media:
    """The media of a chat prompt."""
    body: JsonObject = {"model": "m", "messages": [{"role": "user", "content": [TEXT, *parts]}]}
    return openai_chat.read_envelope(body, len(encode(body))).media


def messages(*parts: JsonValue) -> Media:
    """The media of a prompt in Messages."""
    call: JsonObject = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    turns: list[JsonValue] = [{"role": "assistant", "content": [call]}, {"role": "user", "content": [TEXT, *parts]}]
    body: JsonObject = {"model": "m", "max_tokens": 9, "messages": turns}
    return anthropic_messages.read_envelope(body, len(encode(body))).media


def responses(*parts: JsonValue) -> Media:
    """The media of a prompt in Responses."""
    item: JsonObject = {"role": "user", "content": [{"type": "input_text", "text": "What?"}, *parts]}
    body: JsonObject = {"model": "m", "input": [item]}
    return openai_responses.read_envelope(body, len(encode(body))).media


IN_CHAT: tuple[tuple[JsonObject, Media], ...] = (
    ({"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}}, Media(images=1)),
    (
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXELS}"}},
        Media(images=1, inline_bytes=1000),
    ),
    ({"type": "input_audio", "input_audio": {"data": PIXELS, "format": "wav"}}, Media(audios=1, inline_bytes=1000)),
    (
        {"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PIXELS}"}},
        Media(files=1, inline_bytes=1000),
    ),
    ({"type": "file", "file": {"file_id": "file-1"}}, Media(files=1)),
)
IN_MESSAGES: tuple[tuple[JsonObject, Media], ...] = (
    ({"type": "image", "source": {"type": "url", "url": "https://example.com/cat.png"}}, Media(images=1)),
    (
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXELS}},
        Media(images=1, inline_bytes=1000),
    ),
    (
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PIXELS}},
        Media(files=1, inline_bytes=1000),
    ),
)
IN_RESPONSES: tuple[tuple[JsonObject, Media], ...] = (
    ({"type": "input_image", "image_url": "https://example.com/cat.png"}, Media(images=1)),
    ({"type": "input_image", "image_url": f"data:image/png;base64,{PIXELS}"}, Media(images=1, inline_bytes=1000)),
    ({"type": "input_file", "file_data": PIXELS, "filename": "a.pdf"}, Media(files=1, inline_bytes=1000)),
)


@pytest.mark.parametrize(("part", "media"), IN_CHAT)
def test_media_in_chat(part: JsonObject, media: Media) -> None:
    assert chat(part) == media
    assert chat(part, part) == Media(
        *(2 * each for each in (media.images, media.audios, media.files, media.inline_bytes))
    )


@pytest.mark.parametrize(("part", "media"), IN_MESSAGES)
def test_media_in_messages(part: JsonObject, media: Media) -> None:
    assert messages(part) == media
    result: JsonObject = {"type": "tool_result", "tool_use_id": "t", "content": [part]}
    assert messages(result) == media


@pytest.mark.parametrize(("part", "media"), IN_RESPONSES)
def test_media_in_responses(part: JsonObject, media: Media) -> None:
    assert responses(part) == media


def test_text_is_no_media_whatever_it_is_called() -> None:
    assert chat() is NO_MEDIA
    assert messages() is NO_MEDIA
    assert responses() is NO_MEDIA
    plain: JsonObject = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": PIXELS}}
    picture: JsonObject = {"type": "image", "source": {"type": "url", "url": "https://example.com/cat.png"}}
    assert messages(plain) is NO_MEDIA
    assert messages(plain, picture) == Media(images=1)
    inside: JsonObject = {"type": "document", "source": {"type": "content", "content": [picture]}}
    assert messages(inside, picture) == Media(images=2)
