"""The files of one replica in the home: its state, its secret and its log; it starts and stops nothing."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import msgspec

from headrace.domain.deployment import OwnerLoss
from headrace.drivers.compute.processes import Identity

TAIL_BYTES = 4096
STARTING = "[warden] starting\n"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class ReplicaState(msgspec.Struct, frozen=True):
    """What `HOME/run/<replica>.json` says: everything that a later gateway needs to take the replica over."""

    replica: str
    deployment: str
    warden_pid: int
    warden_created: float
    engine_pid: int
    engine_created: float
    port: int
    on_owner_loss: OwnerLoss
    started_at_micros: int

    @property
    def warden(self) -> Identity:
        """The process that watches the engine."""
        return Identity(self.warden_pid, self.warden_created)

    @property
    def engine(self) -> Identity:
        """The engine, leader of its own session."""
        return Identity(self.engine_pid, self.engine_created)


@dataclass(frozen=True, slots=True)
class ReplicaFiles:
    """Where the files of one replica lie."""

    state: Path
    secret: Path
    log: Path

    def write_secret(self, secret: str) -> None:
        """Write the secret so that only this user can ever read it."""
        _write_private(self.secret, secret.encode())

    def write_state(self, state: ReplicaState) -> None:
        """Write the state whole or not at all."""
        partial = self.state.with_suffix(".partial")
        _write_private(partial, msgspec.json.encode(state))
        partial.replace(self.state)

    def forget(self) -> None:
        """Remove state and secret; the log stays for the operator."""
        self.state.unlink(missing_ok=True)
        self.secret.unlink(missing_ok=True)

    def last_lines(self, count: int) -> list[str]:
        """Return the last non-empty lines of the log since the last start."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - TAIL_BYTES))
                text = log.read().decode("utf-8", "replace")
        except OSError:
            return []
        latest = text.rpartition(STARTING)[2]
        return [line.strip() for line in latest.splitlines() if line.strip()][-count:]


def replica_files(home: Path, replica: str) -> ReplicaFiles:
    """Return the places of a replica's files; raises ValueError for a name that cannot be a file's."""
    if _NAME.fullmatch(replica) is None:
        raise ValueError(f"{replica!r} is not a usable replica name")
    run = home / "run"
    return ReplicaFiles(run / f"{replica}.json", run / f"{replica}.secret", home / "logs" / f"{replica}.log")


def read_states(home: Path) -> list[tuple[Path, ReplicaState | None]]:
    """Return every state file with its content, or None where it cannot be read."""
    return [(path, _read_state(path)) for path in sorted((home / "run").glob("*.json"))]


def _read_state(path: Path) -> ReplicaState | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=ReplicaState)
    except (OSError, msgspec.DecodeError):
        return None


def _write_private(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(content)
