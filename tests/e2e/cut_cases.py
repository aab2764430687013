"""What a stream that was cut at a byte must lead to, computed from the recording's construction and the cut alone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate
from typing import Any

from headrace.testing.recordings import Recording
from headrace.testing.script import Reply
from tests.e2e.raw_client import RawReply
from tests.ledger_file import EndedRequest

INPUT_NANO, CACHE_READ_NANO, OUTPUT_NANO = 100, 10, 200
WRITE_SIZES = (None, 4096, 997, 64)


class Outcome(StrEnum):
    """The three ends that a caller may see."""

    REFUSED = "refused"
    BROKEN = "broken"
    COMPLETE = "complete"


@dataclass(frozen=True, slots=True)
class Cut:
    """One recording, cut after so many bytes; how it is written and whether usage is asked for vary with the place."""

    recording: Recording
    after_bytes: int

    @property
    def model(self) -> str:
        """The catalog's name for the recording's model."""
        return f"cut-{self.recording.name}"

    @property
    def asks_for_usage(self) -> bool:
        """Whether the caller wants the usage chunk."""
        return self.after_bytes % 2 == 0

    def request(self) -> dict[str, object]:
        """The caller's body; a field that we do not know carries the cut through to the upstream."""
        body: dict[str, object] = {
            "model": self.model,
            "messages": [{"role": "user", "content": "go"}],
            "stream": True,
            "x_cut": f"{self.recording.name}:{self.after_bytes}",
        }
        return {**body, "stream_options": {"include_usage": True}} if self.asks_for_usage else body

    def reply(self, whole: Reply) -> Reply:
        """The upstream's answer: written by frames, or in blocks that break characters, and then cut."""
        size = WRITE_SIZES[self.after_bytes // 2 % len(WRITE_SIZES)]
        return (whole if size is None else whole.split_every(size)).cut(self.after_bytes)

    def outcomes(self) -> set[Outcome]:
        """The ends that are right; two only where a last CR may or may not be taken for the end of a frame."""
        at, first, done = self.after_bytes, self.recording.first_meaningful, self.recording.done
        right: set[Outcome] = set()
        if at < first.certain_bytes:
            right.add(Outcome.REFUSED)
        if first.possible_bytes <= at < done.certain_bytes:
            right.add(Outcome.BROKEN)
        if done.possible_bytes <= at:
            right.add(Outcome.COMPLETE)
        return right

    def payloads(self) -> tuple[list[object], int]:
        """What may leave before the end, and how many of these certainly do when the stream breaks there."""
        ends = accumulate(len(frame.data) for frame in self.recording.frames)
        found: list[object] = []
        certain = 0
        for frame, kind, end in zip(self.recording.frames, self.recording.kinds, ends, strict=True):
            if kind in ("opening", "content") and end - frame.data.endswith(b"\r\n") <= self.after_bytes:
                found.append(self._renamed(frame.data))
                certain += end <= self.after_bytes
        return found, certain

    def finish_payload(self) -> object:
        """The frame with the finish reason, which leaves only after the settlement."""
        return self._renamed(self.recording.frames[self.recording.kinds.index("finish")].data)

    def _renamed(self, frame: bytes) -> object:
        (payload,) = payloads_of(frame)
        chunk: dict[str, Any] = {**json.loads(payload), "model": self.model}
        if not self.asks_for_usage:
            chunk.pop("usage", None)
        return chunk


def payloads_of(stream: bytes) -> list[str]:
    """The data of each event of a stream of whole frames; a torn last frame is an AssertionError."""
    *frames, rest = stream.decode().replace("\r\n", "\n").split("\n\n")
    assert rest == "", f"a torn frame left: {rest!r}"
    data = [[line[5:].strip(" ") for line in frame.split("\n") if line.startswith("data:")] for frame in frames]
    return ["\n".join(lines) for lines in data if lines]


def judge_reply(cut: Cut, reply: RawReply) -> Outcome:
    """Check what the caller got against what the cut says; returns which end it was."""
    assert reply.request_id
    right = cut.outcomes()
    if reply.status == 502:
        assert Outcome.REFUSED in right
        assert reply.whole
        assert json.loads(reply.body)["error"]["code"] == "upstream_truncated"
        return Outcome.REFUSED
    assert reply.status == 200, reply
    *payloads, last = payloads_of(reply.body)
    possible, certain = cut.payloads()
    if last == "[DONE]":
        assert Outcome.COMPLETE in right
        assert reply.whole
        _check_complete(cut, [json.loads(each) for each in payloads], possible)
        return Outcome.COMPLETE
    assert Outcome.BROKEN in right
    assert not reply.whole, "the transfer ended well after an error event"
    assert json.loads(last)["error"]["code"] == "upstream_truncated"
    chunks = [json.loads(each) for each in payloads]
    assert chunks == possible[: len(chunks)], "what left is no prefix of what came"
    assert certain <= len(chunks) <= len(possible), f"{len(chunks)} frames left, at least {certain} had come"
    return Outcome.BROKEN


def _check_complete(cut: Cut, chunks: list[dict[str, Any]], expected: list[object]) -> None:
    if cut.asks_for_usage:
        last = chunks.pop()
        assert last["choices"] == []
        assert last["usage"] == cut.recording.usage
        assert last["headrace"]["cost_nano_usd"] == _complete_nano(cut)
    assert chunks == [*expected, cut.finish_payload()]


def judge_ledger(cut: Cut, outcome: Outcome, reply: RawReply, ended: EndedRequest) -> None:
    """Check how the ledger closed the request."""
    assert ended.attempts == 1
    if outcome is Outcome.REFUSED:
        assert (ended.outcome, ended.ending, ended.error_code) == ("voided", None, "upstream_truncated")
        assert (ended.entries, ended.cost_nano, ended.charge_nano, ended.possible_spend) == (0, 0, 0, 1)
        return
    assert ended.outcome == "settled"
    assert ended.cost_nano == ended.charge_nano
    if outcome is Outcome.COMPLETE:
        assert (ended.ending, ended.error_code, ended.usage_source) == ("complete", None, "upstream")
        assert ended.charge_nano == _complete_nano(cut)
        return
    assert (ended.ending, ended.error_code) == ("upstream_truncated", "upstream_truncated")
    usage = cut.recording.usage_frame
    if ended.usage_source == "upstream":
        assert usage.possible_bytes <= cut.after_bytes
        assert ended.charge_nano == _complete_nano(cut)
    else:
        assert cut.after_bytes < usage.certain_bytes
        assert ended.usage_source == "counted"
        content = len(payloads_of(reply.body)) - 2
        assert ended.output_tokens == content
        assert ended.charge_nano == ended.input_tokens * INPUT_NANO + content * OUTPUT_NANO


def _complete_nano(cut: Cut) -> int:
    cached = cut.recording.prompt_tokens // 2
    fresh = cut.recording.prompt_tokens - cached
    return fresh * INPUT_NANO + cached * CACHE_READ_NANO + cut.recording.completion_tokens * OUTPUT_NANO
