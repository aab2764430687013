"""Receipts: the full account of one request, as it is read back."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.domain.plan import Excluded
from headrace.domain.price import Line
from headrace.domain.routing import Decision
from headrace.domain.usage import Usage


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """One attempt of a request; `state` is held, sent, settled or voided.

    `rates_pico` are the price's own, `variants` its tiers, windows and batch price as JSON; lines say what held.
    `share_micros` is its share of a deployment's replica, `share_nano` that time at the replica's price: paid with the
    replica's seconds, and so neither cost nor charge of its own. None where no replica was kept for it.
    """

    attempt_id: str
    turn_index: int
    attempt_index: int
    state: str
    model_id: str
    provider: str
    deployment: str | None
    identity: str
    price_version: str
    price_source: str
    rates_pico: dict[str, int]
    bound_nano: int
    usage: Usage | None
    lines: tuple[Line, ...]
    ending: str | None
    error_code: str | None
    upstream_status: int | None
    upstream_request_id: str | None
    possible_spend: bool
    delivered_bytes: int
    held_at_micros: int
    first_event_at_micros: int | None
    ended_at_micros: int | None
    scopes: tuple[str, ...]
    parent_attempt_id: str | None
    variants: str | None = None
    share_micros: int | None = None
    share_nano: int | None = None

    @property
    def cost_nano(self) -> int:
        """What the operator owes upstream for this attempt."""
        return sum(line.cost_nano for line in self.lines)

    @property
    def charge_nano(self) -> int:
        """What the key's owner is billed for this attempt."""
        return sum(line.charge_nano for line in self.lines)


@dataclass(frozen=True, slots=True)
class Receipt:
    """One request with its attempts in order, and the targets that its plan left out.

    `decision` is what a router decided, None where none was asked or its decision is forgotten.
    """

    request_id: str
    operation: str
    account: str
    key_id: str
    key_name: str
    requested_model: str
    stream: bool
    route: str | None
    status: int | None
    received_at_micros: int
    attempts: tuple[AttemptRecord, ...]
    excluded: tuple[Excluded, ...] = ()
    decision: Decision | None = None

    @property
    def cost_nano(self) -> int:
        """What the operator owes upstream for all its attempts."""
        return sum(each.cost_nano for each in self.attempts)

    @property
    def served_by(self) -> str | None:
        """The model of the attempt that was settled, or None."""
        return next((each.model_id for each in self.attempts if each.state == "settled"), None)
