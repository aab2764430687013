"""What a deployment may be and become."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from headrace.domain.alias import Alias
from headrace.domain.catalog import AVAILABLE, Listed, ModelKind
from headrace.domain.dedicated import DeploymentStatus, Overflow, ScaleTarget, ScalingMetric, WhenAsleep
from headrace.domain.dedicated_draft import DeploymentDraft
from headrace.domain.errors import Conflict, InvalidRequest, Unprocessable
from headrace.domain.router import Router
from headrace.services.alias_rules import WantedAlias, check_wanted
from headrace.services.alias_rules import check_unused as check_alias_unused
from headrace.services.deployment_rules import (
    changes_launch,
    check_fixed,
    check_name,
    check_numbers,
    check_overflow,
    check_unused,
    leads_to,
    softened,
)
from tests.fakes.deployed import a_deployed_snapshot, a_deployment, a_wanted
from tests.fakes.nouns import a_model, a_price

PROD = a_deployment(a_wanted("spill"))
SECOND = a_deployment(a_wanted("prod-llm", name="second"), "dep_2")
DEPLOYED = a_deployed_snapshot(PROD, SECOND)
VECTORS = (Listed(a_model("vectors", kind=ModelKind.EMBEDDING), a_price(), AVAILABLE),)
SNAPSHOT = replace(
    DEPLOYED,
    models={**DEPLOYED.models, "vectors": VECTORS},
    routers={"x": Router("u1", "x", "", (), ("two",))},
    aliases={
        "spill": Alias("spill", "two", (), 1, 1),
        "own": Alias("own", "prod-llm", (), 1, 1),
        "routed": Alias("routed", "router:x", (), 1, 1),
        "behind": Alias("behind", "two", ("prod-llm",), 1, 1),
    },
)
DRAFT = DeploymentDraft(name="new", model="one", accelerator="big", min_scale=0, max_scale=2)


def draft(**fields: Any) -> DeploymentDraft:
    return replace(DRAFT, **fields)


@pytest.mark.parametrize(
    ("fields", "said", "place"),
    [
        ({"min_scale": -1}, "must be from 0 to 1000, not -1", "accelerators[0].min_scale"),
        ({"max_scale": 0}, "not 0: min_scale 0 lets it sleep", "accelerators[0].max_scale"),
        ({"max_scale": 1001}, "not 1001.", "accelerators[0].max_scale"),
        ({"min_scale": 3}, "the bounds are reversed. Write 2:3", "accelerators[0].min_scale"),
        ({"gpus": 1025}, "from 0 to 1024", "accelerators[0].gpus"),
        ({"slots": 0}, "from 1 to 1024", "slots"),
        ({"context_length": 1}, "from 128", "context_length"),
        ({"idle_seconds": -1}, "from 0", "idle_seconds"),
        ({"wait_seconds": 3601}, "to 3600", "wait_seconds"),
        ({"target": ScaleTarget(ScalingMetric.QUEUE_DEPTH, 0)}, "from 1 to 3600000, not 0", "target.value"),
        ({"target": ScaleTarget(ScalingMetric.FIRST_TOKEN, 10**30)}, "to 3600000", "target.value"),
        ({"overflow": Overflow("two", -1)}, "from 0 to 1000000, not -1", "overflow.limit"),
        ({"overflow": Overflow("two", 10**30)}, "to 1000000", "overflow.limit"),
        ({"workload_config": "x" * 4001}, "4000 characters of JSON, not 4001", "workload_config"),
        ({"provider_model_id": "x" * 256}, "255 characters, not 256", "provider_model_id"),
    ],
)
def test_numbers_stay_within_their_ranges(fields: dict[str, Any], said: str, place: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_numbers(draft(**fields))
    assert said in refused.value.message and refused.value.param == f"spec.model_deployments[0].{place}"


def test_words_have_an_end() -> None:
    check_numbers(draft(region="x" * 255, target=ScaleTarget(ScalingMetric.QUEUE_DEPTH, 1)))
    with pytest.raises(InvalidRequest, match=r'"spec\.region" may have 255 characters, not 256'):
        check_numbers(draft(region="x" * 256))


@pytest.mark.parametrize("name", ["", "two words", "a/b", "ü", "x" * 256])
def test_a_name_is_what_the_public_contract_takes(name: str) -> None:
    with pytest.raises(InvalidRequest, match="1 to 255 of a-z"):
        check_name(name, SNAPSHOT)


def test_a_name_is_free_in_the_one_space_of_names() -> None:
    check_name("new", SNAPSHOT)
    for name, owner in (
        ("prod-llm", r"a deployment \(dep_1\)"),
        ("one", "a model"),
        ("spill", "an alias"),
        ("inference-router", "a router"),
    ):
        with pytest.raises(Conflict, match=f"is the name of {owner} already"):
            check_name(name, SNAPSHOT)


def test_a_name_is_taken_until_its_deployment_is_gone() -> None:
    leaving = a_deployed_snapshot(replace(PROD, status=DeploymentStatus.DELETING))
    with pytest.raises(Conflict, match=r"a deployment \(dep_1\), which is being deleted, already"):
        check_name("prod-llm", leaving)


@pytest.mark.parametrize(
    ("fields", "code", "said"),
    [
        ({"when_asleep": WhenAsleep.OVERFLOW}, "invalid_request", 'there is no "overflow"'),
        ({"overflow": Overflow("new", 1)}, "overflow_to_itself", 'leads back to "new" itself'),
        ({"overflow": Overflow("router:x", 1)}, "router_in_router", "is a router"),
        ({"overflow": Overflow("routed", 1)}, "router_in_router", "is a router"),
        ({"overflow": Overflow("tow", 1)}, "model_not_found", 'Did you mean "two"?'),
        ({"overflow": Overflow("zzzzzz", 1)}, "model_not_found", "models --all"),
        ({"overflow": Overflow("vectors", 1)}, "wrong_model_kind", "for embedding; name one for chat"),
    ],
)
def test_an_overflow_is_a_model_that_does_not_lead_back(fields: dict[str, Any], code: str, said: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_overflow(draft(**fields), ModelKind.CHAT, SNAPSHOT)
    assert (refused.value.code, said in refused.value.message) == (code, True)


def test_an_overflow_may_be_a_model_an_alias_or_another_deployment() -> None:
    for name in ("two", "spill", "second"):
        check_overflow(draft(overflow=Overflow(name, 0)), ModelKind.CHAT, SNAPSHOT)
    check_overflow(draft(), ModelKind.CHAT, SNAPSHOT)


def test_requests_come_back_by_aliases_and_by_overflows() -> None:
    assert leads_to("own", "prod-llm", SNAPSHOT)
    assert leads_to("second", "prod-llm", SNAPSHOT)
    assert leads_to("behind", "prod-llm", SNAPSHOT)
    assert not leads_to("spill", "prod-llm", SNAPSHOT)
    ring = a_deployed_snapshot(a_deployment(a_wanted("b", name="a"), "1"), a_deployment(a_wanted("a", name="b"), "2"))
    assert not leads_to("a", "c", ring)


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"name": "x"}, "spec.name"),
        ({"region": "x"}, "spec.region"),
        ({"vpc_uuid": "x"}, "spec.vpc.uuid"),
        ({"enable_public_endpoint": False}, "spec.enable_public_endpoint"),
        ({"model": "two"}, "spec.model_deployments[0].model_slug"),
        ({"driver": "ray"}, "spec.model_deployments[0].driver"),
    ],
)
def test_what_is_for_life_names_its_place(fields: dict[str, Any], path: str) -> None:
    same: dict[str, Any] = {"name": "prod-llm", "model": "one", "driver": "local"}
    changed = {**same, **fields}
    with pytest.raises(Unprocessable) as refused:
        check_fixed(draft(**changed), changed["model"], changed["driver"], a_wanted())
    assert (refused.value.code, refused.value.param) == ("immutable_field", path)
    check_fixed(draft(**same, gpus=4, max_scale=9), "one", "local", a_wanted())


def test_only_what_a_replica_is_started_with_changes_the_launch() -> None:
    soft: dict[str, Any] = {"min_scale": 1, "max_scale": 9, "idle_seconds": 1, "wait_seconds": 1}
    assert not changes_launch(a_wanted(), a_wanted("two", when_asleep=WhenAsleep.REFUSE, **soft))
    hard: dict[str, Any] = {"gpus": 4, "engine": "x", "slots": 9, "context_length": 1, "accelerator": "x"}
    for name, value in hard.items():
        assert changes_launch(a_wanted(), replace(a_wanted(), **{name: value}))


def test_what_needs_no_other_start_is_in_force_while_the_rest_waits() -> None:
    after = a_wanted("two", gpus=4, max_scale=9, when_asleep=WhenAsleep.REFUSE)
    assert softened(a_wanted(), after) == replace(after, gpus=2)


def test_one_that_is_being_deleted_keeps_nothing_from_going() -> None:
    with pytest.raises(Conflict, match='by alias "behind", alias "own", deployment "second"'):
        check_unused(PROD, SNAPSHOT)
    leaving = a_deployed_snapshot(PROD, replace(SECOND, status=DeploymentStatus.DELETING))
    check_unused(PROD, leaving)
    check_alias_unused("spill", replace(SNAPSHOT, deployments={"1": replace(PROD, status=DeploymentStatus.DELETING)}))


def aliased(name: str, points_to: str, *fallbacks: str) -> None:
    check_wanted(WantedAlias(name, points_to, fallbacks), SNAPSHOT)


def test_an_alias_takes_no_deployments_name_and_no_way_back() -> None:
    with pytest.raises(Conflict, match='"second" is the name of a deployment'):
        aliased("second", "two")
    aliased("spill", "three")
    for points_to in ("prod-llm", "second"):
        with pytest.raises(InvalidRequest, match="leads back to it") as refused:
            aliased("spill", points_to)
        assert (refused.value.code, refused.value.param) == ("overflow_to_itself", "points_to")
    with pytest.raises(InvalidRequest, match='"second" leads back to it') as refused:
        aliased("spill", "two", "three", "second")
    assert (refused.value.code, refused.value.param) == ("overflow_to_itself", "fallbacks")


def test_an_alias_that_is_an_overflow_points_at_no_router() -> None:
    aliased("own", "router:x")
    with pytest.raises(InvalidRequest, match='"spill" is the overflow of the deployment "prod-llm"') as refused:
        aliased("spill", "router:x")
    assert (refused.value.code, refused.value.param) == ("router_in_router", "points_to")


def test_an_alias_that_is_an_overflow_stays() -> None:
    with pytest.raises(Conflict, match='"spill" is the overflow of prod-llm'):
        check_alias_unused("spill", SNAPSHOT)
    check_alias_unused("own", SNAPSHOT)
