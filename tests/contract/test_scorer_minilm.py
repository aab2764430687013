"""The scorer on the real all-MiniLM-L6-v2 and the shipped library: sensible, the same when it is made anew, in time."""

from pathlib import Path

import pytest

from headrace.domain.conversation import Conversation, Turn
from headrace.domain.errors import EngineFailed
from headrace.domain.router import Task
from headrace.domain.routing import TaskSet
from headrace.drivers.encoders.minilm import MiniLmEncoder
from headrace.drivers.scorers.scorer import MiniLmScorer
from headrace.drivers.weights.store import WeightsStore
from tests.weights_fixtures import MINILM, MINILM_TOKENIZER, SystemClock, ThreadOffload, real_store

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

SUPPORT = TaskSet(
    "support",
    (
        Task("refund-dispute", "Refund or disputed charge. The customer contests a charge or wants money back."),
        Task("delivery-status", "Delivery status. The customer asks where an order is or when it arrives."),
        Task("write-code", "Write code. Write, complete or repair a program or function."),
    ),
)
PROMPTS = (
    ("You charged my card twice for the same order, please give one payment back.", "refund-dispute"),
    ("Where is my parcel? It should have arrived on Monday.", "delivery-status"),
    ("Write a Python function that merges two sorted lists.", "write-code"),
    ("Which team won the football world cup in 1966?", None),
)


@pytest.fixture(scope="session")
def scorer_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scorer")


def scorer_on(home: Path, weights: Path) -> MiniLmScorer:
    offload = ThreadOffload()
    encoder = MiniLmEncoder("here/minilm", (MINILM, MINILM_TOKENIZER), real_store(weights), home, offload)
    return MiniLmScorer(encoder.load, encoder.file_name, home, offload)


def asked(*texts: str) -> Conversation:
    turns = (Turn("user" if place % 2 == 0 else "assistant", each) for place, each in enumerate(texts))
    return Conversation(tuple(turns), "", in_tool_loop=False, prompt_tokens=10)


async def test_prompts_find_their_tasks_and_others_none(
    scorer_home: Path, weights_cache: Path, minilm_paths: tuple[Path, Path]
) -> None:
    scorer = scorer_on(scorer_home, weights_cache)
    await scorer.open()
    for text, task in PROMPTS:
        found = await scorer.match(SUPPORT, asked(text))
        assert (found.best if found.matched else None) == task, (text, found)
        (again,) = await scorer.rematch(SUPPORT, [found.features])
        assert (again.best, again.score, again.matched) == (found.best, found.score, found.matched)
    follow = await scorer.match(SUPPORT, asked(PROMPTS[0][0], "Which order is it?", "The one of last Tuesday."))
    assert (follow.best, follow.matched) == ("refund-dispute", True)


async def test_made_anew_it_decides_the_same(
    scorer_home: Path, weights_cache: Path, minilm_paths: tuple[Path, Path]
) -> None:
    first = scorer_on(scorer_home, weights_cache)
    decided = [await first.match(SUPPORT, asked(text)) for text, _ in PROMPTS]
    (kept,) = (scorer_home / "encoders").glob("routing-*.npz")
    whole = kept.read_bytes()
    kept.write_bytes(b"damaged")
    anew = scorer_on(scorer_home, weights_cache)
    assert [await anew.match(SUPPORT, asked(text)) for text, _ in PROMPTS] == decided
    assert kept.read_bytes() == whole


async def test_missing_weights_are_said(tmp_path: Path) -> None:
    store = WeightsStore(tmp_path, (), SystemClock(), ThreadOffload())
    encoder = MiniLmEncoder("here/minilm", (MINILM, MINILM_TOKENIZER), store, tmp_path, ThreadOffload())
    scorer = MiniLmScorer(encoder.load, encoder.file_name, tmp_path, ThreadOffload())
    with pytest.raises(EngineFailed, match="headrace models pull"):
        await scorer.match(SUPPORT, asked("hello"))
