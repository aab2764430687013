"""What the ledger is told and answers: openings, holds, settlements, voids; amounts in nano-dollars."""

from __future__ import annotations

from dataclasses import dataclass, replace

from headrace.domain.errors import MeteringUnavailable
from headrace.domain.plan import Excluded
from headrace.domain.price import Line, PriceVersion
from headrace.domain.routing import Decision
from headrace.domain.usage import Usage


@dataclass(frozen=True, slots=True)
class Bound:
    """The most that one attempt can use and be charged.

    `input_estimate` is our best guess of the prompt's tokens: what is charged for the prompt of a call whose usage
    never came.
    """

    input_tokens: int
    output_tokens: int
    amount_nano: int
    input_estimate: int = 0


@dataclass(frozen=True, slots=True)
class RequestStart:
    """The request that an attempt belongs to, as it is first written; `tags` are the caller's own dimensions of use.

    `excluded` is what its plan left out, from the start or because it rested; `decision` is a router's, if one was
    asked.
    """

    request_id: str
    operation: str
    account: str
    key_id: str
    key_name: str
    requested_model: str
    stream: bool
    received_at_micros: int
    route: str | None = None
    tags: tuple[str, ...] = ()
    excluded: tuple[Excluded, ...] = ()
    decision: Decision | None = None


@dataclass(frozen=True, slots=True)
class Opening:
    """One attempt before it is sent: identity, target, price version, bound and every scope it draws on.

    `scopes` are names like "platform" and "key:ID", in the fixed order in which they are taken. `identity` says
    what exactly serves (see Target.identity).
    """

    attempt_id: str
    request: RequestStart
    turn_index: int
    attempt_index: int
    model_id: str
    provider: str
    deployment: str | None
    identity: str
    price: PriceVersion
    bound: Bound
    scopes: tuple[str, ...]
    at_micros: int
    parent_attempt_id: str | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """The hold is durable; the attempt may be sent."""

    attempt_id: str


@dataclass(frozen=True, slots=True)
class Refused:
    """No hold: `scope` has the least left of all, `affordable_nano`, and what it can afford all of them can."""

    scope: str
    limit_nano: int
    affordable_nano: int


@dataclass(frozen=True, slots=True)
class Progress:
    """A running count of a stream, written as a checkpoint."""

    output_tokens: int
    delivered_bytes: int
    at_micros: int


@dataclass(frozen=True, slots=True)
class Timing:
    """When things happened in one attempt, in microseconds since 1970 UTC; None when they did not."""

    first_event_at_micros: int | None
    ended_at_micros: int


@dataclass(frozen=True, slots=True)
class Settlement:
    """The end of a sent attempt: true usage and its lines.

    `ending` is one of: complete, client_closed, slow_reader, upstream_truncated, upstream_stalled, upstream_error,
    metering_unavailable (an answer that was withheld), recovered.
    `request_status` is the HTTP status the caller saw when this attempt ends the request, else None. `share_micros` is
    the attempt's share of its replica's time, `share_nano` that share at the replica's price: it is paid with the
    replica's seconds, never twice.
    """

    attempt_id: str
    usage: Usage
    lines: tuple[Line, ...]
    ending: str
    timing: Timing
    delivered_bytes: int = 0
    error_code: str | None = None
    upstream_status: int | None = None
    upstream_request_id: str | None = None
    request_status: int | None = None
    share_micros: int = 0
    share_nano: int = 0

    def withheld(self) -> Settlement:
        """Return what is owed when the store could not take this in time: nothing, if the caller got no byte of it."""
        if self.delivered_bytes or self.ending != "complete":
            return self
        return replace(
            self,
            lines=tuple(replace(line, charge_nano=0) for line in self.lines),
            ending=MeteringUnavailable.default_code,
            error_code=MeteringUnavailable.default_code,
            request_status=MeteringUnavailable.status,
        )


@dataclass(frozen=True, slots=True)
class Void:
    """The end of an attempt that owes nothing: it was not sent, or it failed through no fault of the caller.

    `possible_spend` says that the upstream may bill the operator all the same.
    """

    attempt_id: str
    error_code: str
    ended_at_micros: int
    upstream_status: int | None = None
    possible_spend: bool = False
    request_status: int | None = None


@dataclass(frozen=True, slots=True)
class RecoveryReport:
    """What recovery at start found of earlier processes and did."""

    epochs: int
    settled: int
    voided: int
    integrity: str
