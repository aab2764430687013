"""The published break-even examples, asked of the shipped catalog and accelerators, answer like the files here."""

import json
from pathlib import Path

import pytest

from headrace.domain.json_value import JsonObject
from headrace.drivers.catalogs.accelerators import AcceleratorFiles
from headrace.drivers.catalogs.files import shipped_files
from tests.control_world import World, open_world
from tests.fakes.breakeven import MemoryAccelerators

FOLDER = Path(__file__).parent
CASES = sorted(path.stem for path in FOLDER.glob("*.json"))
PROVIDER = "digitalocean"


async def report_of(asked: JsonObject) -> JsonObject:
    world = World(accelerators=MemoryAccelerators(AcceleratorFiles(None).read()))
    world.files.texts = {each.name: each.data.decode() for each in shipped_files() if each.name == PROVIDER}
    async with open_world(world) as client:
        reply = await client.post("/v2/breakeven", json=asked, headers=world.bearer("admin"))
    report: JsonObject = reply.json()
    inputs = report["inputs"]
    assert isinstance(inputs, list)
    shown = ("answer", "break_even_requests_per_hour", "dedicated_nano_usd", "serverless_nano_usd", "figures")
    values = {str(each["name"]): each["value"] for each in inputs if isinstance(each, dict)}
    return {**{name: report[name] for name in shown}, "inputs": values}


def test_all_three_published_examples_are_here() -> None:
    assert CASES == ["gpt_oss_120b_on_mi300x", "opus_on_b300", "opus_on_mi300x"]


@pytest.mark.anyio
@pytest.mark.parametrize("case", CASES)
async def test_the_published_example_is_reproduced(case: str) -> None:
    kept: JsonObject = json.loads((FOLDER / f"{case}.json").read_bytes())
    asked = kept.pop("asked")
    assert isinstance(asked, dict)
    assert await report_of(asked) == kept
