"""Rate limits on the request path: every scope of a request counts it, or it is refused and nothing is sent.

Counting is synchronous and in this process's memory. What the operator sets is limit_changes's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import TracebackType

from headrace.domain.access import Caller, key_scope
from headrace.domain.call import Call, Dialect
from headrace.domain.errors import RateLimited
from headrace.domain.plan import Excluded, Plan
from headrace.domain.rate_limit import LimitKind, Meter, ScopedLimits, Shortage, longest
from headrace.domain.snapshot import Snapshot
from headrace.ports.ambient import Clock
from headrace.ports.observer import AttemptEnd, RequestEnd
from headrace.services.metering import token_estimate
from headrace.wire.rate_headers import Headers, rate_headers

MICROS = 1_000_000
MOST_REMEMBERED = 10_000
PLATFORM = "platform"
_COUNTED: Mapping[LimitKind, str] = {
    LimitKind.REQUESTS_PER_MINUTE: "make {} requests per minute",
    LimitKind.REQUESTS_PER_DAY: "make {} requests per day",
    LimitKind.TOKENS_PER_MINUTE: "use {} tokens per minute",
    LimitKind.TOKENS_PER_DAY: "use {} tokens per day",
    LimitKind.CONCURRENT_REQUESTS: "have {} requests running at once",
}
_OF_TOKENS = frozenset({LimitKind.TOKENS_PER_MINUTE, LimitKind.TOKENS_PER_DAY})


class Limits:
    """Keeps a meter for every scope that has limits; as an observer it hears what each attempt really used.

    A key that replaces another goes on with its meter: those of keys are kept by the first key of the chain.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._limits: Mapping[str, ScopedLimits] = {}
        self._meters: dict[str, Meter] = {}
        self._of_key: dict[str, tuple[Meter, ...]] = {}
        self._admitted: dict[str, Admission] = {}
        self.limits_models = False
        self.refused: Counter[tuple[str, str]] = Counter()
        self.unlimited = Standing(self, (), Dialect.CHAT)

    def follow(self, snapshot: Snapshot) -> None:
        """Put the limits of a new snapshot in force; meters that nothing needs any more are dropped."""
        now = self.now_micros()
        self._limits = snapshot.limits
        self._of_key = {}
        self.limits_models = any(scope.startswith("model:") for scope in snapshot.limits)
        heirs = _heirs(snapshot) if self._meters else {}
        for owner, meter in list(self._meters.items()):
            scope = heirs.get(owner, owner)
            wanted = snapshot.limits.get(scope)
            if wanted is not None:
                meter.scope = scope
                meter.change(wanted.limits, now)
            elif not meter.running:
                del self._meters[owner]

    def standing(self, caller: Caller, dialect: Dialect = Dialect.CHAT) -> Standing:
        """Return where a caller's request stands now; its model's limits are added when it is known."""
        if not self._limits:
            return self.unlimited
        meters = self._of_key.get(caller.key_id)
        if meters is None:
            if len(self._of_key) >= MOST_REMEMBERED:
                self._of_key.clear()
            found = (
                self.meter(PLATFORM),
                self.meter(f"team:{caller.team}"),
                self.meter(key_scope(caller.key_id), caller.budget_scope),
            )
            meters = tuple([meter for meter in found if meter is not None])
            self._of_key[caller.key_id] = meters
        return Standing(self, meters, dialect) if meters or self.limits_models else self.unlimited

    def meter(self, scope: str, owner: str | None = None) -> Meter | None:
        """Return the meter of a scope, or None when it has no limits; `owner` is under whose name it is kept."""
        scoped, owner = self._limits.get(scope), owner or scope
        if scoped is None:
            return None
        meter = self._meters.get(owner)
        if meter is None:
            meter = self._meters[owner] = Meter(scope, scoped.limits, self.now_micros())
        return meter

    def began(self, admission: Admission) -> None:
        """Note a request that runs, so that its attempts are heard."""
        self._admitted[admission.request_id] = admission

    def ended(self, admission: Admission) -> None:
        """Note that a request runs no longer."""
        self._admitted.pop(admission.request_id, None)

    def refusal(self, call: Call, shortage: Shortage) -> RateLimited:
        """Return the error for a request that does not fit, and count it."""
        self.refused[shortage.scope.partition(":")[0], shortage.kind.value] += 1
        return _refusal(call, shortage)

    def now_micros(self) -> int:
        """Return the monotonic time."""
        return int(self._clock.monotonic() * MICROS)

    def unix_micros(self) -> int:
        """Return the wall time."""
        return self._clock.unix_micros()

    def attempt_ended(self, end: AttemptEnd) -> None:
        """Settle the tokens of the request that this attempt belongs to."""
        admission = self._admitted.get(end.request_id)
        if admission is not None:
            used = None if end.usage is None else end.usage.input_total + end.usage.output_total
            admission.attempted(end.model_id, used)

    def request_ended(self, end: RequestEnd) -> None:
        """Do nothing: an admission ends with its turn."""


class Standing:
    """Where one request stands: the meters that count it, told in the headers of whatever it is answered with."""

    __slots__ = ("_dialect", "_meters", "_of_model", "_owner")

    def __init__(self, owner: Limits, meters: Sequence[Meter], dialect: Dialect) -> None:
        self._owner = owner
        self._meters = meters
        self._of_model: Meter | None = None
        self._dialect = dialect

    def headers(self) -> Headers:
        """Return the headers that tell of these limits as they stand now."""
        meters = self._meters if self._of_model is None else (*self._meters, self._of_model)
        if not meters:
            return ()
        now = self._owner.now_micros()
        requests, tokens = meters[0].readings(now)
        for meter in meters[1:]:
            more_requests, more_tokens = meter.readings(now)
            requests += more_requests
            tokens += more_tokens
        return rate_headers(requests, tokens, self._owner.unix_micros(), anthropic=self._dialect is Dialect.MESSAGES)

    def require_room(self, call: Call) -> None:
        """Raise RateLimited for a request that surely does not fit, whoever may serve it; nothing is counted."""
        owner = self._owner
        if self is not owner.unlimited:
            self._require(call, token_estimate(call, ()), owner.now_micros())

    def admit(self, call: Call, plan: Plan) -> Admission:
        """Return the right to run a request that fits everywhere; enter it at once. Raises RateLimited.

        A model that has no room is left out of the plan as long as another target remains.
        """
        owner = self._owner
        if self is owner.unlimited:
            return Admission(owner, call.request_id, plan)
        now, entries = owner.now_micros(), list[Entry]()
        tokens = token_estimate(call, plan.targets)
        self._require(call, tokens, now)
        if owner.limits_models and plan.targets:
            plan = self._within_models(call, plan, entries, now)
        entries += [Entry(meter, tokens, now) for meter in self._meters]
        return Admission(owner, call.request_id, plan, entries)

    def _require(self, call: Call, tokens: int, now: int) -> None:
        shortage = longest([meter.shortage(tokens, now) for meter in self._meters])
        if shortage is not None:
            raise self._owner.refusal(call, shortage)

    def _within_models(self, call: Call, plan: Plan, entries: list[Entry], now: int) -> Plan:
        meters = {target.model.id: self._owner.meter(f"model:{target.model.id}") for target in plan.targets}
        full: dict[str, Shortage] = {}
        for model_id, meter in meters.items():
            if meter is not None:
                tokens = token_estimate(call, [target for target in plan.targets if target.model.id == model_id])
                shortage = meter.shortage(tokens, now)
                if shortage is None:
                    entries.append(Entry(meter, tokens, now, model_id))
                else:
                    full[model_id] = shortage
        left = plan if not full else _without(plan, full)
        self._of_model = meters[(left.targets or plan.targets)[0].model.id]
        if not left.targets:
            raise self._owner.refusal(call, min(full.values(), key=_wait))
        return left


class Entry:
    """What one meter counts of one request; `model_id` is None when it counts whatever model answers."""

    __slots__ = ("_at", "_held", "_is_asked", "_meter", "model_id")

    def __init__(self, meter: Meter, tokens: int, now_micros: int, model_id: str | None = None) -> None:
        self._meter = meter
        self._held = tokens
        self._at = now_micros
        self._is_asked = model_id is None
        self.model_id = model_id

    def begin(self) -> None:
        """Count the request."""
        self._meter.admit(self._held, self._at)

    def attempted(self, used: int | None, now_micros: int) -> None:
        """Spend what an attempt used in place of what was held; None is an attempt that used nothing."""
        self._is_asked = True
        if used is not None:
            self._meter.settle(self._held, used, now_micros)
            self._held = 0

    def end(self, now_micros: int) -> None:
        """Let go what is still held; a model that was never asked did not have the request."""
        self._meter.settle(self._held, 0, now_micros)
        self._meter.end()
        if not self._is_asked:
            self._meter.forget(self._at, now_micros)


class Admission:
    """One admitted request, as a context: inside it runs, at its end it is counted out exactly once."""

    __slots__ = ("_entries", "_owner", "plan", "request_id")

    def __init__(self, owner: Limits, request_id: str, plan: Plan, entries: Sequence[Entry] = ()) -> None:
        self._owner = owner
        self._entries = entries
        self.plan = plan
        self.request_id = request_id

    def __enter__(self) -> Plan:
        """Count the request; returns the plan with what has room."""
        if self._entries:
            for entry in self._entries:
                entry.begin()
            self._owner.began(self)
        return self.plan

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Count it out."""
        entries, self._entries = self._entries, ()
        if entries:
            self._owner.ended(self)
            now = self._owner.now_micros()
            for entry in entries:
                entry.end(now)

    def attempted(self, model_id: str, used: int | None) -> None:
        """Note what an attempt at a model used."""
        now = self._owner.now_micros()
        for entry in self._entries:
            if entry.model_id is None or entry.model_id == model_id:
                entry.attempted(used, now)


def _heirs(snapshot: Snapshot) -> dict[str, str]:
    """Return the scope of the key that is in use now by that of the first of its chain."""
    live = [each for each in snapshot.keys.values() if each.first_id and each.revoked_at_micros is None]
    return {each.budget_scope: key_scope(each.public_id) for each in live}


def _without(plan: Plan, full: Mapping[str, Shortage]) -> Plan:
    excluded = [
        Excluded(
            target.model.id, target.provider.name, RateLimited.default_code, f"{_reached(full[target.model.id])} left."
        )
        for target in plan.targets
        if target.model.id in full
    ]
    targets = tuple(target for target in plan.targets if target.model.id not in full)
    return replace(plan, targets=targets, excluded=(*plan.excluded, *excluded))


def _refusal(call: Call, shortage: Shortage) -> RateLimited:
    told = {"scope": shortage.scope, "limit": shortage.kind.value}
    wait = shortage.wait_micros
    if wait is None:
        room = (shortage.limit - token_estimate(call, ())) // call.envelope.choices
        advice = f"Lower max_tokens to at most {room}" if room > 0 else "Shorten the prompt"
        return RateLimited(
            f"{shortage.scope} may {_COUNTED[shortage.kind].format(shortage.limit)}; this request alone could use"
            f" {shortage.asked}. {advice}, or ask the operator to raise the limit.",
            code="request_over_limit",
            param="max_tokens" if room > 0 else None,
            extra=told,
        )
    ask = f"; this request could use {shortage.asked}" if shortage.kind in _OF_TOKENS else ""
    until = (
        "until one of them has ended" if shortage.kind is LimitKind.CONCURRENT_REQUESTS else f"{-(-wait // MICROS)} s"
    )
    return RateLimited(
        f"{_reached(shortage)} left{ask}. Wait {until}, or ask the operator to raise the limit.",
        retry_after_seconds=wait / MICROS,
        extra=told,
    )


def _reached(shortage: Shortage) -> str:
    return f"{shortage.scope} may {_COUNTED[shortage.kind].format(shortage.limit)} and has {shortage.left}"


def _wait(shortage: Shortage) -> float:
    return float("inf") if shortage.wait_micros is None else shortage.wait_micros
