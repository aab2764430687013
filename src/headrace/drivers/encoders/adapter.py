"""The way to an encoder in this process by the door that every upstream uses; encoding is the encoder's."""

from __future__ import annotations

import asyncio
import base64
import struct
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from headrace.domain.call import Call
from headrace.domain.errors import HeadraceError, InvalidRequest, UpstreamRefused, UpstreamTimeout
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.plan import Deadlines, Endpoint, Target
from headrace.ports.ambient import Offload
from headrace.ports.fleet import Encoder
from headrace.ports.upstream import Exchange, Prepared, Reader, Transport
from headrace.wire.json_strict import decode_trusted, encode, is_object
from headrace.wire.openai_body import JsonBodyReader
from headrace.wire.openai_failure import failure_from_status

PATH = "/embeddings"
MAX_INPUTS = 2048

_HEADERS: Mapping[str, str] = MappingProxyType({"content-type": "application/json"})


class EncoderExchange:
    """A finished computation as an answered request."""

    def __init__(self, body: bytes) -> None:
        self.status: int = 200
        self.headers: Mapping[str, str] = _HEADERS
        self._body: bytes | None = body

    async def read(self) -> bytes | None:
        """Return the whole body, then None."""
        body, self._body = self._body, None
        return body

    async def close(self) -> None:
        """Nothing is held."""
        self._body = None


class EncoderAdapter:
    """OpenAI embeddings served by encoders of this process; `encoders` are by the model's upstream name."""

    def __init__(self, encoders: Mapping[str, Encoder], offload: Offload) -> None:
        self._encoders = encoders
        self._offload = offload

    def prepare(self, call: Call, target: Target) -> Prepared:
        """Return the checked request; raises InvalidRequest naming the field that an encoder cannot take."""
        name = target.model.upstream_name
        _check_dimensions(call.body.get("dimensions"), self._encoders[name].dimensions, target.model.id)
        body: JsonObject = {
            "model": name,
            "input": list[JsonValue](_texts(call.body.get("input"))),
            "encoding_format": _encoding(call.body.get("encoding_format")),
        }
        return Prepared(PATH, encode(body), stream=False)

    async def open(
        self, transport: Transport, endpoint: Endpoint, prepared: Prepared, deadlines: Deadlines
    ) -> Exchange:
        """Compute the vectors here; the transport is not used.

        Raises UpstreamRefused for too long a text, UpstreamTimeout past the total deadline, EngineFailed.
        """
        request = decode_trusted(prepared.body)
        if not is_object(request):
            raise InvalidRequest("The request is not a JSON object.")
        encoder = self._encoders[str(request["model"])]
        texts = _texts(request["input"])
        try:
            async with asyncio.timeout(deadlines.total_seconds):
                vectors, tokens = await encoder.embed(texts)
        except InvalidRequest as error:
            raise UpstreamRefused(error.message, code=error.code, param=error.param) from error
        except TimeoutError as error:
            raise UpstreamTimeout(
                f"{len(texts)} texts took more than {deadlines.total_seconds:g} s; send fewer at once."
            ) from error
        answer = await self._offload.run(_answer, request, vectors, tokens)
        return EncoderExchange(answer)

    async def count_prompt(
        self, transport: Transport, endpoint: Endpoint, prepared: Prepared, deadlines: Deadlines
    ) -> int | None:
        """Count the texts' tokens here, in the pool."""
        request = decode_trusted(prepared.body)
        return (
            await self._encoders[str(request["model"])].count(_texts(request["input"])) if is_object(request) else None
        )

    def reader(self, call: Call, target: Target) -> Reader:
        """Return a reader of the JSON answer."""
        return JsonBodyReader(target.model.id, "data")

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> HeadraceError:
        """Name a failure by its status; an encoder's own failures are raised by `open` instead."""
        return failure_from_status(status, headers, body)


def _texts(value: JsonValue) -> list[str]:
    items: Sequence[JsonValue] = value if isinstance(value, list) else [value]
    if not 0 < len(items) <= MAX_INPUTS:
        raise InvalidRequest(f'"input" must hold 1 to {MAX_INPUTS} texts, not {len(items)}.', param="input")
    texts: list[str] = []
    for item in items:
        if isinstance(item, int | list):
            raise InvalidRequest(
                '"input" holds token numbers; this model reads text only. Send strings.', param="input"
            )
        if not isinstance(item, str) or not item:
            raise InvalidRequest('"input" must be a non-empty string or an array of such.', param="input")
        texts.append(item)
    return texts


def _encoding(value: JsonValue) -> str:
    if value is None:
        return "float"
    if value not in ("float", "base64"):
        raise InvalidRequest('"encoding_format" must be "float" or "base64".', param="encoding_format")
    return str(value)


def _check_dimensions(value: JsonValue, dimensions: int, model_id: str) -> None:
    if value is not None and (isinstance(value, bool) or value != dimensions):
        raise InvalidRequest(
            f'"dimensions" must be {dimensions} or absent: {model_id} has no other size.', param="dimensions"
        )


def _answer(request: JsonObject, vectors: Sequence[list[float]], tokens: int) -> bytes:
    as_base64 = request["encoding_format"] == "base64"
    data: list[JsonValue] = [
        {
            "object": "embedding",
            "index": index,
            "embedding": _base64(vector) if as_base64 else list[JsonValue](vector),
        }
        for index, vector in enumerate(vectors)
    ]
    return encode(
        {
            "object": "list",
            "data": data,
            "model": request["model"],
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }
    )


def _base64(vector: Sequence[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode("ascii")
