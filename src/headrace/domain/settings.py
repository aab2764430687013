"""The typed tree of settings; where a setting comes from is the command line's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from headrace.domain.secret import Secret

LogFormat: TypeAlias = Literal["json", "pretty"]


@dataclass(frozen=True, slots=True)
class Limits:
    """How much the platform takes in and how long it waits; the names carry the units.

    `engine_memory_mib` is what all embedded engines together may take, None for no limit.
    `breaker_failures` in a row make a target rest; 0 lets none rest. With `keep_responses_days` 0 no response is kept.
    What routers decided is kept for `keep_decisions_days`.
    """

    max_body_bytes: int = 16 * 1024 * 1024
    max_connections: int = 4096
    max_connections_per_address: int = 1024
    slow_reader_seconds: float = 30.0
    engine_memory_mib: int | None = None
    engine_wait_seconds: float = 120.0
    connect_seconds: float = 3.0
    first_event_seconds: float = 120.0
    between_events_seconds: float = 60.0
    total_seconds: float = 900.0
    keepalive_seconds: float = 10.0
    drain_seconds: int = 30
    breaker_failures: int = 3
    keep_responses_days: int = 30
    keep_decisions_days: int = 30


@dataclass(frozen=True, slots=True)
class DriverSettings:
    """What compute drivers are told; a cluster or a cloud without an address is not there.

    `local_devices` are the numbers of this machine's accelerators that deployments may have, None for those that are
    found. `ray_address` is that of the Ray head's dashboard, `cloud_address` that of a control plane which speaks the
    public contract of dedicated inferences. Tokens are read from their files.
    """

    local_devices: tuple[int, ...] | None = None
    ray_address: str | None = None
    ray_token_file: Path | None = None
    cloud_address: str | None = None
    cloud_token_file: Path | None = None


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """Everything that `headrace serve` was asked for.

    `config` is the file that was read, None when there is none. `tls_cert` and `tls_key` are both set or neither;
    with `tls` alone the home's own authority signs. `credential_files` maps a provider to the file of its key.
    `webhook_hosts` are host:port pairs at private addresses that webhooks may go to.
    `store` is the address of a PostgreSQL database, None for SQLite in the home.
    """

    home: Path
    host: str = "127.0.0.1"
    port: int = 8080
    config: Path | None = None
    store: Secret | None = None
    tls: bool = False
    tls_cert: Path | None = None
    tls_key: Path | None = None
    allowed_hosts: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    webhook_hosts: tuple[str, ...] = ()
    idempotency: bool = True
    response_cache: bool = True
    pull: bool = False
    log_format: LogFormat = "pretty"
    limits: Limits = field(default_factory=Limits)
    drivers: DriverSettings = field(default_factory=DriverSettings)
    credential_files: Mapping[str, Path] = field(default_factory=dict[str, Path])

    @property
    def uses_tls(self) -> bool:
        """Whether the listener speaks TLS, with its own certificate or a given one."""
        return self.tls or self.tls_cert is not None

    @property
    def base_url(self) -> str:
        """The address for a client on this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.host, self.host)  # noqa: S104 - any address, asked for
        if ":" in host and not host.startswith("["):
            host = f"[{host}]"
        return f"{'https' if self.uses_tls else 'http'}://{host}:{self.port}"
