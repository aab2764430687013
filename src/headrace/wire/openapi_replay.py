"""Shapes of replays and savings in the published description; writing them is replay_json's and savings_json's.

Types here only describe: no reply is written and no request is read by them.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType, field

from headrace.domain.router import RoutingPreference
from headrace.wire.openapi_amounts import Nano, Usd
from headrace.wire.openapi_control import Time
from headrace.wire.openapi_routers import RouterReplacement

Since = Annotated[str, Meta(description='Like "7d" or "24h", which is so long ago, or an ISO 8601 time.')]
Limit = Annotated[int, Meta(ge=1, le=50_000, description="Of more requests the newest are taken.")]
Share = Annotated[float, Meta(ge=0, le=1)]
Route = Annotated[str, Meta(description="A task, null where none matched; with the managed router a model.")]


class ReplayBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """Which requests are decided anew, and by what: the router as it is, a draft, or another preference."""

    since: Since | None = None
    until: Since | None = None
    limit: Limit | None = None
    router: RouterReplacement | UnsetType | None = UNSET
    routing_preference: RoutingPreference | None = None
    stream: Annotated[bool, Meta(description="Tell the progress as events, the reply as the last of them.")] = False


class SampleInterval(Struct, kw_only=True):
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float


class ReplayCourse(Struct, kw_only=True):
    """A way of choosing models: its cost, and the part of it that the router does without."""

    name: str
    cost_nano_usd: Nano
    cost_usd: Usd
    router_saves: float | None
    quality: SampleInterval | None


class ReplayCourses(Struct, kw_only=True):
    """The router beside its controls, over the same requests."""

    requests: int
    own: ReplayCourse
    controls: list[ReplayCourse]


class ReplayMove(Struct, kw_only=True):
    """How many requests went from one route to another, or stayed."""

    from_: Route | None = field(name="from")
    to: Route | None
    requests: int
    newest: Annotated[list[str], Meta(max_length=3)]


class ReplayAbstained(Struct, kw_only=True):
    """How many requests no task matched."""

    before: int
    after: int


class ReplayCost(Struct, kw_only=True):
    """What the requests cost, and what they would cost; `requests` are those that were and could be served."""

    requests: int
    paid_nano_usd: Nano
    paid_usd: Usd
    replayed_nano_usd: Nano
    replayed_usd: Usd
    saved_nano_usd: Nano
    saved_usd: Usd


class RouterReplay(Struct, kw_only=True):
    """Requests of the past, decided anew; `left_out` counts by their basis those that could not be."""

    router: str
    draft: bool
    routing_preference: RoutingPreference | None
    since: Time
    until: Time
    requests: Annotated[int, Meta(description="How many there are; at most so many as the limit were replayed.")]
    redecided: int
    left_out: dict[str, int]
    changed: int
    abstained: ReplayAbstained | None
    moves: list[ReplayMove]
    moves_left_out: int
    cost: ReplayCost
    compared: ReplayCourses | None
    notes: list[str]


class ReplayReply(Struct, kw_only=True):
    """A replay."""

    replay: RouterReplay


class SavingsQuery(Struct, kw_only=True):
    """Which requests are added up."""

    since: Since = "7d"
    until: Since | UnsetType = UNSET
    limit: Limit = 10_000


class RouterSaved(Struct, kw_only=True):
    """What requests cost and would have cost with the reference; `share` is the saved part of the reference."""

    requests: int
    paid_nano_usd: Nano
    paid_usd: Usd
    reference_nano_usd: Nano
    reference_usd: Usd
    saved_nano_usd: Nano
    saved_usd: Usd
    share: float | None


class SavingsGroup(Struct, kw_only=True):
    """The served requests of one route at one model."""

    route: str | None
    model: str
    requests: int
    paid_nano_usd: Nano
    paid_usd: Usd
    saved: RouterSaved


class JudgedQuality(Struct, kw_only=True):
    """What judges said of answers beside the reference model's; the mean is from -1, all worse, to 1, all better."""

    judged: int
    better: int
    equal: int
    worse: int
    mean: SampleInterval


class RouterSavings(Struct, kw_only=True):
    """What a router's requests cost; `quality` is null while nobody judged answers."""

    router: str
    since: Time
    until: Time
    requests: Annotated[int, Meta(description="How many there are; of more than the limit the newest are added up.")]
    served: int
    by_basis: dict[str, int]
    matched: SampleInterval | None
    fallback: SampleInterval | None
    paid_nano_usd: Nano
    paid_usd: Usd
    saved: RouterSaved
    groups: list[SavingsGroup]
    compared: ReplayCourses | None
    quality: JudgedQuality | None
    notes: list[str]


class SavingsReply(Struct, kw_only=True):
    """Savings over some time."""

    savings: RouterSavings
