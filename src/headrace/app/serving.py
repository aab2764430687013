"""`headrace serve`: listen, open the platform, pull what was asked for, say that it is ready, drain at the end."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import uvloop

from headrace.app.first_start import FILE_NAME, Credentials, ensure_credentials
from headrace.app.foundation import Foundation, open_foundation
from headrace.app.platform import Platform, open_platform
from headrace.cli.progress import PullProgress
from headrace.cli.welcome import Welcome, draining, goodbye, welcome
from headrace.domain.errors import ConfigInvalid, HeadraceError, UpstreamError
from headrace.domain.settings import Limits, ServeOptions
from headrace.drivers.observability.logs import Logger, LogSettings, open_log
from headrace.drivers.port_owner import port_owner
from headrace.drivers.tls.authority import ServerCertificate, ensure_certificate
from headrace.http.connections import ConnectionLimits
from headrace.http.server import GatewayServer, Listening, bind, make_server

FIRST_MODEL = "smollm2-135m"
MODELS_BESIDE = ("all-minilm-l6-v2", "qwen2.5-coder-0.5b")
WATCH_FILES_SECONDS = 2.0
FRAMING_BYTES = 64 * 1024
GC_THRESHOLDS = (20_000, 20, 20)
ANY_ADDRESS = frozenset({"0.0.0.0", "::"})  # noqa: S104 - named to leave them out of a certificate


def serve(options: ServeOptions, environment: Mapping[str, str]) -> int:
    """Run the platform until SIGTERM or Ctrl-C; returns the exit status."""
    logger = open_log(LogSettings(options.log_format))
    with open_foundation(options.home, options.store) as ground:
        certificate = _certificate(ground, options)
        listening = _listening(options, certificate)
        with bind(listening, port_owner) as listener:
            port = int(listener.getsockname()[1])
            start = _Start(ground, _with_port(options, port), environment, logger, certificate)
            uvloop.run(start.run(listener, listening))
    return 0


@dataclass(frozen=True, slots=True)
class _Start:
    ground: Foundation
    options: ServeOptions
    environment: Mapping[str, str]
    logger: Logger
    certificate: ServerCertificate | None

    async def run(self, listener: socket.socket, listening: Listening) -> None:
        async with open_platform(self.ground, self.options, self.environment, self.logger) as platform:
            credentials, is_new = await ensure_credentials(
                self.ground.home, self.options.base_url, self.ground.keys, self.ground.identity, self.ground.clock
            )
            if is_new:
                await platform.snapshots.publish_keys()
            server = make_server(platform.gateway, listening, self.ground.ids, platform.observer)
            self._take_signals(server, platform)
            with PullProgress(sys.stderr) as progress:
                if self.options.pull:
                    await self._pull_first(platform, progress)
                platform.tasks.start("follow configuration", self._follow(platform))
                self._say_welcome(platform, credentials, is_new=is_new)
                _spare_the_collector()
                platform.tasks.start("routers ahead", platform.preparing.run())
                await server.serve(sockets=[listener])
            await self._finish_owed(platform, server)
            self._say(goodbye(platform.tally.requests, platform.tally.charge_nano))

    async def _pull_first(self, platform: Platform, progress: PullProgress) -> None:
        for model_id in (FIRST_MODEL, *MODELS_BESIDE):
            for file in platform.pulls.files(model_id):
                if platform.weights.path(file) is None:
                    progress.announce(file.name, file.size_bytes, file.licence)
        for model_id in MODELS_BESIDE:
            platform.tasks.start(f"pull {model_id}", self._pull_beside(platform, model_id, progress))
        try:
            await platform.pulls.pull(FIRST_MODEL, progress)
        except UpstreamError as error:
            again = f"headrace models pull {FIRST_MODEL}"
            self._say(f"{FIRST_MODEL} could not be pulled: {error.message}\n  Serving without it; again: {again}\n")

    async def _pull_beside(self, platform: Platform, model_id: str, progress: PullProgress) -> None:
        try:
            await platform.pulls.pull(model_id, progress)
        except HeadraceError as error:
            self.logger.warning("pull failed", model=model_id, error_code=error.code, detail=error.message)

    async def _follow(self, platform: Platform) -> None:
        while True:
            await asyncio.sleep(WATCH_FILES_SECONDS)
            try:
                if await platform.snapshots.reload_if_changed():
                    self.logger.info("configuration reloaded", version=platform.snapshots.current().version)
                await platform.snapshots.refresh_if_day_changed()
            except ConfigInvalid as error:
                self.logger.error("configuration refused, the old one serves on", detail=error.message)

    def _take_signals(self, server: GatewayServer, platform: Platform) -> None:
        loop = asyncio.get_running_loop()

        def stop() -> None:
            if server.should_exit:
                server.force_exit = True
                platform.tasks.cancel_owed()
                return
            self._say(draining(platform.in_flight.count))
            platform.shadows.stop()
            server.drain()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
        loop.add_signal_handler(signal.SIGHUP, lambda: platform.tasks.start("reload", self._reload(platform)))

    async def _finish_owed(self, platform: Platform, server: GatewayServer) -> None:
        """Finish what callers who have left will ask for again, while all that it needs is open."""
        if platform.tasks.owed:
            self._say(draining(platform.tasks.owed))
        await platform.tasks.finish_owed(server.drain_seconds_left)

    async def _reload(self, platform: Platform) -> None:
        try:
            snapshot = await platform.snapshots.reload()
        except ConfigInvalid as error:
            self.logger.error("configuration refused, the old one serves on", detail=error.message)
        else:
            self.logger.info("configuration reloaded", version=snapshot.version)

    def _say_welcome(self, platform: Platform, credentials: Credentials, *, is_new: bool) -> None:
        models = platform.snapshots.current().models
        live = [name for name, entries in models.items() if entries[0].availability.available]
        preferred = FIRST_MODEL if FIRST_MODEL in live else next(iter(live), None)
        ready = Welcome(
            base_url=credentials.base_url,
            credentials=self.ground.home / FILE_NAME,
            api_key=credentials.api_key if is_new else None,
            model=preferred,
            ca=None if self.certificate is None else self.certificate.authority_file,
            home=Path.home(),
        )
        self._say(welcome(ready))

    def _say(self, text: str) -> None:
        with suppress(OSError):
            sys.stdout.write(text)
            sys.stdout.flush()


def _spare_the_collector() -> None:
    """Leave what was built at the start out of every later collection: it lives as long as the process."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def _certificate(ground: Foundation, options: ServeOptions) -> ServerCertificate | None:
    if not options.tls:
        return None
    names = dict.fromkeys(("localhost", "127.0.0.1", "::1", options.host, *options.allowed_hosts))
    return ensure_certificate(ground.home, tuple(name for name in names if name not in ANY_ADDRESS), ground.clock)


def _listening(options: ServeOptions, certificate: ServerCertificate | None) -> Listening:
    chain = certificate.certificate_file if certificate is not None else options.tls_cert
    key = certificate.key_file if certificate is not None else options.tls_key
    return Listening(
        options.host,
        options.port,
        None if chain is None else str(chain),
        None if key is None else str(key),
        options.limits.drain_seconds,
        _connection_limits(options.limits),
    )


def _connection_limits(limits: Limits) -> ConnectionLimits:
    return ConnectionLimits(
        body_wire_bytes=2 * limits.max_body_bytes + FRAMING_BYTES,
        reader_seconds=limits.slow_reader_seconds,
        connections=limits.max_connections,
        connections_per_address=limits.max_connections_per_address,
    )


def _with_port(options: ServeOptions, port: int) -> ServeOptions:
    return replace(options, port=port)
