"""What one replica on a node is told, and what it tells: the words between gateway and node; pure."""

from __future__ import annotations

import hashlib
import hmac
import re
from pathlib import Path

import msgspec

from headrace.domain.deployment import DeploymentSpec, OwnerLoss
from headrace.domain.errors import EngineFailed
from headrace.domain.secret import Secret
from headrace.wire.converter import Converter

# The folder of a node's Ray logs in which replicas keep their engines' logs and what they tell.
LOG_FOLDER = "headrace"
WAKE_PATH = "/-/wake"
_SHA256 = re.compile(r"[0-9a-f]{64}")


class WeightsOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of weights: its sha256, empty where it is not known, and where it lies for the gateway."""

    path: str
    sha256: str = ""


class ReplicaOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a node needs to start one replica's engine; `secret_sha256` is of the secret that requests must bring."""

    deployment: str
    model_id: str
    engine: str
    weights: tuple[WeightsOrder, ...]
    memory_bytes: int
    context_length: int
    slots: int
    secret_sha256: str
    source: str = ""
    accelerator: str = ""
    gpus: int = 0
    name: str = ""

    def spec(self, weights: tuple[Path, ...]) -> DeploymentSpec:
        """Return the specification of one engine on this node, which ends with the process that owns it."""
        return DeploymentSpec(
            id=self.deployment,
            model_id=self.model_id,
            engine=self.engine,
            driver="ray",
            weights=weights,
            memory_bytes=self.memory_bytes,
            context_length=self.context_length,
            slots=self.slots,
            min_replicas=1,
            max_replicas=1,
            idle_seconds=0,
            on_owner_loss=OwnerLoss.STOP,
            source=self.source,
            accelerator=self.accelerator,
            gpus=self.gpus,
            name=self.name,
        )


class ReplicaFacts(msgspec.Struct, frozen=True):
    """What a replica tells of itself: when its engine made its first real token, and the process above the engine."""

    ready_at_micros: int
    pid: int


_ORDER = Converter(ReplicaOrder)


def order_of(spec: DeploymentSpec, secret: Secret) -> ReplicaOrder:
    """Return what replicas of a deployment are told; weights of the content-addressed store go by their sha256."""
    return ReplicaOrder(
        deployment=spec.id,
        model_id=spec.model_id,
        engine=spec.engine,
        weights=tuple(WeightsOrder(str(path), _sha256_of(path)) for path in spec.weights),
        memory_bytes=spec.memory_bytes,
        context_length=spec.context_length,
        slots=spec.slots,
        secret_sha256=digest(secret.reveal()),
        source=spec.source,
        accelerator=spec.accelerator,
        gpus=spec.gpus,
        name=spec.name,
    )


def read_order(value: object) -> ReplicaOrder:
    """Return the order in an application's arguments; raises EngineFailed for what is none."""
    try:
        return _ORDER.convert(value)
    except msgspec.ValidationError as error:
        raise EngineFailed(
            f"The order of this replica cannot be read: {error}. Install the same headrace on the nodes as on the"
            " gateway."
        ) from error


def replica_name(tag: str) -> str:
    """Return the name of a replica's files on its node, by the id that Ray Serve gave to it."""
    return f"ray-{tag}"


def digest(secret: str) -> str:
    """Return the sha256 of a secret, in hexadecimal."""
    return hashlib.sha256(secret.encode()).hexdigest()


def opens(order: ReplicaOrder, authorization: str) -> bool:
    """Whether an authorization header brings the deployment's secret; compared in constant time."""
    return hmac.compare_digest(digest(authorization.removeprefix("Bearer ")), order.secret_sha256)


def _sha256_of(path: Path) -> str:
    is_addressed = _SHA256.fullmatch(path.name) is not None and path.parent.name == path.name[:2]
    return path.name if is_addressed else ""
