"""Deciding one request of the past anew, by the features and the tokens that are kept of it; pure.

What it asks of a model beside its length is not kept: a model that was left out then because of the request itself is
left out again, and of others it is believed that they can do what it asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from headrace.domain.access import OPERATOR_ACCOUNT, Caller, Role
from headrace.domain.call import Call, Envelope, Operation
from headrace.domain.candidate import Habits, Ranked
from headrace.domain.dedicated import Standing
from headrace.domain.evaluation import Choosable
from headrace.domain.plan import Target
from headrace.domain.replay import Redecided
from headrace.domain.router import Preference, Router, RoutingPreference
from headrace.domain.routing import Decision, Match, PromptFigures
from headrace.domain.snapshot import Snapshot
from headrace.ports.routing import RoutedRequest
from headrace.services.choosing import Asked, fallen_back, ranked, sift
from headrace.services.fitness import MOST_BYTES_PER_TOKEN
from headrace.services.managed import rank_managed
from headrace.services.reading import fits
from headrace.services.route_figures import RouteFigures

# Why a target was left out for what the request is, and not for what the target was just then.
_OF_THE_REQUEST = frozenset(
    {"unsupported_by_model", "context_length_exceeded", "output_cap_too_large", "model_forbidden"}
)
_AWAKE = Standing(wanted=1, ready=1)
_EVERYBODY = Caller("", "replay", OPERATOR_ACCOUNT, Role.ADMIN, None)


@dataclass(frozen=True, slots=True)
class Ground:
    """What requests are decided anew on: prices and models of now, and how fast models turned out to be."""

    snapshot: Snapshot
    figures: RouteFigures


def redecide(routed: RoutedRequest, match: Match, router: Router, ground: Ground) -> Redecided:
    """Return the request as a router with tasks would decide it."""
    route = match.best if match.best is not None and fits(router, match) else None
    order = _in_order(routed, route, router, ground) if routed.served_by is not None else ()
    return _redecided(routed, routed.decision.route, route, order)


def rerank(
    routed: RoutedRequest, figures: PromptFigures, preference: RoutingPreference, models: Sequence[str], ground: Ground
) -> Redecided:
    """Return the request as the managed router would decide it under a preference; `models` are all live ones."""
    asked = _asked(routed, None, ground.figures)
    candidates = sift(models, asked, ground.snapshot, _unfit(routed.decision)).candidates
    order = rank_managed(candidates, figures, preference)
    chosen = routed.decision.chosen
    before = None if chosen is None else chosen.model_id
    after = order[0].candidate.target.model.id if order else None
    return _redecided(routed, before, after, order if routed.served_by is not None else ())


def _in_order(routed: RoutedRequest, route: str | None, router: Router, ground: Ground) -> tuple[Ranked, ...]:
    asked, unfit = _asked(routed, router.max_cost_nano, ground.figures), _unfit(routed.decision)
    policy = None if route is None else router.policy_of(route)
    pool = sift(() if policy is None else policy.models, asked, ground.snapshot, unfit)
    known = unfit | {each.target.model.id for each in pool.candidates} | {each.model_id for each in pool.left_out}
    rest = sift(router.fallbacks, asked, ground.snapshot, known)
    prefer = Preference.NONE if policy is None or policy.prefer is None else policy.prefer
    return (*ranked(pool.candidates, prefer), *fallen_back(rest.candidates))


def _redecided(routed: RoutedRequest, before: str | None, after: str | None, order: Sequence[Ranked]) -> Redecided:
    return Redecided(
        request_id=routed.request_id,
        before=before,
        after=after,
        paid_nano=None if routed.served_by is None else routed.cost_nano,
        chosen=order[0].candidate.target.model.id if order else None,
        choosable=_choosable(order),
    )


def _choosable(order: Iterable[Ranked]) -> Mapping[str, Choosable]:
    """The first target of a model is the one that would be asked first."""
    found: dict[str, Choosable] = {}
    for each in order:
        model = each.candidate.target.model
        strength = None if model.strength is None else model.strength.value
        found.setdefault(model.id, Choosable(each.candidate.cost_nano, strength))
    return found


def _asked(routed: RoutedRequest, max_cost_nano: int | None, figures: RouteFigures) -> Asked:
    """The request as if all of it were known beforehand: every model is taken to read and write the same tokens.

    How deployments stood is not known any more: they are taken to be awake with a free slot.
    """
    text = max(routed.output_tokens - routed.reasoning_tokens, 1)
    reasoning = routed.reasoning_tokens / text

    def habits(target: Target, tokens: int) -> Habits:
        known = figures.habits(target.model.id, target.provider.name, tokens)
        return Habits(1.0, reasoning, 0.0, known.first_event_seconds, known.tokens_per_second, known.whole_seconds)

    return Asked(_call(routed), float(text), habits, lambda _: routed.cached_tokens, max_cost_nano, lambda _: _AWAKE)


def _call(routed: RoutedRequest) -> Call:
    envelope = Envelope(
        model=routed.decision.router,
        stream=True,
        include_usage=True,
        output_cap=max(routed.output_tokens, 1),
        choices=1,
        needs=frozenset(),
        body_bytes=routed.input_tokens * MOST_BYTES_PER_TOKEN,
        prompt_tokens=routed.input_tokens,
    )
    return Call(routed.request_id, Operation.CHAT, _EVERYBODY, envelope, {}, routed.received_at_micros)


def _unfit(decision: Decision) -> frozenset[str]:
    """Return the models that could not serve the request itself at any provider."""
    left_out = {each.model_id for each in decision.targets if each.rank is None and each.code in _OF_THE_REQUEST}
    return frozenset(left_out - {each.model_id for each in decision.targets if each.rank is not None})
