"""Deployments as models of a snapshot."""

from __future__ import annotations

from dataclasses import replace

from headrace.domain.catalog import AVAILABLE, Listed, LocalRunning
from headrace.domain.dedicated import DEDICATED, DeploymentStatus
from headrace.domain.usage import TokenClass
from headrace.services.deployed import PAID_BY_TIME, list_deployment, with_deployments
from headrace.services.fitness import targets_of
from tests.fakes.deployed import a_deployed_snapshot, a_deployment, a_wanted, catalog_snapshot
from tests.fakes.nouns import WEIGHTS, a_model, a_price

LOCAL = LocalRunning("llamacpp", (WEIGHTS,), 1000, slots=1)
ELSEWHERE = Listed(
    replace(a_model(), refused_fields=frozenset({"seed"}), retired_on="2026-12-01"), a_price(), AVAILABLE
)
HERE = Listed(a_model(local=LOCAL, provider="here"), a_price(), AVAILABLE)


def test_a_deployment_is_a_model_under_its_own_name_in_its_own_sizes() -> None:
    deployment = a_deployment()
    snapshot = a_deployed_snapshot(deployment)
    [entry] = snapshot.models["prod-llm"]
    model = entry.model
    assert (model.id, model.provider, model.upstream_name, model.owned_by) == ("prod-llm", DEDICATED, "one", "shop")
    assert (model.context_length, model.max_output_tokens, model.released_on) == (2048, 1024, "2026-11-24")
    assert model.description == "The deployment of one on 2 h100."
    assert model.deployment is deployment
    assert entry.availability.available
    assert snapshot.deployments == {"dep_1": deployment}
    assert snapshot.models["one"][0].model.deployment is None, "the catalog's own stays"


def test_its_tokens_cost_nothing_and_its_price_says_why() -> None:
    [entry] = a_deployed_snapshot(a_deployment()).models["prod-llm"]
    price = entry.price
    assert price is not None
    assert price.is_free
    assert price.source == PAID_BY_TIME
    assert price.rates_pico[TokenClass.INPUT_FRESH] == 0
    assert price.id.startswith("dedicated/prod-llm@2026-11-24#")
    assert entry.model.price_on("2026-11-24") == price


def test_it_is_a_target_known_by_its_deployments_id() -> None:
    snapshot = a_deployed_snapshot(a_deployment())
    [target] = targets_of(snapshot.models["prod-llm"][0], snapshot, "x")
    assert (target.deployment, target.adapter, target.identity) == ("dep_1", "openai", "one")
    assert target.provider.base_url == "deployment:"
    assert target.credential is None


def test_an_engine_with_an_adapter_of_its_own_is_asked_by_that() -> None:
    listed = list_deployment(a_deployment(a_wanted(engine="llamacpp", gpus=0, accelerator="cpu")), (ELSEWHERE, HERE))
    local = listed.model.local
    assert local is not None
    assert (local.engine, local.slots, local.weights) == ("llamacpp", 2, (WEIGHTS,))
    assert listed.model.description == "The deployment of one on cpu."
    folder = replace(HERE, model=replace(HERE.model, local=replace(LOCAL, engine="vllm", weights=())))
    assert list_deployment(a_deployment(), (folder,)).model.local is None


def test_what_a_provider_refuses_is_not_refused_by_our_own_engine() -> None:
    model = list_deployment(a_deployment(), (ELSEWHERE, HERE)).model
    assert (model.local, model.refused_fields, model.retired_on) == (None, frozenset(), None)


def test_what_is_in_no_catalog_any_more_says_so() -> None:
    [entry] = a_deployed_snapshot(a_deployment(a_wanted(model="gone"))).models["prod-llm"]
    assert (entry.availability.code, entry.model.context_length) == ("no_model", 2048)
    assert '"gone"' in entry.availability.reason


def test_what_is_being_deleted_is_no_model_any_more() -> None:
    snapshot = a_deployed_snapshot(a_deployment(status=DeploymentStatus.DELETING))
    assert "prod-llm" not in snapshot.models
    assert list(snapshot.deployments) == ["dep_1"]


def test_a_name_that_the_catalog_takes_later_still_means_the_deployment() -> None:
    [entry] = a_deployed_snapshot(a_deployment(a_wanted(name="two"))).models["two"]
    assert entry.model.provider == DEDICATED


def test_without_deployments_the_snapshot_stays_the_same_object() -> None:
    snapshot = catalog_snapshot("one")
    assert with_deployments(snapshot, ()) is snapshot
