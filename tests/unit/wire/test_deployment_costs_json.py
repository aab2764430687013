"""A deployment's costs as JSON: exact amounts twice, seconds, and prices a million tokens."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from headrace.domain.deployment_costs import Served
from headrace.wire.deployment_costs_json import deployment_costs_object
from headrace.wire.openapi_deployment_costs import DeploymentCosts
from tests.unit.domain.test_deployment_costs import COSTS

WRITTEN = {
    "deployment": "dep_1",
    "name": "prod-llm",
    "since": "1970-01-01T00:00:00.000000Z",
    "until": "1970-01-01T01:00:00.000000Z",
    "replicas": 1,
    "replica_seconds": 3_600.0,
    "busy_seconds": 900.0,
    "idle_seconds": 2_700.0,
    "busy_share": 0.25,
    "cost_usd": "0.002590000",
    "cost_nano_usd": 2_590_000,
    "busy_usd": "0.000600000",
    "busy_nano_usd": 600_000,
    "idle_usd": "0.001990000",
    "idle_nano_usd": 1_990_000,
    "requests": 2,
    "input_tokens": 1_000,
    "output_tokens": 1_000,
    "effective_usd_per_mtok": "1.295",
    "twin": {
        "model": "one",
        "provider": "acme",
        "price_version": "acme/one@2026-11-01#1",
        "is_overflow": True,
        "cost_usd": "0.003000000",
        "cost_nano_usd": 3_000_000,
        "effective_usd_per_mtok": "1.5",
        "saved_usd": "0.000410000",
        "saved_nano_usd": 410_000,
    },
}


def test_costs_are_written_exactly_and_as_described() -> None:
    assert deployment_costs_object(COSTS) == WRITTEN
    assert msgspec.convert(WRITTEN, DeploymentCosts).twin is not None


def test_what_is_not_there_is_null() -> None:
    found = deployment_costs_object(replace(COSTS, replica_micros=0, amount_nano=0, served=Served(), twin=None))
    assert (found["busy_share"], found["effective_usd_per_mtok"], found["twin"]) == (None, None, None)
    assert msgspec.convert(found, DeploymentCosts).twin is None
