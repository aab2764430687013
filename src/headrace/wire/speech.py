"""Speech in OpenAI's form: the fields that we own, and the reader of an answer that is sound.

Source: OpenAI API reference, "Create speech" (read 2026-11-24).
"""

from __future__ import annotations

from collections.abc import Mapping

from headrace.domain.call import Envelope
from headrace.domain.errors import HeadraceError, InvalidRequest, UpstreamTruncated
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.usage import UnitClass, Usage
from headrace.wire.openai_chat import show, whole_envelope

MAX_INPUT_CHARS = 16_384
MAX_VOICE_CHARS = 256
CONTENT_TYPES: Mapping[str, str] = {
    "mp3": "audio/mpeg",
    "opus": "audio/opus",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}


def read_envelope(body: JsonObject, body_bytes: int) -> Envelope:
    """Return what we must understand of a request for speech; raises InvalidRequest naming the field."""
    text = body.get("input")
    if not isinstance(text, str) or not text:
        raise InvalidRequest(f'"input" must be a non-empty string, not {show(text)}.', param="input")
    if len(text) > MAX_INPUT_CHARS:
        raise InvalidRequest(f'"input" is longer than {MAX_INPUT_CHARS} characters.', param="input")
    if body.get("response_format") not in (None, *CONTENT_TYPES):
        known = ", ".join(CONTENT_TYPES)
        raise InvalidRequest(
            f'"response_format" must be one of {known}, not {show(body["response_format"])}.', param="response_format"
        )
    if body.get("stream_format") not in (None, "audio"):
        raise InvalidRequest('"stream_format" may only be "audio" here.', param="stream_format")
    return whole_envelope(body, body_bytes, units=((UnitClass.CHARACTER, len(text)),))


def content_type(body: Mapping[str, JsonValue]) -> str:
    """Return the type of the sound that was asked for; MP3 where nothing was."""
    asked = body.get("response_format")
    return CONTENT_TYPES[asked if isinstance(asked, str) else "mp3"]


class SpeechReader:
    """Passes sound through as it comes; the last block waits until the turn has settled. There is no usage in it.

    Characters are counted from the request: see services/metering.
    """

    def __init__(self) -> None:
        self._kept = b""
        self.meaningful = False
        self.ended = False
        self.failure: HeadraceError | None = None
        self.usage: Usage | None = None
        self.output_tokens_seen = 0

    def feed(self, block: bytes) -> bytes:
        """Return the block before this one."""
        if not block:
            return b""
        self.meaningful = True
        ready, self._kept = self._kept, block
        return ready

    def close(self) -> None:
        """End the answer: HTTP's own end is the only one that sound has."""
        if self.meaningful:
            self.ended = True
        else:
            self.failure = UpstreamTruncated("The upstream's answer was empty.")

    def finish(self, usage: Usage, money: Mapping[str, int | str]) -> bytes:
        """Return the last block."""
        return self._kept
