"""What a stream that was cut at a byte must lead to, computed from the recording's construction and the cut alone."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from headrace.testing.script import Reply
from tests.e2e.cut_dialects import SPOKEN, Event, Spoken, cost_shown, payloads_of
from tests.e2e.cut_recordings import DIALECTS, NO_PAIR, CutStream, Dialect, FrameKind, event_of
from tests.e2e.raw_client import RawReply
from tests.ledger_file import EndedRequest

INPUT_NANO, CACHE_READ_NANO, OUTPUT_NANO = 100, 10, 200
WRITE_SIZES = (None, 4096, 997, 64)
LEAVES_BEFORE_THE_END = frozenset({"passing", "call", "content"})


class Outcome(StrEnum):
    """The three ends that a caller may see."""

    REFUSED = "refused"
    BROKEN = "broken"
    COMPLETE = "complete"


@dataclass(frozen=True, slots=True)
class Cut:
    """One upstream's stream, cut after so many bytes, as a caller of a dialect asked for it.

    How it is written and whether usage is asked for vary with the place.
    """

    stream: CutStream
    after_bytes: int
    caller: Dialect

    @property
    def spoken(self) -> Spoken:
        """The caller's dialect."""
        return SPOKEN[self.caller]

    @property
    def is_translated(self) -> bool:
        """Whether the caller speaks another dialect than the upstream."""
        return self.caller != self.stream.dialect

    @property
    def model(self) -> str:
        """The catalog's name for the stream's model."""
        return f"cut-{self.stream.name}"

    @property
    def asks_for_usage(self) -> bool:
        """Whether a caller of chat wants the usage chunk; one of Responses has its response kept."""
        return self.after_bytes % 2 == 0

    def request(self) -> Event:
        """The caller's body; what it says carries the cut through to the upstream."""
        prompt = f"cut={self.stream.name}:{self.after_bytes}:{self.caller}"
        return self.spoken.request(self.model, prompt, self.asks_for_usage)

    def reply(self, whole: Reply) -> Reply:
        """The upstream's answer: written by frames, or in blocks that break characters, and then cut."""
        size = WRITE_SIZES[self.after_bytes // 2 % len(WRITE_SIZES)]
        return (whole if size is None else whole.split_every(size)).cut(self.after_bytes)

    def outcomes(self) -> set[Outcome]:
        """The ends that are right; two only where a last CR may or may not be taken for the end of a frame."""
        at, first, done = self.after_bytes, self.stream.first_meaningful, self.stream.done
        right: set[Outcome] = set()
        if at < first.certain_bytes:
            right.add(Outcome.REFUSED)
        if first.possible_bytes <= at < done.certain_bytes:
            right.add(Outcome.BROKEN)
        if done.possible_bytes <= at:
            right.add(Outcome.COMPLETE)
        return right

    def arrived(self) -> Iterator[tuple[Event, FrameKind, bool]]:
        """The events that may leave before the end, in order, and whether each certainly came before the cut."""
        for frame, kind, end in zip(self.stream.frames, self.stream.kinds, self.stream.ends, strict=True):
            event = event_of(frame.data) if kind in LEAVES_BEFORE_THE_END else None
            if event is not None and end - frame.data.endswith(b"\r\n") <= self.after_bytes:
                yield event, kind, end <= self.after_bytes

    def ending(self) -> list[Event]:
        """The events that leave only after the settlement."""
        pairs = zip(self.stream.frames, self.stream.kinds, strict=True)
        events = [event_of(frame.data) for frame, kind in pairs if kind in ("finish", "done")]
        return [event for event in events if event is not None]

    def as_told(self, event: Event, request_id: str) -> Event:
        """An event of the upstream as a caller of its own dialect gets it: under our names, else unchanged."""
        told = dict(event)
        if self.caller == "chat":
            told["model"] = self.model
            if not self.asks_for_usage:
                told.pop("usage", None)
        elif "message" in told:
            told["message"] = {**told["message"], "model": self.model}
        elif "response" in told:
            ours = {"id": f"resp_{request_id.removeprefix('req_')}", "model": self.model}
            kept = {"store": self.asks_for_usage, "previous_response_id": None}
            told["response"] = {**told["response"], **ours, **kept}
        return told

    def complete_nano(self) -> int:
        """What the whole stream costs."""
        fresh, cached, output = self.stream.billed
        return fresh * INPUT_NANO + cached * CACHE_READ_NANO + output * OUTPUT_NANO


def every_byte(streams: Iterable[CutStream]) -> Iterator[Cut]:
    """Each stream cut at every byte, for a caller of its own dialect."""
    for stream in streams:
        yield from (Cut(stream, place, stream.dialect) for place in range(len(stream.body) + 1))


def sampled(streams: Iterable[CutStream], every_bytes: int) -> Iterator[Cut]:
    """Each stream cut around every frame's end and at every so many bytes, for a caller of its own dialect."""
    for stream in streams:
        places = stream.near_boundaries() | set(range(0, len(stream.body), every_bytes))
        yield from (Cut(stream, place, stream.dialect) for place in sorted(places))


def translated(streams: Iterable[CutStream], every_bytes: int) -> Iterator[Cut]:
    """Each stream cut around what decides and at every so many bytes, for callers of the two other dialects."""
    for stream in streams:
        decisive = (stream.first_meaningful, stream.usage_frame, stream.done)
        near = {seen.certain_bytes + shift for seen in decisive for shift in (-2, -1, 0, 1)}
        places = {place for place in near if place <= len(stream.body)} | set(range(0, len(stream.body), every_bytes))
        for caller in DIALECTS:
            if caller != stream.dialect and (caller, stream.name) != NO_PAIR:
                yield from (Cut(stream, place, caller) for place in sorted(places))


def judge_reply(cut: Cut, reply: RawReply) -> Outcome:
    """Check what the caller got against what the cut says; returns which end it was."""
    assert reply.request_id
    right = cut.outcomes()
    if reply.status == 502:
        assert Outcome.REFUSED in right
        assert reply.whole
        assert cut.spoken.body_code_of(json.loads(reply.body)) == "upstream_truncated"
        return Outcome.REFUSED
    assert reply.status == 200, reply
    *payloads, last = payloads_of(reply.body)
    if cut.spoken.is_end(last):
        assert Outcome.COMPLETE in right
        assert reply.whole
        check_complete(cut, [json.loads(each) for each in (*payloads, last) if each != "[DONE]"], reply.request_id)
        return Outcome.COMPLETE
    assert Outcome.BROKEN in right
    assert not reply.whole, "the transfer ended well after an error event"
    assert not [mark for mark in cut.spoken.never_broken if mark in reply.body], "an end was invented"
    check_broken(cut, [json.loads(each) for each in payloads], json.loads(last), reply.request_id)
    return Outcome.BROKEN


def check_broken(cut: Cut, events: list[Event], error: Event, request_id: str) -> None:
    """Check the error event and that what left before it is what came."""
    assert cut.spoken.code_of(error) == "upstream_truncated"
    if cut.caller == "responses":
        numbers = [event["sequence_number"] for event in (*events, error) if "sequence_number" in event]
        assert numbers == list(range(len(numbers))), "the events are not numbered one by one"
    if cut.is_translated:
        return
    arrived = list(cut.arrived())
    told = [cut.as_told(event, request_id) for event, _, _ in arrived]
    assert as_sent(events, told) == told[: len(events)], "what left is no prefix of what came"
    certain = sum(is_certain for _, _, is_certain in arrived)
    assert certain <= len(events) <= len(told), f"{len(events)} frames left, at least {certain} had come"


def check_complete(cut: Cut, events: list[Event], request_id: str) -> None:
    """Check that all of it left, with what it cost."""
    cost = cost_shown(events)
    assert cost in (cut.complete_nano(), None)
    assert cost is not None or (cut.caller == "chat" and not cut.asks_for_usage)
    if cut.is_translated:
        return
    if cut.caller == "chat" and cut.asks_for_usage:
        last = events.pop()
        assert last["choices"] == []
        [usage] = [
            event_of(frame.data)
            for frame, kind in zip(cut.stream.frames, cut.stream.kinds, strict=True)
            if kind == "usage"
        ]
        assert usage is not None and last["usage"] == usage["usage"]
    expected = [event for event, _, _ in cut.arrived()] + cut.ending()
    told = [cut.as_told(event, request_id) for event in expected]
    assert len(events) == len(told)
    assert as_sent(events, told) == told


def as_sent(events: list[Event], told: list[Event]) -> list[Event]:
    """What the upstream's events became, without what is ours: the money, and what its responses left unsaid."""
    return [_like(event, model) for event, model in zip(events, told, strict=False)]


def _like(event: Event, model: Event) -> Event:
    bare = {name: value for name, value in event.items() if name != "headrace"}
    if "response" in model:
        bare["response"] = {name: value for name, value in bare["response"].items() if name in model["response"]}
    return bare


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
        assert ended.charge_nano == cut.complete_nano()
        return
    assert (ended.ending, ended.error_code) == ("upstream_truncated", "upstream_truncated")
    usage = cut.stream.usage_frame
    if ended.usage_source == "upstream":
        assert usage.possible_bytes <= cut.after_bytes
        assert ended.charge_nano == cut.complete_nano()
        return
    assert cut.after_bytes < usage.certain_bytes
    assert ended.usage_source == "counted"
    _check_counted(cut, reply, ended)


def _check_counted(cut: Cut, reply: RawReply, ended: EndedRequest) -> None:
    counted = [is_certain for _, kind, is_certain in cut.arrived() if kind == "content"]
    assert sum(counted) <= ended.output_tokens <= len(counted)
    if not cut.is_translated:
        left = len(payloads_of(reply.body)) - 1
        kinds = [kind for _, kind, _ in cut.arrived()][:left]
        assert ended.output_tokens == kinds.count("content")
    fresh, cached, _ = cut.stream.billed
    if cut.stream.dialect == "messages":
        # Only this dialect tells what the prompt cost before the end.
        assert ended.input_tokens == fresh + cached
        prompt_nano = fresh * INPUT_NANO + cached * CACHE_READ_NANO
    else:
        prompt_nano = ended.input_tokens * INPUT_NANO
    assert ended.charge_nano == prompt_nano + ended.output_tokens * OUTPUT_NANO
