"""The money under fire: keys with budgets, a prepaid team, and the operator who pays in and raises limits meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx2

from tests.e2e.raw_client import RawClient
from tests.running import RunningHeadrace

KEYS = "/v2/gen-ai/models/api_keys"
BUDGETED, PREPAID = "shop", "field"
FIRST_NANO, STEP_NANO = 2_000_000, 40_000


@dataclass
class Money:
    """What the operator made, with so much in each at first, and every payment whose booking was acknowledged."""

    keys: Mapping[str, str]
    budgets: Mapping[str, str]
    first_nano: int
    paid: list[str] = field(default_factory=list[str])
    asked: int = 0
    raised: asyncio.Event = field(default_factory=asyncio.Event)

    async def pay_on(self, client: RawClient) -> None:
        """Pay in and raise every budget, again and again until the server is gone; who waits for money is woken."""
        while True:
            self.asked += 1
            payment = {"amount_usd": usd(STEP_NANO), "reference": f"pay-{self.asked}"}
            reply = await client.ask("POST", f"/v2/teams/{PREPAID}/transfers", payment)
            if reply.status == 201:
                self.paid.append(payment["reference"])
            limit_nano = self.first_nano + self.asked * STEP_NANO
            for budget_id in self.budgets.values():
                reply = await client.ask("PATCH", f"/v2/budgets/{budget_id}", {"limit_usd": usd(limit_nano)})
            raised, self.raised = self.raised, asyncio.Event()
            raised.set()
            if not reply.whole:
                return


def usd(nano: int) -> str:
    """Return an amount as the API takes it."""
    return f"{nano // 10**9}.{nano % 10**9:09}"


def make_money(headrace: RunningHeadrace, model: str, first_nano: int = FIRST_NANO) -> Money:
    """Make two teams, a key in each, and four budgets of every kind and several windows, of so much at first."""
    with headrace.client(headrace.admin_token) as admin:
        for team, prepaid in ((BUDGETED, False), (PREPAID, True)):
            _made(admin.post("/v2/teams", json={"name": team, "prepaid": prepaid}))
        first = {"amount_usd": usd(first_nano), "reference": "pay-0"}
        _made(admin.post(f"/v2/teams/{PREPAID}/transfers", json=first))
        infos = {
            team: _made(admin.post(KEYS, json={"name": team, "team": team}))["api_key_info"]
            for team in (BUDGETED, PREPAID)
        }
        scopes = {
            "platform": "month",
            f"team:{BUDGETED}": "day",
            f"key:{infos[BUDGETED]['uuid']}": "hour",
            f"model:{model}": "total",
        }
        budgets = {
            scope: _made(
                admin.post("/v2/budgets", json={"scope": scope, "window": window, "limit_usd": usd(first_nano)})
            )["budget"]["id"]
            for scope, window in scopes.items()
        }
    return Money({team: info["secret_key"] for team, info in infos.items()}, budgets, first_nano)


def _made(reply: httpx2.Response) -> dict[str, dict[str, str]]:
    if reply.status_code != 201:
        raise AssertionError(reply.text)
    return reply.json()
