"""Making the decision of what was read, who can serve and how the session stands; pure, for the receipt to tell."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from headrace.domain.candidate import Ranked
from headrace.domain.dedicated import DEDICATED
from headrace.domain.health import Resting
from headrace.domain.money import format_nano
from headrace.domain.plan import Target
from headrace.domain.routing import Decision, RoutedTarget
from headrace.domain.session import Choice
from headrace.domain.switching import SwitchRecord
from headrace.services.choosing import LeftOut
from headrace.services.reading import Reading

FALLBACK = "fallback"
KEPT = "affinity"
Rests: TypeAlias = Callable[[Target], Resting | None]
Place: TypeAlias = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Weighed:
    """Who can serve a call: the pool of its route and the fallback models, each in order, and who cannot.

    `router` is the router's name; `policy` is how the pool was ranked. `most` is how many are asked, None for all.
    """

    router: str
    policy: str
    pool: tuple[Ranked, ...]
    fallbacks: tuple[Ranked, ...]
    left_out: tuple[LeftOut, ...]
    most: int | None = None


def targets_of(ranked: Iterable[Ranked]) -> tuple[Target, ...]:
    """Return the targets in order, those that differ in the credential only together."""
    return tuple(target for each in ranked for target in each.candidate.siblings)


def shortened(choice: Choice, most: int | None) -> Choice:
    """Return the choice with the targets of its first so many models and providers only."""
    if most is None:
        return choice
    kept = frozenset(list(dict.fromkeys(map(_place, choice.targets)))[:most])
    return replace(choice, targets=tuple(each for each in choice.targets if _place(each) in kept))


def decided(reading: Reading, weighed: Weighed, choice: Choice, rests: Rests) -> Decision:
    """Return the decision, but for its session and how long it took; `rests` says why a target gets no request now."""
    match = reading.match
    targets = (*_in_order(weighed, choice, rests), *map(_left_out, weighed.left_out))
    # A saving is measured against a price by the token: what waking a deployment would cost is nobody's bill.
    priced = [each for each in targets if each.rank and each.provider != DEDICATED]
    costs = [each.expected_cost_nano for each in priced if each.expected_cost_nano is not None]
    return Decision(
        router=weighed.router,
        route=reading.route,
        score=None if match is None else match.score,
        best=None if match is None else match.best,
        runner_up=None if match is None else match.runner_up,
        runner_up_score=None if match is None else match.runner_up_score,
        closest_example=None if match is None else match.closest_example,
        basis=choice.basis or reading.basis,
        policy=weighed.policy,
        reason=" ".join([reading.why, *_vetoed(choice.switch), _how(weighed, targets)]),
        targets=targets,
        figures=reading.figures,
        features=reading.features,
        decided_micros=0,
        reference_nano=max(costs, default=None),
        switch=choice.switch,
    )


def _in_order(weighed: Weighed, choice: Choice, rests: Rests) -> Iterator[RoutedTarget]:
    known = {each.candidate.place: each for each in (*weighed.pool, *weighed.fallbacks)}
    rank = 0
    for place in dict.fromkeys(map(_place, choice.targets)):
        ranked = known[place]
        rest = _resting(ranked.candidate.siblings, rests)
        if rest is not None:
            yield _told(ranked, None, rest.code, f"It is left alone for {rest.wait_seconds:.1f} s more.")
            continue
        rank += 1
        if rank == 1 and choice.basis is not None:
            yield _told(ranked, rank, KEPT, "it answered the session's last request")
        else:
            yield _told(ranked, rank, ranked.code, ranked.reason)


def _told(ranked: Ranked, rank: int | None, code: str, reason: str) -> RoutedTarget:
    candidate = ranked.candidate
    return RoutedTarget(
        name=candidate.name,
        model_id=candidate.target.model.id,
        provider=candidate.target.provider.name,
        rank=rank,
        code=code,
        reason=reason,
        expected_cost_nano=candidate.cost_nano,
        expected_seconds=candidate.seconds,
        strength=ranked.strength,
    )


def _left_out(each: LeftOut) -> RoutedTarget:
    return RoutedTarget(each.name, each.model_id, each.provider, None, each.problem.code, each.problem.message)


def _resting(siblings: Iterable[Target], rests: Rests) -> Resting | None:
    """Return the shortest rest, where every credential rests."""
    found = [rests(each) for each in siblings]
    waits = [each for each in found if each is not None]
    return min(waits, key=lambda each: each.wait_seconds) if len(waits) == len(found) else None


def _vetoed(switch: SwitchRecord | None) -> Iterator[str]:
    if switch is not None and not switch.is_taken and switch.cost_nano is not None:
        yield (
            f'Leaving the warm cache of "{switch.anchor.model_id}" for "{switch.candidate.model_id}" would cost'
            f" ${format_nano(switch.cost_nano)}, more than the session may spend on switches."
        )


def _how(weighed: Weighed, targets: Sequence[RoutedTarget]) -> str:
    well = [each for each in targets if each.rank]
    if not well:
        return "Nobody can serve it now."
    first = f'"{well[0].model_id}"'
    if well[0].code == KEPT:
        return f"{first} goes on."
    if well[0].code == FALLBACK:
        return f"{first} is the first fallback model that can serve."
    if weighed.policy in ("cheapest", "fastest"):
        return f"{first} is the {weighed.policy} of {len(weighed.pool)} that can serve."
    if weighed.policy == "none":
        return f"{first} is the first of the pool that can serve."
    return f"{first}: {well[0].reason}."


def _place(target: Target) -> Place:
    return target.model.id, target.provider.name
