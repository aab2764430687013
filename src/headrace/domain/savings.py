"""Savings: what routed requests cost beside what they would have cost elsewhere; pure.

What a request would have cost elsewhere is what the decision expected of it, times how much dearer or cheaper than
expected the request turned out where it was served: a wrong guess of its length is then on both sides.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from headrace.domain.controls import MOST_CHOOSABLE, Compared, ControlSums
from headrace.domain.evaluation import Choosable
from headrace.domain.intervals import Interval, share_interval
from headrace.domain.routing import Decision


@dataclass(frozen=True, slots=True)
class Spent:
    """A routed request: by what basis it had which route, who served it, and what it cost there and elsewhere.

    `model` is None when nobody served it. `choosable` are all that could have, `model` among them, and
    `reference_nano` the cost of the dearest; both are empty where nothing was expected of the one that served.
    """

    basis: str
    route: str | None
    model: str | None
    is_fallback: bool
    paid_nano: int
    reference_nano: int | None = None
    choosable: Mapping[str, Choosable] = field(default_factory=dict[str, Choosable])


@dataclass(frozen=True, slots=True)
class SavingsGroup:
    """The served requests of one route at one model.

    `compared_paid_nano` and `reference_nano` are of those `compared`: whose costs elsewhere are known.
    """

    route: str | None
    model: str
    requests: int
    paid_nano: int
    compared: int
    compared_paid_nano: int
    reference_nano: int


@dataclass(frozen=True, slots=True)
class Savings:
    """What requests come to; `matched` is the share of all that had a route, `fallback` of the served.

    Amounts are in nano-dollars: `paid_nano` of all that were served, the reference beside `compared_paid_nano`.
    """

    requests: int
    served: int
    by_basis: Mapping[str, int]
    matched: Interval | None
    fallback: Interval | None
    paid_nano: int
    compared_requests: int
    compared_paid_nano: int
    reference_nano: int
    groups: tuple[SavingsGroup, ...]
    compared: Compared


def spent(decision: Decision, served_by: str | None, paid_nano: int, strengths: Mapping[str, float]) -> Spent:
    """Return a request as savings count it, by its decision, who served it and what that cost.

    `strengths` are those that are known now, by model.
    """
    target = next((each for each in decision.targets if served_by is not None and each.model_id == served_by), None)
    found = Spent(
        basis=decision.basis,
        route=decision.route,
        model=served_by,
        is_fallback=target is not None and target.code == "fallback",
        paid_nano=paid_nano,
    )
    expected = None if target is None else target.expected_cost_nano
    if target is None or expected is None:
        return found
    choosable = {
        each.model_id: Choosable(_scaled(each.expected_cost_nano, paid_nano, expected), strengths.get(each.model_id))
        for each in reversed(decision.targets)
        if each.rank is not None and each.expected_cost_nano is not None
    }
    choosable[target.model_id] = Choosable(paid_nano, strengths.get(target.model_id))
    dearest = max(each.cost_nano for each in choosable.values())
    return replace(found, reference_nano=dearest, choosable=choosable)


class SavingsSums:
    """Adds requests up, the newest first; what it remembers is bounded."""

    def __init__(self, most_choosable: int = MOST_CHOOSABLE) -> None:
        self._bases: Counter[str] = Counter()
        self._matched = self._fallback = 0
        self._groups: dict[tuple[str | None, str], list[int]] = {}
        self._controls = ControlSums(most_choosable)

    def add(self, each: Spent) -> None:
        """Add one request."""
        self._bases[each.basis] += 1
        self._matched += each.route is not None
        if each.model is None:
            return
        self._fallback += each.is_fallback
        sums = self._groups.setdefault((each.route, each.model), [0] * 5)
        sums[0] += 1
        sums[1] += each.paid_nano
        if each.reference_nano is not None:
            sums[2] += 1
            sums[3] += each.paid_nano
            sums[4] += each.reference_nano
            self._controls.add(each.model, each.choosable)

    def savings(self) -> Savings:
        """Return what it comes to; the groups that cost most are first."""
        groups = [SavingsGroup(route, model, *sums) for (route, model), sums in self._groups.items()]
        groups.sort(key=lambda each: (-each.paid_nano, each.route or "", each.model))
        requests, served = self._bases.total(), sum(each.requests for each in groups)
        return Savings(
            requests=requests,
            served=served,
            by_basis=dict(sorted(self._bases.items())),
            matched=share_interval(self._matched, requests),
            fallback=share_interval(self._fallback, served),
            paid_nano=sum(each.paid_nano for each in groups),
            compared_requests=sum(each.compared for each in groups),
            compared_paid_nano=sum(each.compared_paid_nano for each in groups),
            reference_nano=sum(each.reference_nano for each in groups),
            groups=tuple(groups),
            compared=self._controls.compared(),
        )


def _scaled(expected_nano: int, paid_nano: int, expected_there_nano: int) -> int:
    """Where nothing was expected to be paid there is nothing to scale by."""
    return expected_nano * paid_nano // expected_there_nano if expected_there_nano else expected_nano
