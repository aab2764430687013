"""What Ray's dashboard says of a cluster's Serve applications, read into values; pure.

Source of the shapes: answers of Ray 2.60 to GET /api/serve/applications/, recorded 2026-11-28.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import cast

import msgspec

from headrace.domain.errors import EngineFailed
from headrace.domain.json_value import JsonObject
from headrace.wire.converter import Converter

HEALTHY = "HEALTHY"
RUNNING = "RUNNING"
STARTING = "STARTING"
STOPPING = "STOPPING"
DELETING = "DELETING"
MOST_SAID_CHARS = 1000
_TRACEBACK = "Traceback (most recent call last):"
_COLOR = re.compile(r"\x1b\[[0-9;]*m")
# What a replica on a node has raised.
_OURS = re.compile(r"headrace\.domain\.errors\.\w+: ")
# Ray has given up; what is UNHEALTHY it goes on to mend.
DEPLOY_FAILED = "DEPLOY_FAILED"


class SeenReplica(msgspec.Struct, frozen=True):
    """One replica: its state in Ray's words, the node that runs it, and the actor that owns its engine."""

    replica_id: str
    state: str
    start_time_s: float
    node_id: str | None = None
    node_ip: str | None = None
    actor_id: str | None = None
    pid: int | None = None


class SeenDeployment(msgspec.Struct, frozen=True):
    """The Serve deployment within an application."""

    status: str = ""
    message: str = ""
    target_num_replicas: int | None = None
    replicas: tuple[SeenReplica, ...] = ()


class SeenApplication(msgspec.Struct, frozen=True):
    """One application; its configuration is None where it was not deployed by one."""

    name: str
    status: str
    message: str = ""
    deployed_app_config: dict[str, object] | None = None
    deployments: Mapping[str, SeenDeployment] = {}

    @property
    def config(self) -> JsonObject | None:
        """Its configuration as JSON."""
        return cast("JsonObject | None", self.deployed_app_config)

    @property
    def replicas(self) -> tuple[SeenReplica, ...]:
        """All replicas of the application."""
        return tuple(replica for each in self.deployments.values() for replica in each.replicas)

    @property
    def target(self) -> int:
        """How many replicas the cluster wants of it now."""
        return sum(each.target_num_replicas or 0 for each in self.deployments.values())

    @property
    def reason(self) -> str:
        """What the cluster says about it, in one line, at best in our own words; empty when all is well."""
        texts = [self.message, *(each.message for each in self.deployments.values())]
        lines = [line for text in texts for line in _said(_COLOR.sub("", text))]
        ours = [line[match.end() :] for line in lines if (match := _OURS.match(line)) is not None]
        return " ".join(dict.fromkeys(ours or lines))[:MOST_SAID_CHARS]


class SeenProxy(msgspec.Struct, frozen=True):
    """The HTTP proxy of one node."""

    status: str
    node_id: str = ""
    node_ip: str = ""


class HttpOptions(msgspec.Struct, frozen=True):
    """How all proxies listen."""

    port: int = 8000
    root_path: str = ""


class Cluster(msgspec.Struct, frozen=True):
    """What Serve runs in a cluster; everything is empty where Serve does not run."""

    applications: Mapping[str, SeenApplication] = {}
    proxies: Mapping[str, SeenProxy] = {}
    http_options: dict[str, object] = {}
    grpc_options: dict[str, object] = {}
    proxy_location: str | None = None
    target_capacity: float | None = None

    @property
    def configs(self) -> dict[str, JsonObject]:
        """The configurations of all applications that were deployed by one, but for those that are being deleted."""
        found = {name: each.config for name, each in self.applications.items() if each.status != DELETING}
        return {name: config for name, config in found.items() if config is not None}

    @property
    def options(self) -> JsonObject:
        """How Serve runs in the cluster, as far as a configuration says it; empty where it does not run."""
        said = {
            "http_options": self.http_options or None,
            "grpc_options": self.grpc_options or None,
            "proxy_location": self.proxy_location,
            "target_capacity": self.target_capacity,
        }
        return cast("JsonObject", {name: value for name, value in said.items() if value is not None})

    @property
    def listening(self) -> HttpOptions:
        """Where all proxies listen."""
        return _LISTENING.convert(self.http_options)

    def addresses(self) -> dict[str, str]:
        """Return the base address of every healthy proxy, by the node it is on."""
        listening = self.listening
        return {
            node: f"http://{_host(each.node_ip)}:{listening.port}{listening.root_path.rstrip('/')}"
            for node, each in self.proxies.items()
            if each.status == HEALTHY and each.node_ip
        }


_LISTENING = Converter(HttpOptions)
_CLUSTER = msgspec.json.Decoder(Cluster)


def read_cluster(body: bytes) -> Cluster:
    """Return what an answer says; raises EngineFailed for one that is not Ray Serve's."""
    try:
        cluster = _CLUSTER.decode(body)
        _ = cluster.listening
    except msgspec.DecodeError as error:
        raise EngineFailed(
            f"Ray's dashboard answered with something else than Serve's applications: {error}. Headrace speaks to Ray"
            " 2.60 and later."
        ) from error
    return cluster


def _said(text: str) -> Iterator[str]:
    """Yield the lines of a message, of a traceback in it only what was raised."""
    has_traceback = _TRACEBACK in text
    for line in text.splitlines():
        is_within = line[:1].isspace() or line.endswith(_TRACEBACK) or line.startswith("ray::")
        if line.strip() and not (has_traceback and is_within):
            yield line.strip()


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address
