"""The local driver keeps the contract of compute drivers, over real toy processes."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contract.compute_contract import ComputeContract, LogContract, ProcessContract
from tests.contract.local_world import LocalWorld

pytestmark = pytest.mark.timeout(30)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[LocalWorld]:
    world = LocalWorld(tmp_path)
    yield world
    await world.close()


class TestLocalCompute(ComputeContract, ProcessContract, LogContract):
    """The whole suite."""
