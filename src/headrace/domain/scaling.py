"""Scaling: how many replicas a deployment should have, from what it has to do; pure, with hysteresis."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.domain.dedicated import ScaleTarget, ScalingMetric, Standing

# How long a number of replicas counts as too few for a load, once the first token was late with it.
SHORTAGE_SECONDS = 1800.0


@dataclass(frozen=True, slots=True)
class ScalingRules:
    """Bounds and patience of one deployment's scaling.

    More replicas are asked for when the target was passed for `up_seconds`, fewer when one less would have kept it for
    `down_seconds`, none at all after `idle_seconds` without a request (0: never) where `min_replicas` is 0. Without a
    `target`, a replica should have as many requests as it has `slots`.
    """

    min_replicas: int
    max_replicas: int
    slots: int
    idle_seconds: int
    target: ScaleTarget | None = None
    up_seconds: float = 2.0
    down_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class Shortage:
    """So many replicas were too few for so many requests, at a second of the caller's clock."""

    replicas: int
    requests: int
    at: float


@dataclass(frozen=True, slots=True)
class ScalingMemory:
    """Since when, in seconds of the caller's clock, more or fewer replicas would have been right; None when not.

    `extreme` is the fewest replicas that were needed all the time since then when they are more than there are, and
    the most that were needed when they are fewer. `shortage` is the last time that the first token was late.
    """

    above_since: float | None = None
    below_since: float | None = None
    extreme: int = 0
    shortage: Shortage | None = None


@dataclass(frozen=True, slots=True)
class Scaling:
    """How many replicas should run now, why, and what to remember until the next look."""

    replicas: int
    reason: str
    memory: ScalingMemory


@dataclass(frozen=True, slots=True)
class _Need:
    replicas: int
    reason: str


def scaled(rules: ScalingRules, standing: Standing, memory: ScalingMemory, now: float) -> Scaling:
    """Return how many replicas should run; `now` is in seconds and never goes back."""
    current, requests = standing.wanted, standing.in_flight + standing.waiting
    bounded = _within(rules, current)
    if bounded != current:
        reason = f"The bounds are {rules.min_replicas} to {rules.max_replicas} replicas."
        return Scaling(bounded, reason, ScalingMemory())
    if current == 0:
        return _from_zero(rules, requests, now)
    if requests == 0 and rules.min_replicas == 0 and 0 < rules.idle_seconds <= standing.idle_seconds:
        reason = f"No request for {standing.idle_seconds:.0f} s, and it sleeps after {rules.idle_seconds} s."
        return Scaling(0, reason, ScalingMemory())
    need = _needed(rules, standing, memory, now)
    if need.replicas > current:
        return _more(rules, standing, need, memory, now)
    if need.replicas < current:
        return _fewer(rules, standing, need, memory, now)
    return Scaling(current, need.reason, ScalingMemory(shortage=memory.shortage))


def _within(rules: ScalingRules, replicas: int) -> int:
    return min(max(replicas, rules.min_replicas), rules.max_replicas)


def _from_zero(rules: ScalingRules, requests: int, now: float) -> Scaling:
    """One wakes at once; the time that more than one has been needed begins with it."""
    if requests == 0 or rules.max_replicas == 0:
        return Scaling(0, "It sleeps until a request comes.", ScalingMemory())
    need = _by_load(rules, requests)
    memory = ScalingMemory(above_since=now, extreme=need.replicas) if need.replicas > 1 else ScalingMemory()
    return Scaling(1, f"{_requests(requests)} woke it.", memory)


def _needed(rules: ScalingRules, standing: Standing, memory: ScalingMemory, now: float) -> _Need:
    """Return what would be right at this moment, within the bounds and at least one."""
    target = rules.target
    if target is None or target.metric is ScalingMetric.QUEUE_DEPTH or standing.first_token_ms is None:
        return _by_load(rules, standing.in_flight + standing.waiting)
    return _by_first_token(rules, target.value, standing.first_token_ms, standing, _shortage(memory, now))


def _by_load(rules: ScalingRules, requests: int) -> _Need:
    target = rules.target
    follows_queue = target is not None and target.metric is ScalingMetric.QUEUE_DEPTH
    each = max(1, target.value if follows_queue and target is not None else rules.slots)
    replicas = _within(rules, max(1, -(-requests // each)))
    return _Need(replicas, f"{_requests(requests)} at {each} a replica take {_replicas(replicas)}.")


def _by_first_token(
    rules: ScalingRules, target_ms: int, median_ms: float, standing: Standing, shortage: Shortage | None
) -> _Need:
    """One more while the first token is late, one less while it comes in less than half the time."""
    current, requests = standing.wanted, standing.in_flight + standing.waiting
    seen = f"The first token takes {median_ms:.0f} ms of {target_ms} ms"
    if requests and median_ms > target_ms:
        if standing.ready < current:
            return _Need(current, f"{seen}; not all replicas are ready yet.")
        if current >= requests:
            return _Need(current, f"{seen}; {_requests(requests)} cannot use more replicas.")
        return _Need(_within(rules, current + 1), f"{seen}, with {_requests(requests)}.")
    fewer = _within(rules, max(current - 1, 1))
    is_early = requests == 0 or median_ms * 2 < target_ms
    was_short = shortage is not None and shortage.replicas >= fewer and requests >= shortage.requests
    if not is_early or was_short or requests > fewer * rules.slots:
        return _Need(current, f"{seen}.")
    return _Need(fewer, f"{seen}, and {_replicas(fewer)} can take {_requests(requests)}.")


def _shortage(memory: ScalingMemory, now: float) -> Shortage | None:
    shortage = memory.shortage
    return shortage if shortage is not None and now - shortage.at < SHORTAGE_SECONDS else None


def _more(rules: ScalingRules, standing: Standing, need: _Need, memory: ScalingMemory, now: float) -> Scaling:
    """Ask for what was needed all the time once it lasted for `up_seconds`."""
    is_going_on = memory.above_since is not None
    since = memory.above_since if memory.above_since is not None else now
    least = min(memory.extreme, need.replicas) if is_going_on else need.replicas
    if now - since < rules.up_seconds:
        waiting = ScalingMemory(above_since=since, extreme=least, shortage=memory.shortage)
        return Scaling(standing.wanted, f"{need.reason} More are asked for if it stays so.", waiting)
    requests = standing.in_flight + standing.waiting
    after = ScalingMemory(shortage=Shortage(standing.wanted, requests, now))
    return Scaling(max(least, standing.wanted), need.reason, after)


def _fewer(rules: ScalingRules, standing: Standing, need: _Need, memory: ScalingMemory, now: float) -> Scaling:
    """Keep the most that was needed in the last `down_seconds`."""
    is_going_on = memory.below_since is not None
    since = memory.below_since if memory.below_since is not None else now
    most = max(memory.extreme, need.replicas) if is_going_on else need.replicas
    if now - since < rules.down_seconds:
        waiting = ScalingMemory(below_since=since, extreme=most, shortage=memory.shortage)
        return Scaling(standing.wanted, f"{need.reason} Fewer are kept if it stays so.", waiting)
    return Scaling(min(most, standing.wanted), need.reason, ScalingMemory(shortage=memory.shortage))


def _requests(number: int) -> str:
    return "1 request" if number == 1 else f"{number} requests"


def _replicas(number: int) -> str:
    return "1 replica" if number == 1 else f"{number} replicas"
