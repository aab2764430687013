"""What models turn out to use and how fast they are, learnt from every conversation that they answer.

It is memory of this process and of nothing else, one record for each model at each provider; choosing reads it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from dataclasses import dataclass, field

from headrace.domain.call import Operation
from headrace.domain.candidate import NO_HABITS, Habits
from headrace.domain.usage import Usage
from headrace.ports.observer import AttemptEnd, RequestEnd

MAX_TARGETS = 4_096
MAX_AWAITED = 10_000
# The newest counts for a twentieth once there are twenty; before that all count alike.
NEWEST_SHARE = 0.05
# So many answers are taken as usual before any was seen: one odd answer changes little.
PRIOR_ANSWERS = 5
# Prompts up to so many tokens are of one size; longer ones are of the last.
SIZES = (256, 1_024, 4_096, 16_384, 65_536)
OPERATIONS = frozenset({Operation.CHAT.value, Operation.COMPLETIONS.value})


@dataclass(slots=True)
class _Mean:
    """A moving average; None until there is something to average."""

    value: float | None = None
    count: int = 0

    def add(self, newest: float) -> None:
        self.count += 1
        before = newest if self.value is None else self.value
        self.value = before + max(NEWEST_SHARE, 1 / self.count) * (newest - before)


def _means() -> list[_Mean]:
    return [_Mean() for _ in range(len(SIZES) + 1)]


@dataclass(slots=True)
class _Record:
    """Moving averages of tokens: a ratio of two of them weighs an odd answer no more than its tokens."""

    answers: int = 0
    text: float = 0.0
    reasoning: float = 0.0
    prompt: float = 0.0
    cached: float = 0.0
    answered: _Mean = field(default_factory=_Mean)
    predicted: _Mean = field(default_factory=_Mean)
    streamed: _Mean = field(default_factory=_Mean)
    streaming_seconds: _Mean = field(default_factory=_Mean)
    first_event: list[_Mean] = field(default_factory=_means)
    whole: list[_Mean] = field(default_factory=_means)

    def add(self, usage: Usage, prompt_tokens: int) -> None:
        self.answers += 1
        share = max(NEWEST_SHARE, 1 / self.answers)
        self.text += share * (usage.output_text - self.text)
        self.reasoning += share * (usage.output_reasoning - self.reasoning)
        self.prompt += share * (prompt_tokens - self.prompt)
        self.cached += share * (usage.input_cache_read - self.cached)


class RouteFigures:
    """Keeps the habits of the models that were used lately; as an observer it hears how every attempt went.

    `max_targets` and `max_awaited` bound its memory: of records, and of requests whose answer's length was predicted.
    """

    def __init__(self, max_targets: int = MAX_TARGETS, max_awaited: int = MAX_AWAITED) -> None:
        self._max_targets = max_targets
        self._max_awaited = max_awaited
        self._records: OrderedDict[tuple[str, str], _Record] = OrderedDict()
        self._predicted: OrderedDict[str, float] = OrderedDict()

    def habits(self, model_id: str, provider: str, prompt_tokens: int) -> Habits:
        """Return what is known of a model at a provider, its times for prompts of this size or the nearest measured."""
        record = self._records.get((model_id, provider))
        if record is None:
            return NO_HABITS
        size = bisect_left(SIZES, prompt_tokens)
        return Habits(
            verbosity=_known((record.answered.value, record.predicted.value), record.predicted.count, 1.0),
            reasoning=_known((record.reasoning, record.text), record.answers, 0.0),
            cached_share=_known((record.cached, record.prompt), record.answers, 0.0),
            first_event_seconds=_nearest(record.first_event, size),
            tokens_per_second=_ratio(record.streamed.value, record.streaming_seconds.value),
            whole_seconds=_nearest(record.whole, size),
        )

    def predicted(self, request_id: str, output_tokens: float) -> None:
        """Note how long an average model's answer to a request was predicted to be, to compare it with what comes."""
        self._predicted[request_id] = output_tokens
        if len(self._predicted) > self._max_awaited:
            self._predicted.popitem(last=False)

    def request_ended(self, end: RequestEnd) -> None:
        """Wait no longer for its answer."""
        self._predicted.pop(end.request_id, None)

    def attempt_ended(self, end: AttemptEnd) -> None:
        """Learn from a complete answer; what we counted ourselves says nothing of the model."""
        usage = end.usage
        if usage is None or usage.estimated or end.ending != "complete" or end.operation not in OPERATIONS:
            return
        record, prompt_tokens = self._record(end.model_id, end.provider), usage.input_total
        record.add(usage, prompt_tokens)
        predicted = self._predicted.pop(end.request_id, None) if self._predicted else None
        if predicted is not None:
            record.answered.add(usage.output_text)
            record.predicted.add(predicted)
        size = bisect_left(SIZES, prompt_tokens)
        if not end.stream:
            record.whole[size].add(end.duration_seconds)
        elif end.first_event_seconds is not None:
            record.first_event[size].add(end.first_event_seconds)
            record.streamed.add(usage.output_total)
            record.streaming_seconds.add(end.duration_seconds - end.first_event_seconds)

    def _record(self, model_id: str, provider: str) -> _Record:
        key = (model_id, provider)
        record = self._records.get(key)
        if record is not None:
            self._records.move_to_end(key)
            return record
        if len(self._records) >= self._max_targets:
            self._records.popitem(last=False)
        record = self._records[key] = _Record()
        return record


def _ratio(over: float | None, under: float | None) -> float | None:
    return over / under if over is not None and under else None


def _known(averages: tuple[float | None, float | None], answers: int, usual: float) -> float:
    """Return the ratio as far as it is known by so many answers, and what is usual for the rest."""
    ratio = _ratio(*averages)
    return usual if ratio is None else usual + (ratio - usual) * answers / (answers + PRIOR_ANSWERS)


def _nearest(means: list[_Mean], size: int) -> float | None:
    order = sorted(range(len(means)), key=lambda each: abs(each - size))
    return next((means[each].value for each in order if means[each].count), None)
