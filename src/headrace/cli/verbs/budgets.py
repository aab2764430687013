"""`headrace budgets`: limits on charge, made, listed with what is left, changed and deleted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal
from urllib.parse import urlencode

from cyclopts import Parameter

from headrace.cli.client import ApiClient, given, segment
from headrace.cli.replies import moment, part, parts, short_dollars, text
from headrace.cli.session import listing
from headrace.cli.verb_shapes import Told, asks_server
from headrace.domain.errors import ConfigInvalid
from headrace.domain.json_value import JsonObject

PATH = "/v2/budgets"
HEADINGS = ("ID", "SCOPE", "WINDOW", "LIMIT", "SPENT", "LEFT")
AMOUNTS = frozenset({3, 4, 5})
WindowName = Literal["hour", "day", "week", "month", "total"]
ModeName = Literal["reject", "clamp"]


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetFlags:
    """How a new budget's limit holds."""

    window: Annotated[
        WindowName, Parameter(help="Over what time the limit holds; a week begins on Monday, total never ends.")
    ] = "month"
    zone: Annotated[str, Parameter(help="The time zone in which days, weeks and months begin, like Europe/Berlin.")] = (
        "UTC"
    )
    mode: Annotated[
        ModeName, Parameter(help="What happens to a call that does not fit: reject it, or clamp its output cap.")
    ] = "reject"


AS_USUAL = BudgetFlags()


@asks_server
def create(client: ApiClient, scope: str, /, *, usd: str, budget: BudgetFlags = AS_USUAL) -> Told:
    """Create a budget. It applies from the next call.

    Parameters
    ----------
    scope:
        key:ID, team:NAME, model:ID or platform.
    usd:
        The limit in US dollars, such as 12.50.
    """
    body: JsonObject = {
        "scope": scope,
        "limit_usd": usd,
        "window": budget.window,
        "zone": budget.zone,
        "mode": budget.mode,
    }
    return _told(client.send("POST", PATH, "admin", body))


@asks_server
def list_budgets(client: ApiClient, scope: str | None = None, /) -> Told:
    """List budgets and what is left of each. With a key: its own budgets and its team's.

    `headrace budgets show` adds the time zone, the amount held, the end of the window and the mode.

    Parameters
    ----------
    scope:
        Show only budgets of this scope.
    """
    reply = client.get(PATH if scope is None else f"{PATH}?{urlencode({'scope': scope})}", "either")
    of, example = ("", "platform") if scope is None else (f" of {scope}", scope)
    empty = f"There is no budget{of}. Make one: headrace budgets create {example} --usd 100 --window month"
    return Told(reply, listing(HEADINGS, map(_row, parts(reply, "budgets")), empty, AMOUNTS))


@asks_server
def show(client: ApiClient, budget_id: str, /) -> Told:
    """Show a budget and what is left of it.

    Parameters
    ----------
    budget_id:
        The ID that `headrace budgets list` shows.
    """
    reply = client.get(f"{PATH}/{segment(budget_id)}", "either")
    shown = part(reply, "budget")
    left = f"{short_dollars(shown, 'left')} are left{_until(shown)}"
    held = f"spent {short_dollars(shown, 'spent')}, held for running calls {short_dollars(shown, 'held')}"
    return _told(reply, f"\n{left}: {held}.")


@asks_server
def set_budget(client: ApiClient, budget_id: str, /, *, usd: str | None = None, mode: ModeName | None = None) -> Told:
    """Change a budget's limit or mode. What was spent still counts.

    Parameters
    ----------
    budget_id:
        The ID that `headrace budgets list` shows.
    usd:
        The limit in US dollars, such as 12.50.
    mode:
        What happens to a call that would exceed the budget.
    """
    if usd is None and mode is None:
        raise ConfigInvalid("Nothing is to be changed. Give --usd, --mode or both.", code="usage")
    body: JsonObject = given(limit_usd=usd, mode=mode)
    return _told(client.send("PATCH", f"{PATH}/{segment(budget_id)}", "admin", body))


@asks_server
def delete(client: ApiClient, budget_id: str, /) -> Told:
    """Delete a budget. Its limit no longer applies.

    Parameters
    ----------
    budget_id:
        The ID that `headrace budgets list` shows.
    """
    reply = client.send("DELETE", f"{PATH}/{segment(budget_id)}", "admin")
    shown = part(reply, "budget")
    return Told(reply, f"{text(shown, 'scope')} has no limit of {short_dollars(shown, 'limit')}{_per(shown)} any more.")


def _told(reply: JsonObject, more: str = "") -> Told:
    shown = part(reply, "budget")
    refused = "is refused" if text(shown, "mode") == "reject" else "gets a smaller output cap"
    line = (
        f"{text(shown, 'scope')} may spend {short_dollars(shown, 'limit')}{_per(shown)}; a call that does not fit"
        f" {refused} ({text(shown, 'id')}).{more}"
    )
    return Told(reply, line)


def _per(shown: JsonObject) -> str:
    window = text(shown, "window")
    return " in all" if window == "total" else f" a {window} ({text(shown, 'zone')})"


def _until(shown: JsonObject) -> str:
    ends = text(shown, "window_ends_at")
    return f" until {moment(ends)}" if ends else ""


def _row(shown: JsonObject) -> tuple[str, ...]:
    amounts = (short_dollars(shown, name) for name in ("limit", "spent", "left"))
    return text(shown, "id"), text(shown, "scope"), text(shown, "window"), *amounts
