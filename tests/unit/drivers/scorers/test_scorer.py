"""The scorer: opened once, indexes made once and bounded, pieces of work small enough for others to get between."""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import ParamSpec, TypeVar

import pytest

from headrace.domain.conversation import Conversation, Turn
from headrace.domain.errors import EngineFailed
from headrace.domain.router import Task
from headrace.domain.routing import TaskSet
from headrace.drivers.scorers import background, matcher
from headrace.drivers.scorers import scorer as scorer_module
from headrace.drivers.scorers.library import FILE, shipped_text
from headrace.drivers.scorers.scorer import TEXTS_AT_ONCE, MiniLmScorer
from headrace.ports.routing import TokenReader
from tests.unit.drivers.scorers.word_reader import WordReader

pytestmark = pytest.mark.anyio
P = ParamSpec("P")
T = TypeVar("T")
TASKS = TaskSet("a", tuple(Task(f"task-{number}", f"Thing {number}.") for number in range(20)))
ASKED = Conversation((Turn("user", "thing 7"),), "", in_tool_loop=False, prompt_tokens=3)


class CountingOffload:
    """Runs work in threads and counts the pieces."""

    def __init__(self) -> None:
        self.pieces = 0

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        self.pieces += 1
        return await asyncio.to_thread(work, *args, **kwargs)


class Loader:
    """Hands out the reader once it is there."""

    def __init__(self) -> None:
        self.loads = 0
        self.is_here = True

    async def __call__(self) -> TokenReader:
        self.loads += 1
        if not self.is_here:
            raise EngineFailed("The weights are not here.", code="weights_missing")
        return WordReader()


def small(name: str) -> str:
    rows = (f'[[task]]\nname = "{n}"\ndescription = "{n}."\nprompts = ["a {n}", "the {n}"]\n' for n in range(100, 111))
    return "\n".join(rows) if name == FILE else shipped_text(name)


@pytest.fixture(autouse=True)
def learns_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two steps of learning on a small library."""
    monkeypatch.setattr(background, "STEPS", 2)
    monkeypatch.setattr(matcher, "shipped_text", small)


@pytest.fixture
def offload() -> CountingOffload:
    return CountingOffload()


@pytest.fixture
def loader() -> Loader:
    return Loader()


@pytest.fixture
def scorer(loader: Loader, offload: CountingOffload, tmp_path: Path) -> MiniLmScorer:
    return MiniLmScorer(loader, "encoder", tmp_path, offload)


async def test_one_decision_is_one_piece_of_work(scorer: MiniLmScorer, offload: CountingOffload) -> None:
    await scorer.prepare(TASKS)
    before = offload.pieces
    found = await scorer.match(TASKS, ASKED)
    assert (found.best, offload.pieces - before) == ("task-7", 1)
    assert (await scorer.rematch(TASKS, [found.features]))[0].best == "task-7"
    figures, features = await scorer.weigh(ASKED)
    assert figures.output_tokens > 0
    assert features == found.features


async def test_it_opens_once_whoever_comes_first(scorer: MiniLmScorer, loader: Loader) -> None:
    found = await asyncio.gather(scorer.open(), *(scorer.match(TASKS, ASKED) for _ in range(5)))
    assert loader.loads == 1
    assert len({each for each in found if each is not None}) == 1


async def test_missing_weights_are_said_until_they_are_here(scorer: MiniLmScorer, loader: Loader) -> None:
    loader.is_here = False
    with pytest.raises(EngineFailed, match="not here"):
        await scorer.match(TASKS, ASKED)
    loader.is_here = True
    assert (await scorer.match(TASKS, ASKED)).best == "task-7"


async def test_an_index_is_made_in_small_pieces_and_once(scorer: MiniLmScorer, offload: CountingOffload) -> None:
    await scorer.open()
    before = offload.pieces
    await asyncio.gather(*(scorer.prepare(TASKS) for _ in range(3)))
    texts = 3 * len(TASKS.tasks)
    assert offload.pieces - before == 2 + -(-texts // TEXTS_AT_ONCE)
    await scorer.prepare(TASKS)
    assert offload.pieces - before == 2 + -(-texts // TEXTS_AT_ONCE)


async def test_indexes_are_bounded(
    scorer: MiniLmScorer, offload: CountingOffload, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scorer_module, "MAX_INDEX_BYTES", 1)
    await scorer.prepare(TASKS)
    await scorer.prepare(replace(TASKS, digest="b"))
    before = offload.pieces
    await scorer.prepare(replace(TASKS, digest="b"))
    assert offload.pieces == before
    await scorer.prepare(TASKS)
    assert offload.pieces > before


def test_importing_it_loads_no_array_library() -> None:
    code = "import sys, headrace.drivers.scorers.scorer; sys.exit('numpy' in sys.modules)"
    source = Path(__file__).parents[4] / "src"
    assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(source)}).returncode == 0
