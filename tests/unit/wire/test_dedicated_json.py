"""Deployments as they are shown: what is in force beside what is coming, names, endpoints, machines."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from headrace.domain.accelerator import AcceleratorBook
from headrace.domain.access import AccessKey, Role
from headrace.domain.dedicated import DeploymentStatus
from headrace.domain.deployment import Replica, ReplicaState
from headrace.domain.secret import Secret
from headrace.wire.dedicated_json import (
    Place,
    accelerator_object,
    deployment_object,
    sizes_object,
    token_object,
)
from tests.fakes.breakeven import BIG
from tests.fakes.deployed import CREATED_MICROS, a_deployment, a_wanted

PLACE = Place("https", "ai.example.com/prefix")
SLUGS = {"one": "maker/One-7B"}


def shown(slugs: dict[str, str] | None = None, **fields: Any) -> Any:
    return deployment_object(a_deployment(**fields), slugs or {}, PLACE)


@pytest.mark.parametrize(
    ("status", "pending", "accelerator"),
    [
        (DeploymentStatus.NEW, "provisioning", "new"),
        (DeploymentStatus.PROVISIONING, "provisioning", "provisioning"),
        (DeploymentStatus.ERROR, None, "provisioning"),
        (DeploymentStatus.ACTIVE, None, "active"),
        (DeploymentStatus.DELETING, None, "active"),
    ],
)
def test_what_is_not_up_yet_is_pending_as_a_whole(
    status: DeploymentStatus, pending: str | None, accelerator: str
) -> None:
    found = shown(status=status, reason="No room.", retry_at_micros=CREATED_MICROS)
    coming = found["pending_deployment_spec"]
    assert (None if coming is None else coming["status"]) == pending
    assert found["spec"]["model_deployments"][0]["accelerators"][0]["status"] == accelerator
    assert (found["reason"], found["retry_at"]) == ("No room.", "2026-11-24T12:00:00.000000Z")


def test_a_change_is_pending_beside_what_is_in_force() -> None:
    found = shown(pending=a_wanted(gpus=4), status=DeploymentStatus.UPDATING)
    [now] = found["spec"]["model_deployments"][0]["accelerators"]
    [coming] = found["pending_deployment_spec"]["model_deployments"][0]["accelerators"]
    assert (now["gpus"], now["status"], coming["gpus"], coming["status"]) == (2, "active", 4, "provisioning")
    assert (found["pending_deployment_spec"]["id"], found["pending_deployment_spec"]["status"]) == ("md_1", "updating")


def test_the_public_name_is_shown_to_who_named_the_provider() -> None:
    named = shown(SLUGS, wanted=a_wanted(model_provider="hugging_face"))["spec"]["model_deployments"][0]
    assert (named["model_slug"], named["model"]) == ("maker/One-7B", "one")
    assert shown(SLUGS)["spec"]["model_deployments"][0]["model_slug"] == "one"
    unknown = shown(wanted=a_wanted(model_provider="hugging_face"))["spec"]["model_deployments"][0]
    assert unknown["model_slug"] == "one"


def test_endpoints_are_paths_of_this_server() -> None:
    own = "ai.example.com/prefix/dedicated/dep_1"
    assert shown()["endpoints"] == {
        "public_endpoint_fqdn": own,
        "private_endpoint_fqdn": own,
        "base_url": f"https://{own}/v1",
    }
    private = shown(wanted=a_wanted(enable_public_endpoint=False))["endpoints"]
    assert (private["public_endpoint_fqdn"], private["private_endpoint_fqdn"]) == ("", own)


@pytest.mark.parametrize(
    ("state", "status"),
    [
        (ReplicaState.STARTING, "provisioning"),
        (ReplicaState.READY, "active"),
        (ReplicaState.STOPPING, "deleting"),
        (ReplicaState.FAILED, "error"),
    ],
)
def test_a_replica_is_shown_as_accelerators(state: ReplicaState, status: str) -> None:
    replica = Replica("r", "dep_1", state, None, 4, CREATED_MICROS, "why", None, CREATED_MICROS, "n1")
    found = accelerator_object(replica, a_wanted(asked_accelerator="gpu-h100x2-160gb"))
    assert (found["status"], found["slug"], found["node"], found["gpus"]) == (status, "gpu-h100x2-160gb", "n1", 2)
    assert (found["ready_at"], found["ended_at"]) == (None, "2026-11-24T12:00:00.000000Z")


def test_a_tokens_value_is_in_the_reply_that_makes_it_only() -> None:
    token = AccessKey("t", "web", Role.KEY, "shop", b"d", frozenset({"prod-llm"}), CREATED_MICROS + 1)
    assert "value" not in token_object(token, a_deployment())
    made = token_object(token, a_deployment(), Secret("hr_x"))
    assert (made["value"], made["is_managed"]) == ("hr_x", False)


def test_a_machine_has_an_entry_for_each_region_that_its_price_is_known_of() -> None:
    priced = replace(BIG, prices=(replace(BIG.prices[1], regions="atl1, tor1"),))
    found: Any = sizes_object(AcceleratorBook((priced,)).machines("2026-11-24"))
    assert found["enabled_regions"] == ["atl1", "tor1"]
    assert [(each["region"], each["price_per_hour"], each["currency"]) for each in found["sizes"]] == [
        ("atl1", "2.59", "USD"),
        ("tor1", "2.59", "USD"),
    ]
