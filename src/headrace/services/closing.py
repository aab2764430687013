"""Closing an attempt: a pure decision from how it ended to a settlement or a void.

The caller is charged for a complete answer, for what was delivered before a failure, and for what an own departure
left running; an upstream's failure without delivered output costs the caller nothing (failure contract, R5).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from headrace.domain.books import Settlement, Timing, Void
from headrace.domain.call import Call
from headrace.domain.dedicated import Deployment
from headrace.domain.errors import (
    DeploymentAsleep,
    EngineFailed,
    HeadraceError,
    UpstreamError,
    UpstreamNonconforming,
    UpstreamQuota,
    UpstreamRateLimited,
    UpstreamRefused,
)
from headrace.domain.plan import Target
from headrace.domain.price import price_lines
from headrace.domain.replica_run import NO_SHARE, ReplicaShare, share_nano
from headrace.domain.usage import Usage
from headrace.ports.fleet import Lease
from headrace.ports.observer import AttemptEnd
from headrace.services.metering import completed_usage, estimated_usage

CALLER_LEFT_STATUS = 499
SHUT_DOWN_STATUS = 503
CONNECTION_REUSED = "conn_reused_retry"
UNREACHED = frozenset({"upstream_unreachable", "upstream_tls"})
# Whoever answered did its part: what was asked, or how much, is the reason.
ANSWERED = (UpstreamRefused, UpstreamNonconforming, UpstreamRateLimited, UpstreamQuota)


@dataclass(frozen=True, slots=True)
class AttemptState:
    """What is known of an attempt at the moment it ends; `share` is what it had of its replica's time."""

    attempt_id: str
    call: Call
    target: Target
    is_sent: bool
    is_last: bool
    departure: str | None
    meaningful: bool
    usage: Usage | None
    output_tokens_seen: int
    delivered_bytes: int
    upstream_status: int | None
    upstream_request_id: str | None
    held_at_micros: int
    first_event_at_micros: int | None
    ended_at_micros: int
    share: ReplicaShare = NO_SHARE


@dataclass(frozen=True, slots=True)
class Cause:
    """Why an attempt ended: the ending's name, the stable code and the status the caller sees."""

    name: str
    code: str
    status: int
    by_caller: bool


def share_of(lease: Lease | None) -> ReplicaShare:
    """Return what a request had until now of the replica that it is sent to, if it is."""
    return NO_SHARE if lease is None else ReplicaShare(lease.share_micros(), lease.nano_per_hour)


def may_go_on(error: BaseException) -> bool:
    """Whether the next target may be tried after this failure: not when the books or the process are the reason."""
    return isinstance(error, UpstreamError | EngineFailed | DeploymentAsleep) and error.retryable


def blames_replica(error: BaseException) -> bool:
    """Whether a failure speaks against the replica that was asked, so that another one of its deployment may do."""
    return isinstance(error, UpstreamError | EngineFailed) and not isinstance(error, ANSWERED)


def settlement_at_end(state: AttemptState) -> Settlement:
    """Return the settlement of an attempt whose answer is complete."""
    return _settlement(state, "complete", None, charged=True, request_status=200)


def settlement_or_void(state: AttemptState, error: BaseException) -> Settlement | Void:
    """Return how the books of an attempt are closed that ended by this error."""
    cause = _cause(state, error)
    status = _request_status(state, cause, error)
    refused = state.upstream_status is not None and state.upstream_status >= 400
    if state.is_sent and not refused and (state.delivered_bytes or state.meaningful or cause.by_caller):
        charged = bool(state.delivered_bytes) or cause.by_caller
        return _settlement(state, cause.name, cause.code, charged=charged, request_status=status)
    return Void(
        attempt_id=state.attempt_id,
        error_code=cause.code,
        ended_at_micros=state.ended_at_micros,
        upstream_status=state.upstream_status,
        possible_spend=state.is_sent and not refused and cause.code not in UNREACHED,
        request_status=status,
    )


def attempt_end(state: AttemptState, closing: Settlement | Void) -> AttemptEnd:
    """Return what observers are told of a closed attempt."""
    settled = closing if isinstance(closing, Settlement) else None
    first = state.first_event_at_micros
    return AttemptEnd(
        request_id=state.call.request_id,
        attempt_id=state.attempt_id,
        operation=state.call.operation.value,
        model_id=state.target.model.id,
        provider=state.target.provider.name,
        ending="voided" if settled is None else settled.ending,
        error_code=closing.error_code,
        first_event_seconds=None if first is None else (first - state.held_at_micros) / 1e6,
        duration_seconds=(state.ended_at_micros - state.held_at_micros) / 1e6,
        usage=None if settled is None else settled.usage,
        cost_nano=0 if settled is None else sum(line.cost_nano for line in settled.lines),
        charge_nano=0 if settled is None else sum(line.charge_nano for line in settled.lines),
        credential=None if state.target.credential is None else state.target.credential.label,
        stream=state.call.envelope.stream,
        deployment=state.target.deployment,
    )


def _cause(state: AttemptState, error: BaseException) -> Cause:
    if isinstance(error, HeadraceError):
        return Cause(error.code, error.code, error.status, by_caller=False)
    if isinstance(error, asyncio.CancelledError) and state.departure is None:
        return Cause("shutting_down", "shutting_down", SHUT_DOWN_STATUS, by_caller=False)
    if isinstance(error, asyncio.CancelledError) and state.departure == "slow_reader":
        return Cause("slow_reader", "slow_reader", CALLER_LEFT_STATUS, by_caller=True)
    if isinstance(error, asyncio.CancelledError):
        return Cause("client_closed", "client_closed", CALLER_LEFT_STATUS, by_caller=True)
    return Cause("internal_error", "internal_error", 500, by_caller=False)


def _request_status(state: AttemptState, cause: Cause, error: BaseException) -> int | None:
    if not state.is_last and not state.delivered_bytes and not isinstance(error, asyncio.CancelledError):
        return None
    return 200 if state.delivered_bytes and not cause.by_caller else cause.status


def _settlement(
    state: AttemptState, ending: str, code: str | None, *, charged: bool, request_status: int | None
) -> Settlement:
    usage, deployment = state.usage, state.target.model.deployment
    if usage is None:
        usage = estimated_usage(state.call, state.target, state.output_tokens_seen)
    elif state.call.envelope.units:
        usage = completed_usage(state.call, state.target, usage)
    return Settlement(
        attempt_id=state.attempt_id,
        usage=usage,
        lines=price_lines(usage, state.target.price, state.held_at_micros, charged=charged),
        ending=ending,
        timing=Timing(state.first_event_at_micros, state.ended_at_micros),
        delivered_bytes=state.delivered_bytes,
        error_code=code,
        upstream_status=state.upstream_status,
        upstream_request_id=state.upstream_request_id,
        request_status=request_status,
        share_micros=0 if deployment is None else state.share.micros,
        share_nano=0 if deployment is None else _share_nano(state, deployment),
    )


def _share_nano(state: AttemptState, deployment: Deployment) -> int:
    hourly = state.share.nano_per_hour
    return share_nano(state.share.micros, deployment.nano_per_hour if hourly is None else hourly)
