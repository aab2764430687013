"""The managed router's order: every live model by what its answer is likely worth and what it costs; pure.

An answer's quality is predicted as in a test: from the model's strength and the prompt's difficulty, both in logits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from headrace.domain.candidate import Candidate, Ranked
from headrace.domain.money import format_nano
from headrace.domain.router import RoutingPreference
from headrace.domain.routing import PromptFigures

# How many points of quality, out of 1, the price of the best model's answer must bring to be worth it.
PRICE_OF_BEST: Mapping[RoutingPreference, float] = {
    RoutingPreference.QUALITY: 0.01,
    RoutingPreference.BALANCED: 0.1,
    RoutingPreference.BUDGET: 1.0,
}
AVERAGE_DIFFICULTY = 0.0
DECIMALS = 2


@dataclass(frozen=True, slots=True)
class _Weighed:
    """A candidate whose strength is known: its predicted quality, and that less what it costs."""

    candidate: Candidate
    strength: float
    quality: float
    worth: float


def rank_managed(
    candidates: Sequence[Candidate], figures: PromptFigures | None, preference: RoutingPreference
) -> tuple[Ranked, ...]:
    """Return every candidate, best first: most worth, then by price alone what has no strength, then what may not fit.

    Worth is predicted quality less the preference's share of cost over the best model's cost. Of two models that
    are worth the same the cheaper one goes first, then the order of the candidates.
    """
    fitting = [each for each in candidates if each.fits]
    weighed = _weighed(fitting, AVERAGE_DIFFICULTY if figures is None else figures.difficulty, preference)
    unknown = [each for each in fitting if each.target.model.strength is None]
    cramped = [each for each in candidates if not each.fits]
    return (
        *(_by_worth(weighed, number, preference) for number in range(len(weighed))),
        *(_by_price(each) for each in sorted(unknown, key=_cost)),
        *(_may_not_fit(each) for each in sorted(cramped, key=_cost)),
    )


def predicted_quality(strength: float, difficulty: float) -> float:
    """Return the probability of a good answer: half where strength equals difficulty, both in logits."""
    return 1 / (1 + math.exp(difficulty - strength))


def _weighed(candidates: Sequence[Candidate], difficulty: float, preference: RoutingPreference) -> tuple[_Weighed, ...]:
    """Return those of known strength, most worth first; the low end of the strength's interval counts."""
    known = [
        (each, round(strength.value, DECIMALS), predicted_quality(strength.low, difficulty))
        for each in candidates
        if (strength := each.target.model.strength) is not None
    ]
    if not known:
        return ()
    best, _, _ = max(known, key=lambda each: (each[2], -each[0].cost_nano))
    share = PRICE_OF_BEST[preference] / max(best.cost_nano, 1)
    weighed = [_Weighed(each, strength, quality, quality - share * _cost(each)) for each, strength, quality in known]
    return tuple(sorted(weighed, key=lambda each: (-each.worth, _cost(each.candidate))))


def _by_worth(weighed: Sequence[_Weighed], number: int, preference: RoutingPreference) -> Ranked:
    mine = weighed[number]
    expected = f"a good answer is {mine.quality:.0%} likely for ${format_nano(mine.candidate.cost_nano)}"
    expected += f" ({mine.candidate.paid})" if mine.candidate.paid else ""
    if number > 0:
        reason = f"{expected}, worth {weighed[0].worth - mine.worth:.3f} less"
        return Ranked(mine.candidate, "worth_less", reason, mine.strength)
    if len(weighed) == 1:
        return Ranked(mine.candidate, "worth_most", f"{expected}; no other has a strength", mine.strength)
    other = weighed[1]
    reason = (
        f"{expected}, worth {mine.worth - other.worth:.3f} more to {preference.value} than"
        f" {other.candidate.name} with {other.quality:.0%} for ${format_nano(other.candidate.cost_nano)}"
    )
    return Ranked(mine.candidate, "worth_most", reason, mine.strength)


def _by_price(candidate: Candidate) -> Ranked:
    reason = f"nothing is known of its strength; by its price only, ${format_nano(candidate.cost_nano)}"
    reason += f" ({candidate.paid})" if candidate.paid else ""
    return Ranked(candidate, "price_only", reason)


def _may_not_fit(candidate: Candidate) -> Ranked:
    most, strength = candidate.target.model.context_length, candidate.target.model.strength
    reason = f"prompt and answer may be over its {most:,} tokens"
    return Ranked(candidate, "may_not_fit", reason, None if strength is None else round(strength.value, DECIMALS))


def _cost(candidate: Candidate) -> int:
    return candidate.cost_nano
