"""Deployments for the Ray driver's tests, and what a cluster answers, in the shapes that Ray 2.60 was seen to send."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from headrace.domain.deployment import DeploymentSpec
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.secret import Secret
from headrace.wire.json_strict import encode
from tests.fakes.deployed import a_deployment, a_wanted, spec_of

SHA256 = "ab" * 32
SECRET = Secret("open sesame")
HEAD, OTHER = "d91693b50cd7", "ab669390b56d"


def a_spec(**fields: int) -> DeploymentSpec:
    """What the driver is told to run: the embedded engine over a file of the content-addressed store."""
    wanted = a_wanted(driver="ray", engine="llamacpp", accelerator="cpu", gpus=0)
    spec = spec_of(a_deployment(wanted, "dep-one"))
    weights = (Path("/srv/one/weights/sha256/ab") / SHA256,)
    known = {"memory_bytes": 560, "slots": 4, "idle_seconds": 600} | fields
    return replace(spec, weights=weights, name="prod-llm", **known)


def a_replica(
    tag: str, state: str = "RUNNING", node: str | None = HEAD, started: float = 1_795_896_092.5
) -> JsonObject:
    """One replica as Ray reports it."""
    return {
        "node_id": node,
        "node_ip": None if node is None else "192.0.2.2",
        "node_instance_id": "",
        "actor_id": "44219f194537253f310e858b01000000",
        "actor_name": f"SERVE_REPLICA::headrace-dep-one#replica#{tag}",
        "worker_id": "5d0a3bd5aaf54ce443a05466f7e1e7c80491e9d72d66867ae2efc5db",
        "log_file_path": f"/serve/replica_headrace-dep-one_replica_{tag}.log",
        "replica_id": tag,
        "state": state,
        "pid": 23_009,
        "start_time_s": started,
    }


def an_application(
    name: str, config: JsonObject | None, *replicas: JsonObject, status: str = "RUNNING", message: str = ""
) -> JsonObject:
    """One application as Ray reports it; more fields than are read are there too."""
    return {
        "name": name,
        "route_prefix": f"/{name}",
        "docs_path": None,
        "status": status,
        "message": message,
        "last_deployed_time_s": 1_795_896_089.1,
        "deployed_app_config": config,
        "source": "declarative" if config else "imperative",
        "deployments": {
            "replica": {
                "name": "replica",
                "status": "HEALTHY",
                "status_trigger": "UPSCALE_COMPLETED",
                "message": "",
                "deployment_config": {"name": "replica"},
                "target_num_replicas": len(replicas),
                "required_resources": {"CPU": 1.0, "GPU": 0.0, "memory": 560},
                "replicas": list(replicas),
                "recent_dead_replicas": [],
            }
        },
        "external_scaler_enabled": False,
    }


def an_answer(*applications: JsonObject, port: int = 28_000, nodes: tuple[str, ...] = (HEAD, OTHER)) -> JsonObject:
    """The answer to GET /api/serve/applications/ of a cluster in which Serve runs."""
    proxies: dict[str, JsonValue] = {
        node: {
            "node_id": node,
            "node_ip": f"192.0.2.{number}",
            "node_instance_id": "",
            "actor_name": f"SERVE_PROXY_ACTOR-{node}",
            "status": "HEALTHY",
        }
        for number, node in enumerate(nodes, 2)
    }
    return {
        "controller_info": {"node_id": HEAD, "actor_name": "SERVE_CONTROLLER_ACTOR"},
        "proxy_location": "EveryNode",
        "http_options": {"host": "0.0.0.0", "port": port, "root_path": "", "request_timeout_s": None},
        "grpc_options": {"port": 9000, "grpc_servicer_functions": []},
        "proxies": proxies,
        "applications": {str(each["name"]): each for each in applications},
        "target_groups": [],
        "restores_unset_config_options": True,
    }


# Where Serve has not been started yet.
NOTHING: JsonObject = {"controller_info": {}, "proxies": {}, "applications": {}, "target_capacity": None}


def as_body(answer: JsonObject) -> bytes:
    """The bytes of an answer."""
    return encode(answer)
