"""Candidates: targets that can serve a request, with what each is expected to cost and how long it is to take."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.domain.plan import Target


@dataclass(frozen=True, slots=True)
class Habits:
    """What was measured of one model at one provider, as moving averages; the defaults say that nothing was.

    `verbosity` is output tokens of text for each that was predicted, `reasoning` tokens of reasoning for each of text,
    `cached_share` which part of its prompts was read from a cache. The times are for prompts of the size that was asked
    about: of a stream until its first event, of a whole reply until its end, in seconds.
    """

    verbosity: float = 1.0
    reasoning: float = 0.0
    cached_share: float = 0.0
    first_event_seconds: float | None = None
    tokens_per_second: float | None = None
    whole_seconds: float | None = None


NO_HABITS = Habits()


@dataclass(frozen=True, slots=True)
class Candidate:
    """A target that can serve a request; `siblings` are it and those that differ from it in the credential only.

    `name` is how the pool spells it. `cost_nano` and `seconds` are expected of this one request; seconds are None where
    nothing was measured. `fits` is False when our guess of prompt and answer is over the model's context. `paid` says
    of a deployment what of it is paid already and so costs nothing, empty for what is paid by the token.
    """

    name: str
    target: Target
    siblings: tuple[Target, ...]
    cost_nano: int
    seconds: float | None
    fits: bool = True
    paid: str = ""

    @property
    def is_unpaid(self) -> bool:
        """Whether it is a deployment that costs something more: it is busy or asleep."""
        return bool(self.paid and self.cost_nano)

    @property
    def place(self) -> tuple[str, str]:
        """The model and the provider, which tell it from all others."""
        return self.target.model.id, self.target.provider.name


@dataclass(frozen=True, slots=True)
class Ranked:
    """A candidate at its place in a policy's order; `code` and `reason` say why there.

    `strength` is what the managed router knows of the model's, None where nothing is known or nobody asked.
    """

    candidate: Candidate
    code: str
    reason: str
    strength: float | None = None
