"""`headrace deployments costs`: what is asked, and how the answer is laid out."""

from __future__ import annotations

from dataclasses import replace

import httpx2
import pytest

from headrace.cli.client import ApiClient
from headrace.cli.deployment_costs_text import deployment_costs_text
from headrace.cli.environment import Environment
from headrace.cli.options import ClientFlags
from headrace.cli.session import Session
from headrace.cli.verbs.deployment_costs import LAST_WEEK, costs
from headrace.domain.deployment_costs import DeploymentCosts, Served
from headrace.wire.deployment_costs_json import deployment_costs_object
from tests.unit.cli.command_line import ENVIRONMENT, FakeApi, FakeLocal, Stream
from tests.unit.domain.test_deployment_costs import COSTS, TWIN

REPLY = {"costs": deployment_costs_object(COSTS)}
TEXT = """\
prod-llm: 1970-01-01 00:00:00 UTC to 1970-01-01 01:00:00 UTC

              SECONDS          COST
replicas (1)  3,600.0  $0.002590000
busy (25.0%)    900.0  $0.000600000
idle          2,700.0  $0.001990000

2 requests, 1,000 tokens read, 1,000 written: $1.295 per million tokens

one at acme, its overflow: $0.003000000, $1.5 per million tokens; saved $0.000410000
"""


def run(api: FakeApi, name: str, **asked: str) -> str:
    out = Stream()
    session = Session(
        FakeLocal(),
        Environment(ENVIRONMENT),
        Stream(),
        out,
        Stream(),
        connect=lambda access: ApiClient(access, httpx2.MockTransport(api)),
    )
    assert costs(name, asked=replace(LAST_WEEK, **asked), flags=ClientFlags(), session=session) == 0
    return out.getvalue()


def test_the_costs_are_laid_out() -> None:
    api = FakeApi({"GET /v2/dedicated-inferences/prod-llm/costs": httpx2.Response(200, json=REPLY)})
    assert run(api, "prod-llm") == TEXT


def test_a_span_is_sent_and_a_name_cannot_reach_another_path() -> None:
    path = "/v2/dedicated-inferences/..%2Fx/costs?since=24h&until=2026-11-24"
    api = FakeApi({f"GET {path}": httpx2.Response(200, json=REPLY)})
    run(api, "../x", since="24h", until="2026-11-24")
    assert api.asked == [f"GET {path}"]


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        (replace(COSTS, twin=replace(TWIN, is_overflow=False)), "one at acme, paid by the token: $0.003000000"),
        (replace(COSTS, amount_nano=4_000_000), "lost $0.001000000"),
        (replace(COSTS, served=Served()), "0 requests, 0 tokens read, 0 written\n"),
        (replace(COSTS, served=replace(COSTS.served, attempts=1)), "1 request, 1,000 tokens read"),
        (replace(COSTS, replica_micros=0), "busy            900.0"),
    ],
)
def test_what_differs_is_said(changed: DeploymentCosts, line: str) -> None:
    assert line in deployment_costs_text(deployment_costs_object(changed))


def test_without_a_twin_nothing_is_compared() -> None:
    found = deployment_costs_text(deployment_costs_object(replace(COSTS, twin=None)))
    assert found.endswith("per million tokens")
