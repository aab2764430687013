"""Serving one dialect by upstreams of another: an adapter around an adapter, and the reader that goes with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeGuard

import msgspec

from headrace.domain.call import Call, Dialect, Envelope
from headrace.domain.errors import HeadraceError, InvalidRequest, UpstreamProtocol
from headrace.domain.json_value import JsonObject
from headrace.domain.plan import Deadlines, Endpoint, Target
from headrace.domain.usage import Usage
from headrace.ports.upstream import Adapter, Exchange, Prepared, PromptCounter, Reader, Transport
from headrace.services.reader_around import ReaderAround
from headrace.services.shaped import shaped
from headrace.wire.dialect_headers import untranslated_headers
from headrace.wire.json_strict import decode_trusted, encode, is_object
from headrace.wire.pair import Pair, StreamTranslator
from headrace.wire.sse import FrameSplitter, frame_data

ReadEnvelope = Callable[[JsonObject, int], Envelope]


class TranslatingAdapter:
    """Serves calls of every dialect through an adapter that speaks one.

    `pairs` are the translations from other dialects into the upstream's, by the caller's dialect. `keeps_form` says
    that the upstream cannot answer in another form than the one that was asked for.
    """

    def __init__(
        self,
        inner: Adapter,
        dialect: Dialect,
        pairs: Mapping[Dialect, Pair],
        read_envelope: ReadEnvelope,
        *,
        keeps_form: bool = False,
    ) -> None:
        self._inner = inner
        self._dialect = dialect
        self._pairs = pairs
        self._read_envelope = read_envelope
        self._keeps_form = keeps_form

    def prepare(self, call: Call, target: Target) -> Prepared:
        """Return the upstream's request; raises InvalidRequest naming the field that it cannot express."""
        if call.dialect is self._dialect:
            return self._inner.prepare(call, target)
        translated = self._pair(call).request(dict(call.body))
        envelope = self._read_envelope(translated.body, call.envelope.body_bytes)
        if call.envelope.output_cap is not None:
            envelope = replace(envelope, output_cap=call.envelope.output_cap)
        asked = replace(
            call, dialect=self._dialect, body=translated.body, envelope=envelope, passed_headers=(), origin=call
        )
        prepared = self._inner.prepare(asked, target)
        dropped = (*prepared.dropped, *translated.dropped, *untranslated_headers(call.passed_headers))
        return replace(prepared, dropped=dropped, call=asked)

    async def open(
        self, transport: Transport, endpoint: Endpoint, prepared: Prepared, deadlines: Deadlines
    ) -> Exchange:
        """Send the request as the inner adapter does."""
        return await self._inner.open(transport, endpoint, prepared, deadlines)

    def reader(self, call: Call, target: Target) -> Reader:
        """Return a reader that gives the answer to a translated call in the dialect of the call that it came from."""
        inner, origin = self._inner.reader(call, target), call.origin
        if not self._keeps_form:
            inner = shaped(inner, call, self._dialect)
        if origin is None:
            return inner
        pair, request = self._pair(origin), dict(origin.body)
        if origin.envelope.stream:
            return TranslatedStream(inner, pair.stream(request))
        return TranslatedReply(inner, lambda body: pair.reply(body, request))

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> HeadraceError:
        """Name the failure as the inner adapter does."""
        return self._inner.failure(status, headers, body)

    async def count_prompt(
        self, transport: Transport, endpoint: Endpoint, prepared: Prepared, deadlines: Deadlines
    ) -> int | None:
        """Count the prompt as the inner adapter does, where it can."""
        inner = self._inner
        return await inner.count_prompt(transport, endpoint, prepared, deadlines) if _counts(inner) else None

    def _pair(self, call: Call) -> Pair:
        pair = self._pairs.get(call.dialect)
        if pair is None:
            raise InvalidRequest(
                f"This model cannot be called in the {call.dialect.value} dialect.", code="dialect_unsupported"
            )
        return pair


def _counts(adapter: Adapter) -> TypeGuard[PromptCounter]:
    return isinstance(adapter, PromptCounter)


class TranslatedStream(ReaderAround):
    """Reads a stream in the upstream's dialect and gives it out in the caller's, event by event."""

    def __init__(self, inner: Reader, translator: StreamTranslator) -> None:
        super().__init__(inner)
        self._translator = translator
        self._splitter = FrameSplitter()

    def feed(self, block: bytes) -> bytes:
        """Return the translation of what may leave now."""
        if self._failure is not None:
            return b""
        return self._translate(self._inner.feed(block))

    def finish(self, usage: Usage, money: Mapping[str, int | str]) -> bytes:
        """Return the translation of the held-back end."""
        return self._translate(self._inner.finish(usage, money)) + self._translator.finish()

    def _translate(self, frames: bytes) -> bytes:
        out: list[bytes] = []
        for frame in self._splitter.feed(frames):
            data = frame_data(frame)
            if data is None or data == b"[DONE]":
                continue
            try:
                value = decode_trusted(data)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                self._failure = UpstreamProtocol("The upstream sent a frame that is not JSON.", detail=str(error))
                break
            if is_object(value):
                out.append(self._translator.event(value))
        return b"".join(out)


class TranslatedReply(ReaderAround):
    """Reads a whole answer in the upstream's dialect and gives it out in the caller's."""

    def __init__(self, inner: Reader, translate: Callable[[JsonObject], JsonObject]) -> None:
        super().__init__(inner)
        self._translate = translate
        self._answer: bytes | None = None

    def feed(self, block: bytes) -> bytes:
        """Keep a block; nothing is given out."""
        self._inner.feed(block)
        self._try()
        return b""

    def close(self) -> None:
        """Say that the upstream's body has ended."""
        super().close()
        self._try()

    def _try(self) -> None:
        """Translate a complete answer, so that one that cannot be translated fails before it is paid for."""
        if not self._inner.ended or self.failure is not None or self._answer is not None:
            return
        try:
            self._answer = self._translated(self._inner.usage or Usage(source="counted"), {})
        except UpstreamProtocol as error:
            self._failure = error

    def finish(self, usage: Usage, money: Mapping[str, int | str]) -> bytes:
        """Return the translated answer."""
        return self._translated(usage, money) if self._answer is None or usage.estimated else self._answer

    def _translated(self, usage: Usage, money: Mapping[str, int | str]) -> bytes:
        body = decode_trusted(self._inner.finish(usage, money))
        if not is_object(body):
            raise UpstreamProtocol("The upstream's answer is not a JSON object.")
        return encode(self._translate(body))
