"""What a deployment's application is told, and what the whole configuration keeps of others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from headrace.domain.dedicated import ScaleTarget, ScalingMetric
from headrace.domain.deployment import DeploymentSpec
from headrace.domain.errors import EngineFailed
from headrace.domain.json_value import JsonObject
from headrace.drivers.compute.ray.cluster import read_cluster
from headrace.drivers.compute.ray.config import (
    NEVER_SECONDS,
    Naming,
    ServePolicy,
    application_config,
    is_within,
    serve_config,
)
from headrace.drivers.compute.ray.order import order_of, read_order
from tests.fakes.ray_answers import NOTHING, SECRET, SHA256, a_spec, an_answer, an_application, as_body

NAMING, POLICY = Naming("headrace-1a2b"), ServePolicy(http_port=28_000)


def config(**fields: int) -> JsonObject:
    return application_config(a_spec(**fields), SECRET, NAMING, POLICY)


def following(target: ScaleTarget) -> DeploymentSpec:
    spec = a_spec()
    assert spec.wanted is not None
    return replace(spec, wanted=replace(spec.wanted, target=target))


def replica_of(found: JsonObject) -> JsonObject:
    deployments = found["deployments"]
    assert isinstance(deployments, list)
    (replica,) = deployments
    assert isinstance(replica, dict)
    return replica


def scaling_of(found: JsonObject) -> JsonObject:
    scaling = replica_of(found)["autoscaling_config"]
    assert isinstance(scaling, dict)
    return scaling


def test_a_deployment_becomes_one_application_between_its_bounds() -> None:
    found = config(min_replicas=1, max_replicas=3)
    assert (found["name"], found["route_prefix"]) == ("headrace-1a2b-dep-one", "/headrace-1a2b-dep-one")
    assert found["import_path"] == "headrace.app.ray_node:application"
    replica = replica_of(found)
    assert replica["max_ongoing_requests"] == 4
    assert replica["ray_actor_options"] == {"num_cpus": 1.0, "num_gpus": 0, "memory": 560}
    scaling = scaling_of(found)
    assert (scaling["min_replicas"], scaling["max_replicas"]) == (1, 3)
    assert scaling["downscale_to_zero_delay_s"] == 600.0


def test_the_secret_is_told_as_its_hash_only() -> None:
    found = config()
    assert SECRET.reveal() not in str(found)
    args = found["args"]
    assert isinstance(args, dict)
    assert args["weights"] == [{"path": f"/srv/one/weights/sha256/ab/{SHA256}", "sha256": SHA256}]


def test_requests_in_flight_are_a_target_that_ray_knows_and_others_are_slots() -> None:
    depth = following(ScaleTarget(ScalingMetric.QUEUE_DEPTH, 7))
    assert scaling_of(application_config(depth, SECRET, NAMING, POLICY))["target_ongoing_requests"] == 7
    first_token = following(ScaleTarget(ScalingMetric.FIRST_TOKEN, 500))
    assert scaling_of(application_config(first_token, SECRET, NAMING, POLICY))["target_ongoing_requests"] == 4
    embedded = replace(a_spec(), wanted=None)
    assert scaling_of(application_config(embedded, SECRET, NAMING, POLICY))["target_ongoing_requests"] == 4


def test_one_that_never_sleeps_and_one_that_is_ending() -> None:
    assert scaling_of(config(idle_seconds=0))["downscale_to_zero_delay_s"] == float(NEVER_SECONDS)
    ending = scaling_of(application_config(a_spec(min_replicas=2), SECRET, NAMING, POLICY, is_ending=True))
    assert (ending["min_replicas"], ending["downscale_delay_s"], ending["downscale_to_zero_delay_s"]) == (0, 0.0, 0.0)


def test_what_does_not_need_memory_reserves_none() -> None:
    assert replica_of(config(memory_bytes=0))["ray_actor_options"] == {"num_cpus": 1.0, "num_gpus": 0}


def test_replicas_run_on_nodes_with_the_accelerator_that_is_paid_for() -> None:
    def resources(accelerator: str, gpus: int) -> object:
        spec = replace(a_spec(), accelerator=accelerator, gpus=gpus)
        return replica_of(application_config(spec, SECRET, NAMING, POLICY))["ray_actor_options"]

    assert resources("h100", 2) == {"num_cpus": 1.0, "num_gpus": 2, "memory": 560, "accelerator_type": "H100"}
    assert resources("one-of-mine", 1) == {"num_cpus": 1.0, "num_gpus": 1, "memory": 560}


def test_names_of_others_are_not_taken_for_ours() -> None:
    assert NAMING.deployment("headrace-1a2b-dep-one") == "dep-one"
    assert NAMING.deployment("headrace-9999-dep-one") is None
    with pytest.raises(EngineFailed, match="cannot be part of the name"):
        NAMING.application("a/b{c}")


def test_a_configuration_stands_when_all_of_it_is_there() -> None:
    wanted: JsonObject = {"a": 1, "b": [{"c": 2.0}]}
    assert is_within(wanted, {"a": 1.0, "b": [{"c": 2, "more": None}], "d": 4})
    assert not is_within(wanted, {"a": 1, "b": []})
    assert not is_within(wanted, {"a": 1})
    assert not is_within(wanted, {"a": 2, "b": [{"c": 2}]})
    assert not is_within(wanted, None)
    assert not is_within([1], {"a": 1})


def test_the_whole_configuration_keeps_how_serve_runs_and_what_others_run() -> None:
    other: JsonObject = {"name": "other", "import_path": "theirs:app", "runtime_env": {"env_vars": {"A": "1"}}}
    answer = an_answer(
        an_application("other", other),
        an_application("by-hand", None),
        an_application("gone", other, status="DELETING"),
    )
    answer["target_capacity"] = 50.0
    cluster = read_cluster(as_body(answer))
    assert cluster.configs == {"other": other}
    whole = serve_config(cluster, (*cluster.configs.values(), config()), POLICY)
    assert whole["http_options"] == answer["http_options"]
    assert (whole["target_capacity"], whole["grpc_options"]) == (50.0, answer["grpc_options"])
    applications = whole["applications"]
    assert isinstance(applications, list)
    assert applications[0] == other


def test_serve_is_started_where_it_does_not_run() -> None:
    whole = serve_config(read_cluster(as_body(NOTHING)), (), POLICY)
    assert whole == {
        "proxy_location": "EveryNode",
        "http_options": {"host": "0.0.0.0", "port": 28_000},
        "applications": [],
    }


def test_what_the_dashboard_hides_is_not_written_back() -> None:
    hidden: JsonObject = {"name": "other", "runtime_env": {"env_vars": {"A": "<redacted>"}}}
    with pytest.raises(EngineFailed, match="RAY_DASHBOARD_REDACT_RUNTIME_ENV=0"):
        serve_config(read_cluster(as_body(an_answer(an_application("other", hidden)))), (hidden,), POLICY)


def test_a_node_reads_the_order_back() -> None:
    spec = a_spec()
    order = order_of(spec, SECRET)
    args = config()["args"]
    assert read_order(args) == order
    back = order.spec(spec.weights)
    assert (back.engine, back.slots, back.weights, back.name) == ("llamacpp", 4, spec.weights, "prod-llm")
    with pytest.raises(EngineFailed, match="Install the same headrace on the nodes"):
        read_order({"deployment": 1})


def test_weights_of_no_store_have_no_hash() -> None:
    spec = replace(a_spec(), weights=(Path("/models/one.gguf"), Path("/models/cd") / SHA256))
    assert [each.sha256 for each in order_of(spec, SECRET).weights] == ["", ""]
