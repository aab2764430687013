"""Shapes of teams, their balances and budgets in the published description; writing them is money_json's.

Types here only describe: no reply is written and no request is read by them.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from headrace.domain.budget import BudgetMode, Window
from headrace.domain.team import MAX_NAME_CHARS, NAME_PATTERN
from headrace.domain.transfer import TransferKind
from headrace.wire.openapi_amounts import Nano, Usd
from headrace.wire.openapi_control import ListLinks, ListMeta, Time

Dollars = Annotated[
    str, Meta(description="Dollars as a text, never a number.", pattern=r"^(0|[1-9][0-9]{0,9})(\.[0-9]{1,9})?$")
]
SignedDollars = Annotated[
    str, Meta(description="Dollars as a text; may be negative.", pattern=r"^-?(0|[1-9][0-9]{0,9})(\.[0-9]{1,9})?$")
]
Zone = Annotated[str, Meta(description="The name of a time zone, like Europe/Berlin.")]


class Balance(Struct, kw_only=True):
    """What was paid in, what is held and spent, what is left; null where nothing was ever paid in."""

    paid_usd: Usd | None
    paid_nano_usd: Nano | None
    spent_usd: Usd
    spent_nano_usd: Nano
    held_usd: Usd
    held_nano_usd: Nano
    left_usd: Usd | None
    left_nano_usd: Nano | None


class Team(Struct, kw_only=True):
    """The keys that are billed together; `balance` is there for one team, and in a list where it pays in advance."""

    name: str
    prepaid: bool
    created_at: Time | None
    balance: Balance | UnsetType = UNSET


class TeamReply(Struct, kw_only=True):
    """One team."""

    team: Team


class TeamList(Struct, kw_only=True):
    """Every team."""

    teams: list[Team]
    meta: ListMeta
    links: ListLinks


class TeamBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """What may be changed of a team."""

    prepaid: bool


class NewTeamBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """A team to be made."""

    name: Annotated[str, Meta(max_length=MAX_NAME_CHARS, pattern=f"^{NAME_PATTERN.pattern}$")]
    prepaid: bool = False


class PaymentBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """A payment into a balance, or its correction; a reference books it once however often it is sent."""

    amount_usd: SignedDollars
    kind: TransferKind = TransferKind.TOP_UP
    note: str | None = None
    reference: str | None = None


class BalanceReply(Struct, kw_only=True):
    """The balance after a payment."""

    balance: Balance


class Transfer(Struct, kw_only=True):
    """An entry of the books."""

    id: int
    kind: str
    debit: str
    credit: str
    amount_usd: Usd
    amount_nano_usd: Nano
    at: Time
    note: str | None
    reference: str | None


class TransferList(Struct, kw_only=True):
    """The newest entries first."""

    transfers: list[Transfer]
    meta: ListMeta
    links: ListLinks


class TransferQuery(Struct, kw_only=True):
    """How many entries are shown."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


class Budget(Struct, kw_only=True):
    """A limit on charge with the window that runs now."""

    id: str
    scope: str
    window: Window
    zone: str
    mode: BudgetMode
    limit_usd: Usd
    limit_nano_usd: Nano
    spent_usd: Usd
    spent_nano_usd: Nano
    held_usd: Usd
    held_nano_usd: Nano
    left_usd: Usd | None
    left_nano_usd: Nano | None
    window_starts_at: Time | None
    window_ends_at: Time | None
    created_at: Time
    changed_at: Time


class BudgetReply(Struct, kw_only=True):
    """One budget."""

    budget: Budget


class BudgetList(Struct, kw_only=True):
    """The budgets, or those of one scope."""

    budgets: list[Budget]
    meta: ListMeta
    links: ListLinks


class BudgetQuery(Struct, kw_only=True):
    """Whose budgets are shown."""

    scope: str | UnsetType = UNSET


class BudgetBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """What may be changed of a budget."""

    limit_usd: Dollars | UnsetType = UNSET
    mode: BudgetMode | UnsetType = UNSET


class NewBudgetBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """A budget to be made, for platform, team:NAME, key:ID or model:ID."""

    scope: str
    window: Window
    limit_usd: Dollars
    zone: Zone = "UTC"
    mode: BudgetMode = BudgetMode.REJECT
