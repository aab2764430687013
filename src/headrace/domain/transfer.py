"""Transfers: money that moves in the books without a call, in nano-dollars; entries are appended, never changed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

CASH = "cash"
ADJUSTMENTS = "adjustments"


class TransferKind(StrEnum):
    """Why money moves: a team paid in advance, or the operator corrects its balance."""

    TOP_UP = "top_up"
    ADJUSTMENT = "adjustment"


@dataclass(frozen=True, slots=True)
class Transfer:
    """An amount to a team's prepaid balance; an adjustment may be negative. `note` is the operator's reason.

    `reference` names the transfer for the one who asks: a second one with the same reference is refused.
    """

    kind: TransferKind
    account: str
    amount_nano: int
    note: str
    reference: str
    at_micros: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the books as it is read back."""

    entry_id: int
    kind: str
    line_kind: str
    debit: str
    credit: str
    amount_nano: int
    at_micros: int
    note: str | None
    reference: str | None


@dataclass(frozen=True, slots=True)
class Balance:
    """A scope of the ledger now: its limit (None when there is none), what is held and what is spent."""

    scope: str
    limit_nano: int | None
    held_nano: int
    spent_nano: int

    @property
    def left_nano(self) -> int | None:
        """What may still be held, never below zero; None without a limit."""
        return None if self.limit_nano is None else max(0, self.limit_nano - self.held_nano - self.spent_nano)
