"""Matching with an encoder of words: bounds, edges, examples, conversations, kept features and kept backgrounds."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from headrace.domain.conversation import Conversation, Turn
from headrace.domain.router import Task
from headrace.domain.routing import Match, TaskSet
from headrace.drivers.scorers import background, single_thread
from headrace.drivers.scorers import matcher as matcher_module
from headrace.drivers.scorers.background import Background
from headrace.drivers.scorers.background_file import background_path, read_background, write_background
from headrace.drivers.scorers.calibration import bucket_of, read_calibration
from headrace.drivers.scorers.difficulty import read_difficulty
from headrace.drivers.scorers.features import WITH_SEVERAL, Scored, scored
from headrace.drivers.scorers.grams import PLACES, grams_of
from headrace.drivers.scorers.library import FILE, Library, read_library, shipped, shipped_text
from headrace.drivers.scorers.matcher import NOTHING_READ, UNKNOWN, Matcher, make_background, open_matcher
from headrace.drivers.scorers.task_index import TaskIndex, lead_of, top_two
from headrace.drivers.scorers.texts import OLDER_TOKENS, PROMPT_TOKENS, cut, in_words, is_readable, phrasings
from headrace.drivers.scorers.turns import MOST_NEW_TOKENS, TOKENS_EACH, fitting, followed, read_turns
from headrace.drivers.scorers.vectors import WHOLE, Floats, Vectors, meaning, packed, unit, unpacked
from tests.unit.drivers.scorers.word_reader import WordReader

KINDS = ("baking", "travel", "tennis", "loans", "gardens", "puzzles", "songs", "weather", "taxes", "chess", "dogs")
LIBRARY = "\n".join(
    f'[[task]]\nname = "{name}"\ndescription = "{name} of all kinds."\nprompts = ["{name} please", "more {name}"]\n'
    for name in KINDS
)
REFUND = Task("refund", "Customer wants money back for a broken thing.", ("give my money back",))
CODE = Task("write_code", "Write a function or a program.")
TASKS = TaskSet("a", (REFUND, CODE))


def small(name: str) -> str:
    return LIBRARY if name == FILE else shipped_text(name)


@pytest.fixture(autouse=True)
def learns_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two steps of learning, and a small library wherever the shipped one would be opened."""
    monkeypatch.setattr(background, "STEPS", 2)
    monkeypatch.setattr(matcher_module, "shipped_text", small)


@pytest.fixture(scope="module")
def library() -> Library:
    return read_library(LIBRARY)


@pytest.fixture
def reader() -> WordReader:
    return WordReader()


@pytest.fixture
def matcher(library: Library, reader: WordReader) -> Matcher:
    vectors = Vectors(reader)
    calibration = read_calibration(shipped_text("calibration.json"))
    return Matcher(vectors, make_background(library, vectors), calibration, read_difficulty(shipped("difficulty.json")))


def asked(*texts: str) -> Conversation:
    return Conversation(tuple(Turn("user", each) for each in texts), "", in_tool_loop=False, prompt_tokens=0)


def match(matcher: Matcher, text: str, tasks: TaskSet = TASKS) -> Match:
    return matcher.match(matcher.index(tasks), asked(text))


def test_the_task_with_the_prompts_words_is_the_likeliest(matcher: Matcher) -> None:
    found = match(matcher, "write a program please")
    assert (found.best, found.runner_up, found.closest_example) == ("write_code", "refund", None)
    assert 0 <= found.runner_up_score <= found.score <= 1
    assert found.matched == (found.score >= 0.5)
    assert len(found.features) == 2 * WHOLE


def test_an_example_sharpens_and_is_named(matcher: Matcher) -> None:
    tasks = TaskSet("b", (Task("refund", REFUND.description, ("where is it", "give my money back")), CODE))
    found = match(matcher, "give my money back now", tasks)
    assert (found.best, found.closest_example) == ("refund", 2)


def test_kept_features_decide_as_the_prompt_did(matcher: Matcher) -> None:
    index = matcher.index(TASKS)
    first = matcher.match(index, asked("my money back"))
    again, nothing = matcher.rematch(index, [first.features, b""])
    assert (again.best, again.score, again.matched) == (first.best, first.score, first.matched)
    assert again.features == first.features
    assert nothing.best is None


def test_kept_features_are_compared_together_as_each_would_be_alone(
    matcher: Matcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = matcher.index(TASKS)
    texts = [f"{word} please, {number} times" for number in range(5) for word in ("money back", "a program", *KINDS)]
    kept = [matcher.match(index, asked(each)).features for each in texts]
    alone = [matcher.rematch(index, [each])[0] for each in kept]
    compared: list[int] = []

    def counting(index: TaskIndex, library: Background, prompts: Floats) -> Scored:
        compared.append(len(prompts))
        return scored(index, library, prompts)

    monkeypatch.setattr(matcher_module, "scored", counting)
    nothing, *together, damaged = matcher.rematch(index, [b"", *kept, b"damaged"])
    assert compared == [len(kept)]
    assert (nothing.best, damaged.best) == (None, None)
    for found, wanted in zip(together, alone, strict=True):
        assert (found.best, found.runner_up, found.closest_example, found.features, found.figures) == (
            (wanted.best, wanted.runner_up, wanted.closest_example, wanted.features, wanted.figures)
        )
        assert found.score == pytest.approx(wanted.score, abs=1e-5)
        assert found.runner_up_score == pytest.approx(wanted.runner_up_score, abs=1e-5)
    assert matcher.rematch(index, [b"", b""]) == (NOTHING_READ, NOTHING_READ)


def test_a_correction_is_an_example_without_a_text(matcher: Matcher) -> None:
    features = match(matcher, "zebra giraffe").features
    tasks = TaskSet("c", TASKS.tasks, (("write_code", features), ("write_code", b"damaged"), ("gone", features)))
    found = match(matcher, "zebra giraffe", tasks)
    assert (found.best, found.closest_example) == ("write_code", None)


@pytest.mark.parametrize("text", ["", " \n", "?!", "🙂", "…"])
def test_without_a_letter_or_digit_nothing_is_read(matcher: Matcher, reader: WordReader, text: str) -> None:
    index = matcher.index(TASKS)
    before = reader.encoded
    found = matcher.match(index, asked(text))
    assert (found.best, found.score, found.matched, found.features, found.figures) == (None, 0.0, False, b"", UNKNOWN)
    assert matcher.weigh(asked(text)) == (UNKNOWN, b"")
    assert reader.encoded == before
    assert matcher.match(index, Conversation((), "", in_tool_loop=False, prompt_tokens=0)).best is None


@pytest.mark.parametrize(
    "tasks",
    [
        (CODE,),
        (Task("a", "Write code."), Task("b", "Write code.")),
        (Task("coding", ""), Task("math", "")),
        (Task("---", ""), CODE),
        tuple(Task(f"task-{number}", f"Thing number {number}") for number in range(100)),
    ],
    ids=["one", "twins", "no description", "no words", "a hundred"],
)
def test_every_router_gives_a_decision(matcher: Matcher, tasks: tuple[Task, ...]) -> None:
    found = match(matcher, "write a function " * 5_000, TaskSet("d", tasks))
    assert found.best in {each.slug for each in tasks}
    assert 0 <= found.score <= 1
    assert (found.runner_up is None) == (len(tasks) == 1)


def test_weighing_reads_the_last_turn(matcher: Matcher) -> None:
    figures, features = matcher.weigh(asked("hello", "write a program"))
    assert figures.output_tokens > 0
    assert features == match(matcher, "write a program").features


def test_an_index_tells_what_it_has_to_read(matcher: Matcher) -> None:
    unread = matcher.unread(TASKS)
    assert ("give my money back", PROMPT_TOKENS) in unread
    matcher.read(unread)
    assert matcher.unread(TASKS) == []


def test_a_follow_up_keeps_the_task(matcher: Matcher) -> None:
    index = matcher.index(TASKS)
    talk = (Turn("user", "i want my money back"), Turn("assistant", "Which thing?"), Turn("user", "the blue one"))
    alone = matcher.match(index, asked("the blue one"))
    found = matcher.match(index, Conversation(talk, "", in_tool_loop=False, prompt_tokens=0))
    assert found.best == "refund"
    assert found.score >= alone.score
    assert matcher.match(index, Conversation(talk[1:2], "", in_tool_loop=False, prompt_tokens=0)).best is None


def test_what_is_not_kept_is_read_as_far_as_there_is_time(reader: WordReader) -> None:
    turns = [Turn("user" if place % 2 == 0 else "assistant", f"{place} " + "word " * 30) for place in range(15)]
    vectors = Vectors(reader)
    first = read_turns(turns, vectors)
    assert first is not None
    assert len(first.vectors) == 1 + MOST_NEW_TOKENS // (TOKENS_EACH + OLDER_TOKENS)
    seen = reader.encoded
    again = read_turns(turns, vectors)
    assert again is not None
    assert len(again.vectors) > len(first.vectors)
    assert reader.encoded - seen <= MOST_NEW_TOKENS // (TOKENS_EACH + OLDER_TOKENS)
    warm = Vectors(reader)
    lengths: list[int] = []
    for end in range(1, 16, 2):
        read = read_turns(turns[:end], warm)
        assert read is not None
        lengths.append(len(read.vectors))
    assert lengths == list(range(1, 16, 2))


def test_the_opening_is_read_before_the_middle(reader: WordReader) -> None:
    turns = [Turn("user", f"{place} " + "word " * 30) for place in range(6)]
    vectors = Vectors(reader)
    read_turns(turns, vectors)
    kept = [vectors.kept(each.text, OLDER_TOKENS) is not None for each in turns[:-1]]
    assert kept == [True, False, False, False, True]


def test_following_over_turns() -> None:
    scores = np.array([[0.5, 0.1], [0.1, 0.12], [0.1, 0.12]])
    assert followed(scores, (True, False, True)).argmax() == 0
    assert followed(np.array([[0.5, 0.1], [0.1, 0.6]]), (True, True)).argmax() == 1
    assert fitting(np.array([0.9, 0.99, 0.1]), (True, False, True)) == pytest.approx(0.9 * 0.97)


def test_vectors_are_bounded_and_the_oldest_goes(reader: WordReader) -> None:
    vectors = Vectors(reader, entries=3)
    for text in ("a", "b", "c"):
        vectors.of(text, 48)
    vectors.of("a", 48)
    vectors.of("d", 48)
    assert len(vectors) == 3
    assert vectors.kept("b", 48) is None
    assert vectors.kept("a", 48) is not None
    assert vectors.kept("a", 24) is None
    assert vectors.of_all([], 48).shape == (0, WHOLE)


def test_several_threads_decide_as_one_does(matcher: Matcher) -> None:
    index = matcher.index(TASKS)
    talks = [asked("money back", f"thing {number % 7}", f"write {number % 5}") for number in range(60)]
    alone = [matcher.match(index, each) for each in talks]
    with ThreadPoolExecutor(8) as pool:
        decided = [pool.submit(matcher.match, index, each) for each in talks]
        assert [each.result() for each in decided] == alone


def test_a_background_is_made_once_and_again_when_it_is_damaged(
    library: Library, reader: WordReader, tmp_path: Path
) -> None:
    made = make_background(library, Vectors(reader))
    path = background_path(tmp_path, library, "encoder-1")
    assert path != background_path(tmp_path, library, "encoder-2")
    assert read_background(path, library) is None
    write_background(path, made)
    kept = read_background(path, library)
    assert kept is not None
    assert all(np.array_equal(getattr(kept, name), getattr(made, name)) for name in ("prompts", "tasks", "adapter"))
    assert np.array_equal(make_background(library, Vectors(reader)).adapter, made.adapter)
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    whole = path.read_bytes()
    for damaged in (b"", b"PK", whole[: len(whole) // 2], b"\x00" * 100):
        path.write_bytes(damaged)
        assert read_background(path, library) is None
    for wrong in (
        {"prompts": made.prompts[1:]},
        {"adapter": np.full_like(made.adapter, np.nan)},
        {"tasks": np.zeros(1)},
    ):
        parts = {"prompts": made.prompts, "tasks": made.tasks, "adapter": made.adapter} | wrong
        np.savez(path, allow_pickle=False, **parts)
        assert read_background(path, library) is None
    np.savez(path, prompts=made.prompts)
    assert read_background(path, library) is None


def test_a_matcher_opens_on_a_home_that_cannot_be_written(reader: WordReader, tmp_path: Path) -> None:
    (tmp_path / "encoders").write_text("a file where a folder should be")
    found = match(open_matcher(reader, tmp_path, "encoder"), "write a program")
    assert found.best == "write_code"


def test_the_second_opening_encodes_nothing(reader: WordReader, tmp_path: Path) -> None:
    first = match(open_matcher(reader, tmp_path, "encoder"), "write a program")
    other = WordReader()
    again = open_matcher(other, tmp_path, "encoder")
    assert other.encoded == 0
    assert match(again, "write a program") == first


def test_texts() -> None:
    assert in_words("card_arrival") == in_words("cardArrival") == "card arrival"
    assert phrasings(Task("a-b", "")) == ("a b",)
    assert phrasings(Task("a-b", "One. Two! Three? Four.")) == (
        *("a b", "One. Two! Three? Four.", "a b: One. Two! Three? Four.", "One.", "Two!", "Three?"),
    )
    assert is_readable("日本") and is_readable("7") and not is_readable("—?")
    assert cut([1, 3, 4, 5, 2], 3) == [1, 3, 2]
    assert cut([1, 3, 2], 3) == [1, 3, 2]


def test_grams() -> None:
    assert grams_of("").shape == (PLACES,)
    assert not grams_of("…").any()
    assert float(grams_of("refund my order") @ grams_of("refund of an order")) > 0.3
    assert abs(float(grams_of("refund my order") @ grams_of("weather in Lisbon"))) < 0.3
    assert np.linalg.norm(grams_of("日本語 \ud800")) == pytest.approx(1.0)


def test_numpys_own_threads_are_kept_out_where_it_can_be_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert isinstance(single_thread.compute_in_one_thread(), bool)
    (tmp_path / "numpy.libs").mkdir()
    (tmp_path / "numpy.libs" / "libopenblas.so").write_bytes(b"no library")
    monkeypatch.setattr(single_thread.np, "__file__", str(tmp_path / "numpy" / "__init__.py"))
    assert single_thread.compute_in_one_thread() is False


def test_arrays() -> None:
    assert [each.tolist() for each in top_two(np.array([[3.0, 1.0, 2.0]]))] == [[3.0], [1.0]]
    assert lead_of(np.array([[3.0, 1.0, 2.5]])).tolist() == [[0.5, -2.0, -0.5]]
    assert lead_of(np.array([[3.0]])).tolist() == [[3.0]]
    vector = unit(np.arange(WHOLE, dtype=np.float32))
    assert unpacked(packed(vector)) == pytest.approx(vector, abs=1e-3)
    assert unpacked(b"x") is None
    assert meaning(vector).shape == (384,)


def test_buckets_and_what_lies_beyond_the_fit() -> None:
    assert [bucket_of(each) for each in (0, 1, 2, 3, 40)] == ["0", "1-2", "1-2", "3+", "3+"]
    calibration = read_calibration(shipped_text("calibration.json"))
    rows = np.full((3, len(WITH_SEVERAL)), 1e6, np.float32)
    found = calibration.probabilities(rows, np.array([0, 1, 5]))
    assert found == pytest.approx(calibration.probabilities(rows * 10, np.array([0, 1, 5])))
    assert ((found >= 0) & (found <= 1)).all()


def test_features_are_finite(library: Library, reader: WordReader, matcher: Matcher) -> None:
    vectors = Vectors(reader)
    made = make_background(library, vectors)
    tasks: Sequence[TaskSet] = (TASKS, TaskSet("e", (CODE,)), TaskSet("f", (Task("---", ""),)))
    for each in tasks:
        found = scored(matcher.index(each), made, vectors.of_all(["money", "x"], PROMPT_TOKENS))
        assert np.isfinite(found.features).all()
        assert found.features.shape == (2, len(WITH_SEVERAL))
