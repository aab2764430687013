"""Whole accelerators of this machine by number: which there are, which are free, who has which; it starts nothing."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import msgspec

from headrace.domain.errors import EngineFailed

PROBE_SECONDS = 10.0
MIB = 1024 * 1024
# More than this part of a device's memory in use by others leaves too little for an engine that expects all of it.
FOREIGN_PERCENT = 10
# Source: https://docs.nvidia.com/deploy/nvidia-smi/ (read 2026-11-28).
NVIDIA = ("nvidia-smi", "--query-gpu=index,memory.total,memory.used", "--format=csv,noheader,nounits")
# Source: https://rocm.docs.amd.com/projects/rocm_smi_lib/en/latest/how-to/use-python.html (read 2026-11-28).
AMD = ("rocm-smi", "--showmeminfo", "vram", "--json")
_CARDS = msgspec.json.Decoder(dict[str, dict[str, str]])


@dataclass(frozen=True, slots=True)
class Device:
    """One accelerator; memory is 0 where it is not known."""

    number: int
    memory_mib: int = 0
    used_mib: int = 0


class DeviceProbe(Protocol):
    """Finds the accelerators of this machine."""

    async def look(self) -> Sequence[Device]:
        """Return those that there are now, none where nothing tells."""
        ...


class VendorTools:
    """The makers' own tools, by fixed commands; `path` is where they are looked for."""

    def __init__(self, path: str | None, seconds: float = PROBE_SECONDS) -> None:
        self._seconds = seconds
        self._environment = {"LC_ALL": "C", **({"PATH": path} if path is not None else {})}

    async def look(self) -> Sequence[Device]:
        """Return what the first tool says that is there and works."""
        for command, read in ((NVIDIA, read_nvidia), (AMD, read_amd)):
            found = read(await self._output(command))
            if found:
                return found
        return ()

    async def _output(self, command: Sequence[str]) -> str:
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=self._environment,
            )
        except OSError:
            return ""
        try:
            async with asyncio.timeout(self._seconds):
                output, _ = await process.communicate()
        except TimeoutError:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            return ""
        return output.decode("utf-8", "replace") if process.returncode == 0 else ""


def read_nvidia(output: str) -> tuple[Device, ...]:
    """Return the devices in `index, total, used` lines, memory in MiB; lines of another form are passed over."""
    found: list[Device] = []
    for line in output.splitlines():
        with suppress(ValueError):
            number, total, used = (int(each) for each in line.split(","))
            found.append(Device(number, total, used))
    return tuple(found)


def read_amd(output: str) -> tuple[Device, ...]:
    """Return the devices of a JSON object by card, memory in bytes."""
    try:
        cards = _CARDS.decode(output or "{}")
        return tuple(
            Device(
                int(name.removeprefix("card")),
                int(card["VRAM Total Memory (B)"]) // MIB,
                int(card["VRAM Total Used Memory (B)"]) // MIB,
            )
            for name, card in cards.items()
            if name.startswith("card")
        )
    except (msgspec.DecodeError, ValueError, KeyError):
        return ()


class DeviceBook:
    """Who has which accelerator; `allowed` are the numbers that may be used, None for all that are found."""

    def __init__(self, probe: DeviceProbe | None = None, allowed: Sequence[int] | None = None) -> None:
        self._probe = probe
        self._allowed = allowed
        self._taken: dict[str, tuple[int, ...]] = {}

    async def devices(self) -> tuple[Device, ...]:
        """Return those that may be used, as they are now."""
        found = await self._probe.look() if self._probe is not None else ()
        if self._allowed is None:
            return tuple(found)
        known: Mapping[int, Device] = {each.number: each for each in found}
        return tuple(known.get(number, Device(number)) for number in self._allowed)

    async def check(self, count: int) -> None:
        """Raise EngineFailed when this machine has not so many, whoever has them now."""
        if count:
            _check_enough(await self.devices(), count)

    async def take(self, replica: str, count: int) -> tuple[int, ...]:
        """Give a replica so many free ones; raises EngineFailed that says who has the others."""
        if not count:
            return ()
        there = await self.devices()
        _check_enough(there, count)
        owners = {number: name for name, numbers in self._taken.items() for number in numbers}
        free: list[int] = []
        busy: list[str] = []
        for device in there:
            if device.number in owners:
                busy.append(f"{device.number} has {owners[device.number]}")
            elif device.used_mib * 100 > device.memory_mib * FOREIGN_PERCENT:
                busy.append(
                    f"{device.number} has {device.used_mib} of {device.memory_mib} MiB in use by another program"
                )
            else:
                free.append(device.number)
        if len(free) < count:
            raise EngineFailed(
                f"It needs {_gpus(count)} and {len(free)} are free: {'; '.join(busy)}.", retry_after_seconds=5.0
            )
        self._taken[replica] = tuple(free[:count])
        return self._taken[replica]

    def claim(self, replica: str, numbers: Iterable[int]) -> None:
        """Note what a replica has that was taken over."""
        self._taken[replica] = tuple(numbers)

    def give_back(self, replica: str) -> None:
        """Free what a replica had."""
        self._taken.pop(replica, None)


def _check_enough(there: Sequence[Device], count: int) -> None:
    if len(there) < count:
        raise EngineFailed(
            f"It needs {_gpus(count)}; this machine has {_gpus(len(there)) if there else 'none that was found'}."
            " Set local_devices in [drivers] of the configuration to their numbers if there are more, or ask for fewer."
        )


def _gpus(count: int) -> str:
    return "1 GPU" if count == 1 else f"{count} GPUs"
