"""What the driver must know of a deployment after a restart and the cloud does not tell again; sealed as a blob.

That is the token, whose value the cloud says once, and since when each replica is ready. A lost note costs little: a
new token is made, and replicas count as ready from when they are seen again.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from headrace.domain.secret import Secret
from headrace.drivers.compute.cloud.replies import CloudToken
from headrace.ports.stores import Blobs
from headrace.wire.json_strict import encode

OWNER, KIND = "deployments", "cloud"
# 9999-12-31: a note lives until its deployment is removed.
NEVER_MICROS = 253_402_214_400_000_000


@dataclass(frozen=True, slots=True)
class CloudNote:
    """What is remembered of one deployment at the cloud.

    `inference` is the cloud's id of it, empty from before it is asked for until the cloud has answered. `ready` says
    since when, in microseconds since 1970 UTC, each replica is ready.
    """

    inference: str = ""
    token: CloudToken | None = None
    ready: dict[str, int] = field(default_factory=dict[str, int])

    def is_same_as(self, other: CloudNote) -> bool:
        """Whether both say the same; secrets do not compare by accident."""
        if self.token is None or other.token is None:
            same_token = self.token is other.token
        else:
            same_token = self.token.id == other.token.id and self.token.value.is_same_as(other.token.value)
        return same_token and (self.inference, self.ready) == (other.inference, other.ready)


class _Written(msgspec.Struct):
    inference: str = ""
    token: str | None = None
    token_id: str = ""
    ready: dict[str, int] = {}


_WRITTEN = msgspec.json.Decoder(_Written)


class CloudNotes:
    """Notes by deployment."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    async def recall(self, deployment: str) -> CloudNote | None:
        """Return the note of a deployment, None when there is none."""
        content = await self._blobs.get(OWNER, KIND, deployment)
        if content is None:
            return None
        written = _WRITTEN.decode(content)
        token = CloudToken(written.token_id, Secret(written.token)) if written.token else None
        return CloudNote(written.inference, token, written.ready)

    async def keep(self, deployment: str, note: CloudNote) -> None:
        """Keep a note, in the place of the one before; raises MeteringUnavailable when it is not durable."""
        token, token_id = (None, "") if note.token is None else (note.token.value.reveal(), note.token.id)
        content = encode({"inference": note.inference, "token": token, "token_id": token_id, "ready": note.ready})
        await self._blobs.put(OWNER, KIND, deployment, content, NEVER_MICROS)

    async def drop(self, deployment: str) -> None:
        """Forget a deployment."""
        await self._blobs.delete(OWNER, KIND, deployment)
