"""Whole accelerators: what the makers' tools say, who has which, and why one is refused."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from headrace.domain.errors import EngineFailed
from headrace.drivers.compute.devices import Device, DeviceBook, VendorTools, read_amd, read_nvidia

AMD_OUTPUT = """\
{"card0": {"VRAM Total Memory (B)": "206141652992", "VRAM Total Used Memory (B)": "298151936"},
 "card1": {"VRAM Total Memory (B)": "206141652992", "VRAM Total Used Memory (B)": "206141652992"},
 "system": {"Driver version": "6.8"}}
"""


class Machine:
    """A machine with these accelerators."""

    def __init__(self, *devices: Device) -> None:
        self.devices = devices

    async def look(self) -> Sequence[Device]:
        return self.devices


def test_nvidia_lines_are_read() -> None:
    assert read_nvidia("0, 81559, 4\n1, 81559, 70000\n") == (Device(0, 81559, 4), Device(1, 81559, 70000))
    assert read_nvidia("No devices were found\n") == ()
    assert read_nvidia("0, [N/A], [N/A]\n") == ()


def test_amd_cards_are_read() -> None:
    assert read_amd(AMD_OUTPUT) == (Device(0, 196592, 284), Device(1, 196592, 196592))
    assert read_amd("") == ()
    assert read_amd("WARNING: no AMD GPUs") == ()
    assert read_amd('{"card0": {}}') == ()


async def test_without_the_makers_tools_there_is_none(tmp_path: Path) -> None:
    assert await VendorTools(str(tmp_path)).look() == ()
    book = DeviceBook(VendorTools(str(tmp_path)))
    with pytest.raises(EngineFailed, match=r"needs 1 GPU; this machine has none that was found\. Set local_devices"):
        await book.check(1)
    await book.check(0)
    assert await book.take("a-0", 0) == ()


async def test_each_replica_gets_whole_ones_of_its_own() -> None:
    book = DeviceBook(Machine(*(Device(number, 80_000, 4) for number in range(4))))
    assert await book.take("a-0", 2) == (0, 1)
    assert await book.take("a-1", 1) == (2,)
    with pytest.raises(EngineFailed, match=r"needs 2 GPUs and 1 are free: 0 has a-0; 1 has a-0; 2 has a-1") as refused:
        await book.take("b-0", 2)
    assert refused.value.retry_after_seconds == 5.0
    book.give_back("a-0")
    book.give_back("a-0")
    assert await book.take("b-0", 2) == (0, 1)
    book.claim("c-0", (3,))
    with pytest.raises(EngineFailed, match=r"3 has c-0"):
        await book.take("d-0", 1)
    with pytest.raises(EngineFailed, match=r"needs 8 GPUs; this machine has 4 GPUs"):
        await book.check(8)


async def test_what_another_program_uses_is_not_free() -> None:
    book = DeviceBook(Machine(Device(0, 80_000, 30_000), Device(1, 80_000, 600)))
    assert await book.take("a-0", 1) == (1,)
    with pytest.raises(EngineFailed, match=r"0 has 30000 of 80000 MiB in use by another program; 1 has a-0"):
        await book.take("b-0", 1)


async def test_the_operator_says_which_may_be_used() -> None:
    only = DeviceBook(Machine(*(Device(number, 80_000, 4) for number in range(4))), (2, 3))
    assert await only.take("a-0", 2) == (2, 3)
    unseen = DeviceBook(None, (5,))
    assert await unseen.devices() == (Device(5),)
    assert await unseen.take("a-0", 1) == (5,)
