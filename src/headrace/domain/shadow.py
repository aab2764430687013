"""Shadow sampling: which requests a reference model answers too, what came of it, and how the answers compare; pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeAlias

from headrace.domain.intervals import Interval, mean_interval

ShadowState: TypeAlias = Literal["running", "kept", "failed"]
_HASH_BYTES = 8


class Verdict(StrEnum):
    """How the router's answer compares with the reference's."""

    BETTER = "better"
    EQUAL = "equal"
    WORSE = "worse"


WORTH: Mapping[Verdict, float] = {Verdict.BETTER: 1.0, Verdict.EQUAL: 0.0, Verdict.WORSE: -1.0}


@dataclass(frozen=True, slots=True)
class ShadowAnswer:
    """A routed request that the reference model answered too; times are microseconds since 1970 UTC.

    `request_id` is the caller's request, `shadow_request_id` the one of the reference. `amount_nano` counts against the
    day's budget: the bound until the answer is settled, then its cost. `failure` is the code of what went wrong. The
    texts themselves are kept elsewhere, sealed.
    """

    request_id: str
    shadow_request_id: str
    router_uuid: str
    route: str | None
    served_by: str
    reference: str
    made_at_micros: int
    amount_nano: int
    state: ShadowState = "running"
    failure: str | None = None
    verdict: Verdict | None = None
    judge: str | None = None
    judged_at_micros: int | None = None


@dataclass(frozen=True, slots=True)
class Quality:
    """What judges said of a router's answers: `mean` is from -1, all worse than the reference's, to 1, all better."""

    better: int
    equal: int
    worse: int
    mean: Interval | None

    @property
    def judged(self) -> int:
        """How many answers were judged."""
        return self.better + self.equal + self.worse


def quality_of(counts: Mapping[Verdict, int]) -> Quality:
    """Return what so many verdicts come to."""
    better, equal, worse = (counts.get(each, 0) for each in (Verdict.BETTER, Verdict.EQUAL, Verdict.WORSE))
    values = [WORTH[each] for each in Verdict for _ in range(counts.get(each, 0))]
    return Quality(better, equal, worse, mean_interval(values, WORTH[Verdict.WORSE], WORTH[Verdict.BETTER]))


def is_sampled(request_id: str, share: float) -> bool:
    """Whether a request is among the share: always the same answer for the same request."""
    digest = hashlib.sha256(request_id.encode()).digest()[:_HASH_BYTES]
    return int.from_bytes(digest) < share * 2 ** (8 * _HASH_BYTES)
