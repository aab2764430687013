"""What the fake upstream answers, as data: replies, faults, chunk boundaries, choice; sends nothing."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, pairwise
from typing import Literal, TypeAlias, cast

import msgspec

from headrace.testing.waiting import Gate

Framing: TypeAlias = Literal["chunked", "length", "close"]
FaultKind: TypeAlias = Literal["cut", "reset", "stall"]


@dataclass(frozen=True, slots=True)
class UpstreamRequest:
    """One request as the upstream received it.

    Shapes: header names are lower case, in the order received; `connection` tells which requests shared a
    socket.
    """

    number: int
    connection: int
    method: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=False)

    def header(self, name: str) -> str | None:
        """The first value of a header, or None."""
        return next((value for key, value in self.headers if key == name.lower()), None)

    @property
    def json(self) -> object:
        """The parsed body, or None when it is not JSON."""
        try:
            return cast("object", msgspec.json.decode(self.body))
        except msgspec.DecodeError:
            return None

    @property
    def fields(self) -> Mapping[str, object]:
        """The body's members when it is a JSON object, otherwise nothing."""
        value = self.json
        return cast("dict[str, object]", value) if isinstance(value, dict) else {}

    @property
    def model(self) -> str | None:
        """The model that the body names."""
        name = self.fields.get("model")
        return name if isinstance(name, str) else None


@dataclass(frozen=True, slots=True)
class Frame:
    """One unit of a body, with the completion tokens that the upstream bills once all of it is written."""

    data: bytes
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Fault:
    """How a reply goes wrong: closed, reset or silent after that many body bytes (None: after all)."""

    kind: FaultKind
    after_bytes: int | None = None
    before_headers: bool = False


@dataclass(frozen=True, slots=True)
class Write:
    """One write to the socket: first the gate, then the delay, then the bytes."""

    data: bytes
    gate: Gate | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """One scripted answer; every method returns a changed copy.

    Shapes: each frame leaves as one write (one HTTP chunk) unless `boundaries` gives body offsets at which
    to split. `holds` are body offsets with the gate to pass there.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    frames: tuple[Frame, ...] = ()
    prompt_tokens: int = 0
    framing: Framing = "length"
    boundaries: tuple[int, ...] | None = None
    holds: tuple[tuple[int, Gate], ...] = ()
    headers_gate: Gate | None = None
    fault: Fault | None = None
    delay_before_headers_seconds: float = 0.0
    delay_between_writes_seconds: float = 0.0

    @property
    def body(self) -> bytes:
        """The whole body, before chunking and faults."""
        return b"".join(frame.data for frame in self.frames)

    @property
    def frame_starts(self) -> tuple[int, ...]:
        """The body offset of each frame, and at the end the body's length."""
        return tuple(accumulate((len(frame.data) for frame in self.frames), initial=0))

    @property
    def closes(self) -> bool:
        """Whether the connection ends with this reply."""
        named = (value for name, value in self.headers.items() if name.lower() == "connection")
        return self.framing == "close" or "close" in named

    def billed_tokens(self, written_bytes: int) -> int:
        """Completion tokens of the frames that lie wholly inside the bytes written."""
        ends = self.frame_starts[1:]
        return sum(frame.tokens for frame, end in zip(self.frames, ends, strict=True) if end <= written_bytes)

    def cut(self, after_bytes: int | None = None) -> "Reply":
        """Close after that many body bytes, without the last HTTP chunk."""
        return replace(self, fault=Fault("cut", after_bytes))

    def reset(self, after_bytes: int | None = None) -> "Reply":
        """Send a TCP reset after that many body bytes."""
        return replace(self, fault=Fault("reset", after_bytes))

    def stall(self, after_bytes: int | None = None) -> "Reply":
        """Keep the connection open after that many body bytes and send nothing more."""
        return replace(self, fault=Fault("stall", after_bytes))

    def without_headers(self, kind: FaultKind = "cut") -> "Reply":
        """Close, reset or fall silent before the first response byte."""
        return replace(self, fault=Fault(kind, 0, before_headers=True))

    def split_at(self, *offsets: int) -> "Reply":
        """Cut the body into HTTP chunks at these offsets instead of at its frames."""
        return replace(self, boundaries=tuple(offsets))

    def split_every(self, size_bytes: int) -> "Reply":
        """Cut the body into HTTP chunks of one size."""
        return replace(self, boundaries=tuple(range(0, len(self.body), size_bytes)))

    def hold(self, gate: Gate, before_frame: int) -> "Reply":
        """Wait at the gate before that frame; the number of frames means before the end."""
        return replace(self, holds=(*self.holds, (self.frame_starts[before_frame], gate)))

    def hold_headers(self, gate: Gate) -> "Reply":
        """Wait at the gate before the first response byte."""
        return replace(self, headers_gate=gate)

    def delayed(self, *, before_headers_seconds: float = 0.0, between_writes_seconds: float = 0.0) -> "Reply":
        """Wait before the headers, and between one write of the body and the next."""
        return replace(
            self,
            delay_before_headers_seconds=before_headers_seconds,
            delay_between_writes_seconds=between_writes_seconds,
        )

    def writes(self) -> Iterator[Write]:
        """The writes that bring the body out, up to its fault; an empty one for a gate at the end."""
        body = self.body
        limit = len(body)
        if self.fault is not None and self.fault.after_bytes is not None:
            limit = min(limit, self.fault.after_bytes)
        gates = dict(self.holds)
        chosen = self.frame_starts if self.boundaries is None else self.boundaries
        starts = sorted({0, *chosen, *gates})
        starts = [start for start in starts if start < limit]
        for start, end in pairwise([*starts, limit]):
            yield Write(body[start:end], gates.get(start))
        if limit in gates:
            yield Write(b"", gates[limit])


Answer: TypeAlias = Callable[[UpstreamRequest], Reply]
Replies: TypeAlias = Reply | Sequence[Reply] | Answer
Script: TypeAlias = Replies | Mapping[str, Replies]


def raw_reply(body: bytes, *, status: int = 200, content_type: str = "application/json") -> Reply:
    """A reply with any bytes as its body, sent with a content length."""
    return Reply(status=status, headers={"content-type": content_type}, frames=(Frame(body),))


def json_reply(value: object, *, status: int = 200) -> Reply:
    """A reply with a JSON body, sent with a content length."""
    return raw_reply(msgspec.json.encode(value), status=status)


def out_of_script(request: UpstreamRequest) -> Reply:
    """The loud answer to a request that no script foresaw: status 501, which nobody retries by mistake."""
    asked = f"{request.method} {request.path} (request {request.number}, model {request.model!r})"
    error = {"message": f"The fake upstream's script has no reply left for {asked}.", "type": "fake_upstream"}
    return json_reply({"error": error | {"code": "out_of_script"}}, status=501)


def answering(script: Script) -> Answer:
    """Make one function of a script.

    Shapes: a reply answers always; a sequence answers in order and then is out of script; a function is
    called; a mapping chooses by path (keys that start with `/`), then by model name, then by `*`.
    """
    if isinstance(script, Mapping):
        by_key = cast("Mapping[str, Replies]", script)
        return _by_key({key: answering(replies) for key, replies in by_key.items()})
    if isinstance(script, Reply):
        return _always(script)
    if callable(script):
        return script
    return _in_order(script)


def _always(reply: Reply) -> Answer:
    return lambda _request: reply


def _in_order(replies: Sequence[Reply]) -> Answer:
    left = iter(tuple(replies))

    def answer(request: UpstreamRequest) -> Reply:
        reply = next(left, None)
        return out_of_script(request) if reply is None else reply

    return answer


def _by_key(answers: Mapping[str, Answer]) -> Answer:
    def answer(request: UpstreamRequest) -> Reply:
        keys = (request.path, request.model, "*")
        chosen = next((answers[key] for key in keys if key is not None and key in answers), out_of_script)
        return chosen(request)

    return answer
