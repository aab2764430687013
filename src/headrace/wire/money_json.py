"""Budgets, teams, balances and amounts of money as JSON; amounts are strings of dollars, never numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence

from headrace.domain.budget import Budget, BudgetMode, Span, Window
from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.money import MAX_NANO, NANO_PER_USD, format_nano
from headrace.domain.team import Team
from headrace.domain.transfer import Balance, Entry
from headrace.wire.iso_time import iso_time, iso_time_or_none
from headrace.wire.json_strict import encode

_AMOUNT = re.compile(r"(-?)(0|[1-9][0-9]{0,9})(?:\.([0-9]{1,9}))?\Z")


def read_usd(value: JsonValue, param: str, *, may_be_negative: bool = False) -> int:
    """Return an amount in nano-dollars; raises InvalidRequest unless it is a string like "12.50"."""
    found = _AMOUNT.match(value) if isinstance(value, str) else None
    if found is None or (found.group(1) and not may_be_negative):
        raise InvalidRequest(
            f'"{param}" must be US dollars as a string, like "12.50", with at most nine decimal places and no other'
            f" sign or currency, not {_shown(value)}.",
            param=param,
        )
    sign, whole, fraction = found.groups()
    amount = int(whole) * NANO_PER_USD + int((fraction or "").ljust(9, "0"))
    if amount > MAX_NANO:
        raise InvalidRequest(
            f'"{param}" must be at most {format_nano(MAX_NANO)} dollars, not {_shown(value)}.',
            param=param,
        )
    return -amount if sign else amount


def read_window(value: JsonValue) -> Window:
    """Return a budget's window; raises InvalidRequest."""
    if isinstance(value, str) and value in set(Window):
        return Window(value)
    raise InvalidRequest(f'"window" must be one of {_names(list(Window))}, not {_shown(value)}.', param="window")


def read_mode(value: JsonValue) -> BudgetMode:
    """Return a budget's mode; raises InvalidRequest."""
    if isinstance(value, str) and value in set(BudgetMode):
        return BudgetMode(value)
    raise InvalidRequest(f'"mode" must be one of {_names(list(BudgetMode))}, not {_shown(value)}.', param="mode")


def amount(name: str, nano: int | None) -> JsonObject:
    """Return an amount twice: as a string of dollars, and in nano-dollars for programs."""
    return {f"{name}_usd": None if nano is None else format_nano(nano), f"{name}_nano_usd": nano}


def budget_object(budget: Budget, span: Span, balance: Balance) -> JsonObject:
    """Return a budget with the window that runs now."""
    return {
        "id": budget.id,
        "scope": budget.scope,
        "window": budget.window.value,
        "zone": budget.zone,
        "mode": budget.mode.value,
        **amount("limit", budget.limit_nano),
        **amount("spent", balance.spent_nano),
        **amount("held", balance.held_nano),
        **amount("left", balance.left_nano),
        "window_starts_at": iso_time_or_none(span.starts_at_micros),
        "window_ends_at": iso_time_or_none(span.ends_at_micros),
        "created_at": iso_time(budget.created_at_micros),
        "changed_at": iso_time(budget.changed_at_micros),
    }


def team_object(team: Team, balance: Balance | None = None) -> JsonObject:
    """Return a team, and its prepaid balance where it is asked for."""
    shown: JsonObject = {
        "name": team.name,
        "prepaid": team.is_prepaid,
        "created_at": iso_time(team.created_at_micros) if team.created_at_micros else None,
    }
    if balance is not None:
        shown["balance"] = balance_object(balance)
    return shown


def balance_object(balance: Balance) -> JsonObject:
    """Return a prepaid balance: what was paid in, what is held and spent, what is left."""
    return {
        **amount("paid", balance.limit_nano),
        **amount("spent", balance.spent_nano),
        **amount("held", balance.held_nano),
        **amount("left", balance.left_nano),
    }


def entry_object(entry: Entry) -> JsonObject:
    """Return an entry of the books."""
    return {
        "id": entry.entry_id,
        "kind": entry.kind,
        "debit": entry.debit,
        "credit": entry.credit,
        **amount("amount", entry.amount_nano),
        "at": iso_time(entry.at_micros),
        "note": entry.note or None,
        "reference": entry.reference,
    }


def _names(values: Sequence[str]) -> str:
    return ", ".join(f'"{each}"' for each in values)


def _shown(value: JsonValue) -> str:
    return encode(value).decode()[:80]
