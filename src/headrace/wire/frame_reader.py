"""The part of reading a streamed answer that every dialect shares; what a frame means is the dialect's own module.

Frames before the first content and from the last piece of content on are kept, up to a size; the rest leave at once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import ClassVar

import msgspec

from headrace.domain.errors import HeadraceError, UpstreamProtocol, UpstreamTruncated
from headrace.domain.json_value import JsonObject
from headrace.wire.json_strict import decode_trusted, is_object
from headrace.wire.sse import FrameSplitter, FrameTooLong, frame_data

MAX_KEPT_BYTES = 16 * 1024 * 1024
_RAW = msgspec.json.Decoder(msgspec.Raw)
_NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class FrameReader(ABC):
    """Reads one streamed answer frame by frame; a dialect adds `_read_data`, `usage` and `finish`."""

    # Whether an answer that is finished may lack its terminator.
    _ends_with_body: ClassVar[bool] = False

    def __init__(self, model_id: str) -> None:
        self._model_id = model_id
        self._splitter = FrameSplitter()
        self._early: list[bytes] = []
        self._held: list[bytes] = []
        self._kept_bytes = 0
        self._is_finished: bool = False
        self.meaningful: bool = False
        self.ended: bool = False
        self.failure: HeadraceError | None = None
        self.output_tokens_seen: int = 0

    @property
    def kept(self) -> bytes:
        """The frames that were read and are not given out yet."""
        return b"".join(self._early + self._held)

    def feed(self, block: bytes) -> bytes:
        """Return the frames of this block that may leave now."""
        if self.failure is not None or self.ended:
            return b""
        try:
            frames = self._splitter.feed(block)
        except FrameTooLong as error:
            self.failure = UpstreamProtocol("The upstream sent an endless frame.", detail=str(error))
            return b""
        return self._read(frames)

    def close(self) -> None:
        """Judge the end of the upstream's body: complete, or cut off."""
        if self.failure is not None or self.ended:
            return
        rest = self._splitter.rest.rstrip()
        is_whole = not rest or frame_data(rest + b"\n\n") is not None
        if rest and is_whole:
            self._read([rest + b"\n\n"])
        self._judge_end(is_whole)

    @abstractmethod
    def _read_data(self, frame: bytes, data: bytes) -> bytes | None:
        """Take a frame by its data and return what may leave, or None; sets `_is_finished` when content is over."""

    def _read(self, frames: Iterable[bytes]) -> bytes:
        out: list[bytes] = []
        try:
            for frame in frames:
                data = frame_data(frame)
                ready = self._place(frame) if data is None else self._read_data(frame, data)
                if ready is not None:
                    out.append(ready)
                if self.failure is not None or self.ended:
                    break
        except _NOT_JSON as error:
            self.failure = UpstreamProtocol("The upstream sent a frame that is not JSON.", detail=str(error))
        return b"".join(out)

    def _judge_end(self, is_whole: bool) -> None:
        if self.ended:
            return
        if self.failure is None and self._ends_with_body and self._is_finished and is_whole:
            self.ended = True
        elif self.failure is None or isinstance(self.failure, UpstreamProtocol):
            self.failure = UpstreamTruncated("The upstream's stream ended before its answer was complete.")

    def _decode(self, data: bytes) -> JsonObject | None:
        """Return the object in a frame; anything else in it is a failure."""
        event = decode_trusted(data)
        if is_object(event):
            return event
        self.failure = UpstreamProtocol("The upstream sent a frame that is not an object.")
        return None

    def _place(self, frame: bytes) -> bytes | None:
        if self._is_finished or not self.meaningful:
            self._keep(frame)
            return None
        if self._early:
            frame = b"".join([*self._early, frame])
            self._early = []
        return frame

    def _keep(self, frame: bytes) -> None:
        (self._held if self._is_finished else self._early).append(frame)
        self._kept_bytes += len(frame)
        if self._kept_bytes > MAX_KEPT_BYTES:
            self.failure = UpstreamProtocol(
                "The upstream sends and sends without content.", detail=f"{self._kept_bytes} bytes were kept back"
            )


def check_json(data: bytes) -> None:
    """Check that data is JSON without building its objects; what it raises, a FrameReader turns into a failure."""
    _RAW.decode(data)
    if not data.isascii():
        data.decode()
