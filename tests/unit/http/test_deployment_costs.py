"""The route of a deployment's costs: which time is meant, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from headrace.domain.errors import InvalidRequest
from headrace.http.control.deployment_costs import routes
from headrace.http.edge import Message
from headrace.http.routing import Audience, Reply, Request
from headrace.testing.clock import FakeClock
from tests.fakes.replicas import STARTED_MICROS, a_deployment
from tests.unit.services.test_deployment_costs import HOUR, RUN, reader

pytestmark = pytest.mark.anyio

NOW = STARTED_MICROS + 2 * HOUR


async def nothing() -> Message:
    raise AssertionError("no body is read")


async def ask(query: str = "") -> dict[str, Any]:
    (route,) = routes(reader(a_deployment(), runs=(RUN,)), FakeClock(NOW))
    assert (route.method, route.audience) == ("GET", Audience.ADMIN)
    scope = {"path_params": {"id": "prod-llm"}, "query_string": query.encode()}
    reply = await route.endpoint(Request(scope, nothing, "req_1", None))
    assert isinstance(reply, Reply)
    found: dict[str, Any] = json.loads(reply.body)["costs"]
    return found


async def test_the_last_week_is_meant_when_nothing_is_said() -> None:
    found = await ask()
    assert (found["name"], found["replica_seconds"], found["cost_nano_usd"]) == ("prod-llm", 7_200.0, 2_000)


async def test_a_span_is_cut_out() -> None:
    found = await ask("since=2025-11-24T16:30:00Z&until=2025-11-24T17:00:00Z")
    assert (found["replica_seconds"], found["cost_nano_usd"]) == (1_800.0, 500)
    assert (found["since"], found["until"]) == ("2025-11-24T16:30:00.000000Z", "2025-11-24T17:00:00.000000Z")


@pytest.mark.parametrize("query", ["since=yesterday", "until=2020-01-01", "from=7d"])
async def test_what_is_no_time_is_refused(query: str) -> None:
    with pytest.raises(InvalidRequest):
        await ask(query)
