"""The files of one replica in the home: its state, secret, life and log; it starts and stops nothing."""

from __future__ import annotations

import hashlib
import os
import re
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from headrace.domain.deployment import LaunchPlan, OwnerLoss
from headrace.drivers.compute.processes import MICROS, Identity, boot_id

TAIL_BYTES = 4096
STARTING = "[warden] starting\n"
_BESIDE_STATE = (".secret", ".private", ".life", ".partial")
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
    ready_at_micros: int | None = None
    plan: str = ""
    devices: tuple[int, ...] = ()
    base_path: str = ""
    boot: str = ""

    @property
    def warden(self) -> Identity:
        """The process that watches the engine."""
        return Identity(self.warden_pid, self.warden_created)

    @property
    def engine(self) -> Identity:
        """The engine, leader of its own session."""
        return Identity(self.engine_pid, self.engine_created)

    @property
    def may_run(self) -> bool:
        """Whether the machine has not been started anew since."""
        return self.boot in ("", boot_id())

    @property
    def is_running(self) -> bool:
        """Whether both processes are there."""
        return self.may_run and self.warden.alive and self.engine.alive


class Ending(msgspec.Struct, frozen=True):
    """What the life file says once the engine has ended; `how` is empty where nobody saw it."""

    ended_at_micros: int
    how: str = ""


_STATE = msgspec.json.Decoder(ReplicaState)
_ENDING = msgspec.json.Decoder(Ending)


@dataclass(frozen=True, slots=True)
class ReplicaFiles:
    """Where the files of one replica lie."""

    state: Path
    secret: Path
    log: Path
    life: Path
    private: Path

    def write_secret(self, secret: str) -> None:
        """Write the secret so that only this user can ever read it."""
        _write_private(self.secret, secret.encode())

    def write_text(self, text: str) -> None:
        """Write what the engine reads of its own file, so that only this user can ever read it."""
        _write_private(self.private, text.encode())

    def write_state(self, state: ReplicaState) -> None:
        """Write the state whole or not at all."""
        _write_private(self._partial, msgspec.json.encode(state))
        self._partial.replace(self.state)

    def forget(self) -> None:
        """Remove state and secret; the log stays for the operator."""
        for each in (self.state, self._partial, self.secret, self.private, self.life):
            each.unlink(missing_ok=True)

    def ending(self) -> Ending | None:
        """Return when and how the engine ended: as its warden wrote it, else when that last saw it alive."""
        try:
            seen_at = self.life.stat().st_mtime
            content = self.life.read_bytes()
            return _ENDING.decode(content) if content else Ending(round(seen_at * MICROS))
        except (OSError, msgspec.DecodeError):
            return None

    @property
    def _partial(self) -> Path:
        return self.state.with_suffix(".partial")

    def last_lines(self, count: int) -> list[str]:
        """Return the last non-empty lines of the log since the last start."""
        latest = self.shown(_tail(self.log, TAIL_BYTES)).rpartition(STARTING)[2]
        return [line.strip() for line in latest.splitlines() if line.strip()][-count:]

    def shown(self, text: str) -> str:
        """Return a text of the engine without its secret: some print it at their start."""
        try:
            secret = self.secret.read_text()
        except OSError:
            return text
        return text.replace(secret, "…") if secret else text


def plan_mark(plan: LaunchPlan) -> str:
    """Return what tells a launch plan from another, whatever replica and devices it is for."""
    return hashlib.sha256(repr(replace(plan, replica="", devices=(), sharers=1)).encode()).hexdigest()


def replica_files(home: Path, replica: str) -> ReplicaFiles:
    """Return the places of a replica's files; raises ValueError for a name that cannot be a file's."""
    if _NAME.fullmatch(replica) is None:
        raise ValueError(f"{replica!r} is not a usable replica name")
    run = home / "run"
    return ReplicaFiles(
        state=run / f"{replica}.json",
        secret=run / f"{replica}.secret",
        log=home / "logs" / f"{replica}.log",
        life=run / f"{replica}.life",
        private=run / f"{replica}.private",
    )


def read_states(home: Path) -> list[tuple[Path, ReplicaState | None]]:
    """Return every state file with its content, or None where it is spoilt; what cannot be read now is left out."""
    found: list[tuple[Path, ReplicaState | None]] = []
    for path in sorted((home / "run").glob("*.json")):
        with suppress(OSError):
            found.append((path, _state(path.read_bytes())))
    return found


def forget_half_started(home: Path) -> None:
    """Remove what is left of replicas that never came to a state file: their gateway died as it started them."""
    for path in (home / "run").glob("*"):
        if path.suffix in _BESIDE_STATE and not path.with_suffix(".json").exists():
            with suppress(OSError):
                path.unlink()


def _tail(path: Path, most_bytes: int) -> str:
    try:
        with path.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - most_bytes))
            return log.read().decode("utf-8", "replace")
    except OSError:
        return ""


def _state(content: bytes) -> ReplicaState | None:
    try:
        return _STATE.decode(content)
    except msgspec.DecodeError:
        return None


def _write_private(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(content)
