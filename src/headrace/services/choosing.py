"""Choosing among the models of a pool: who can serve a call, at what expected cost and pace, in which order; pure.

What was measured and what an answer is predicted to need are given; reading the prompt is the scorer's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TypeAlias

from headrace.domain.call import Call
from headrace.domain.candidate import NO_HABITS, Candidate, Habits, Ranked
from headrace.domain.dedicated import Deployment, Standing
from headrace.domain.errors import CallerError, InvalidRequest, NotFound, PaymentRequired
from headrace.domain.money import PICO_PER_NANO, divide_half_even, format_nano
from headrace.domain.plan import Excluded, Target
from headrace.domain.price import PriceVersion, rates_at
from headrace.domain.router import Preference
from headrace.domain.snapshot import Snapshot
from headrace.domain.usage import TokenClass, UnitClass, Usage
from headrace.services.fitness import forbidden, models_of, problem_of, targets_of
from headrace.services.marginal_cost import UNMEASURED_TOKENS_PER_SECOND, marginal
from headrace.services.metering import output_cap, prompt_estimate
from headrace.services.overflowing import unknown

MOST_EXPLAINED = 8
_PRICED = (
    TokenClass.INPUT_FRESH,
    TokenClass.INPUT_CACHE_READ,
    TokenClass.OUTPUT_TEXT,
    TokenClass.OUTPUT_REASONING,
    UnitClass.CALL,
)

Place: TypeAlias = "tuple[float, ...]"
_ORDERS: Mapping[Preference, Callable[[Candidate], Place]] = MappingProxyType(
    {
        Preference.NONE: lambda each: (not each.fits,),
        Preference.CHEAPEST: lambda each: (not each.fits, each.cost_nano),
        Preference.FASTEST: lambda each: (not each.fits, each.seconds is None, each.seconds or 0.0),
    }
)


@dataclass(frozen=True, slots=True)
class Asked:
    """A call as its candidates are weighed.

    `output_tokens` is how long one answer of an average model is predicted to be. `warm_tokens` says how much of the
    prompt the caller's session is believed to have cached at a target. `max_cost_nano` is the most that a candidate may
    be expected to cost, None for any amount. `standing` says how a deployment stands now.
    """

    call: Call
    output_tokens: float
    habits: Callable[[Target, int], Habits]
    warm_tokens: Callable[[Target], int]
    max_cost_nano: int | None = None
    standing: Callable[[str], Standing | None] = unknown


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A model that cannot serve, under the name that the pool has for it, and why; no provider where none has it."""

    name: str
    model_id: str
    provider: str
    problem: CallerError

    @property
    def excluded(self) -> Excluded:
        """It as a plan has it."""
        return Excluded(self.model_id, self.provider, self.problem.code, self.problem.message)


@dataclass(slots=True)
class Sifted:
    """The members of a pool that can serve a call, in the order in which it names them, and the others."""

    candidates: list[Candidate] = field(default_factory=list[Candidate])
    left_out: list[LeftOut] = field(default_factory=list[LeftOut])


def sift(names: Iterable[str], asked: Asked, snapshot: Snapshot, but: frozenset[str] = frozenset()) -> Sifted:
    """Return which of these models and aliases can serve the call, and why the others cannot.

    A model counts once, under the first of its names; those in `but` not at all. Every provider that serves it is a
    candidate of its own.
    """
    sifted = Sifted()
    seen = set(but)
    for name in names:
        for model_id in models_of(name, snapshot):
            if model_id not in seen:
                seen.add(model_id)
                _sift_model(name, model_id, asked, snapshot, sifted)
    return sifted


def ranked(candidates: Sequence[Candidate], prefer: Preference) -> tuple[Ranked, ...]:
    """Return the candidates in the order of a policy; among equals the order in which the pool is written holds.

    What may not fit into a model's context comes last, and for the fastest what nobody has measured yet.
    """
    return tuple(_ranked(each, prefer) for each in sorted(candidates, key=_ORDERS[prefer]))


def fallen_back(candidates: Sequence[Candidate]) -> tuple[Ranked, ...]:
    """Return a router's fallback models in the order in which it names them."""
    order = sorted(candidates, key=_ORDERS[Preference.NONE])
    return tuple(_cramped(each) or Ranked(each, "fallback", "a fallback model of the router") for each in order)


def nobody_can(router: str, left_out: Sequence[LeftOut]) -> CallerError:
    """Return the error for a call that no model of a router can serve: it says of each why not.

    Where all have one reason, its code and status are the error's.
    """
    if not left_out:
        return NotFound(
            f"{router} has no model that can be called now: the operator must give a provider its key, or pull an"
            " embedded model. `headrace models --all` says what each needs.",
            code="no_candidate",
            param="model",
        )
    problems = [each.problem for each in left_out]
    told = list(dict.fromkeys(each.message for each in problems))
    more = f" And {len(told) - MOST_EXPLAINED} more." if len(told) > MOST_EXPLAINED else ""
    message = f"{router} has no model that can serve this request. {' '.join(told[:MOST_EXPLAINED])}{more}"
    first = problems[0]
    if any(each.code != first.code for each in problems):
        return InvalidRequest(message, code="no_candidate", param="model")
    return type(first)(message, code=first.code, param="model")


def expected_usage(asked: Asked, target: Target, habits: Habits, prompt: int) -> Usage:
    """Return what a call is expected to use at a target: our guess of its prompt, and the prediction as it answers.

    Of the prompt that part is cached that the session left there, or that usually is. What writing a cache costs more
    is left out.
    """
    cached, choices = 0, asked.call.envelope.choices
    if TokenClass.INPUT_CACHE_READ in target.price.rates_pico:
        cached = min(max(asked.warm_tokens(target), int(prompt * habits.cached_share)), prompt)
    cap = output_cap(asked.call, target) * choices
    wanted = max(asked.output_tokens * choices * habits.verbosity, 1.0)
    output = min(round(wanted * (1 + habits.reasoning)), cap)
    text = round(output / (1 + habits.reasoning))
    return Usage(prompt - cached, cached, output_text=text, output_reasoning=output - text)


def expected_cost_nano(price: PriceVersion, usage: Usage, at_micros: int) -> int:
    """Return what an expected usage costs the operator at a time, in nano-dollars; rounded once."""
    rates = price.rates_pico if price.is_plain else rates_at(price, usage.input_total, at_micros)
    counts = (usage.input_fresh, usage.input_cache_read, usage.output_text, usage.output_reasoning, 1)
    return divide_half_even(
        sum([n * rates.get(each, 0) for each, n in zip(_PRICED, counts, strict=True)]), PICO_PER_NANO
    )


def expected_seconds(asked: Asked, habits: Habits, usage: Usage) -> float | None:
    """Return how long an answer is expected to take, or None where nothing was measured.

    A stream is its first event and what follows at the measured pace; of a whole reply the end was measured.
    """
    first, pace, whole = habits.first_event_seconds, habits.tokens_per_second, habits.whole_seconds
    streamed = None if first is None else first + (usage.output_total / pace if pace else 0.0)
    return (streamed or whole) if asked.call.envelope.stream else (whole or streamed)


def _ranked(candidate: Candidate, prefer: Preference) -> Ranked:
    cramped = _cramped(candidate)
    if cramped is not None:
        return cramped
    if prefer is Preference.CHEAPEST:
        return Ranked(candidate, "cheapest", f"expected to cost ${format_nano(candidate.cost_nano)}{_paid(candidate)}")
    if prefer is Preference.NONE:
        return Ranked(candidate, "as_written", "in the order in which the pool is written")
    if candidate.seconds is None:
        return Ranked(candidate, "unmeasured", "its speed was not measured yet")
    return Ranked(candidate, "fastest", f"expected to take {candidate.seconds:.2f} s")


def _paid(candidate: Candidate) -> str:
    return f" ({candidate.paid})" if candidate.paid else ""


def _cramped(candidate: Candidate) -> Ranked | None:
    if candidate.fits:
        return None
    most = candidate.target.model.context_length
    return Ranked(candidate, "may_not_fit", f"prompt and answer may be over its {most:,} tokens")


def _sift_model(name: str, model_id: str, asked: Asked, snapshot: Snapshot, sifted: Sifted) -> None:
    entries = snapshot.models.get(model_id)
    if entries is None:
        sifted.left_out.append(LeftOut(name, model_id, "", _gone(model_id)))
        return
    if not asked.call.caller.may_call(model_id):
        sifted.left_out.append(LeftOut(name, model_id, "", forbidden(asked.call, model_id)))
        return
    for entry in entries:
        problem = problem_of(entry, asked.call)
        if problem is None:
            candidate = _candidate(name, targets_of(entry, snapshot, "named by the router"), asked)
            problem = _too_dear(candidate, asked.max_cost_nano)
            if problem is None:
                sifted.candidates.append(candidate)
                continue
        sifted.left_out.append(LeftOut(name, model_id, entry.model.provider, problem))


def _candidate(name: str, siblings: Sequence[Target], asked: Asked) -> Candidate:
    target = siblings[0]
    prompt = prompt_estimate(asked.call, target.model)
    habits = asked.habits(target, prompt)
    usage = expected_usage(asked, target, habits, prompt)
    candidate = Candidate(
        name=name,
        target=target,
        siblings=tuple(siblings),
        cost_nano=expected_cost_nano(target.price, usage, asked.call.received_at_micros),
        seconds=None if habits is NO_HABITS else expected_seconds(asked, habits, usage),
        fits=(prompt + usage.output_total) // asked.call.envelope.choices <= target.model.context_length,
    )
    deployment = target.model.deployment
    return candidate if deployment is None else _at_the_margin(candidate, deployment, asked, usage)


def _at_the_margin(candidate: Candidate, deployment: Deployment, asked: Asked, usage: Usage) -> Candidate:
    """Return a deployment's candidate at what one more request costs there, and with the time that waking it takes."""
    seconds = candidate.seconds
    service = usage.output_total / UNMEASURED_TOKENS_PER_SECOND if seconds is None else seconds
    more = marginal(deployment, asked.standing(deployment.id), service)
    waited = None if seconds is None else seconds + more.wait_seconds
    return replace(candidate, cost_nano=candidate.cost_nano + more.cost_nano, seconds=waited, paid=more.reason)


def _too_dear(candidate: Candidate, most_nano: int | None) -> PaymentRequired | None:
    if most_nano is None or candidate.cost_nano <= most_nano:
        return None
    return PaymentRequired(
        f'"{candidate.target.model.id}" is expected to cost ${format_nano(candidate.cost_nano)} for this request; the'
        f" router takes at most ${format_nano(most_nano)}.",
        code="over_max_cost",
        param="model",
    )


def _gone(model_id: str) -> NotFound:
    return NotFound(
        f'"{model_id}" is no longer in the catalog; the operator must take it out of the router.',
        code="model_not_found",
        param="model",
    )
