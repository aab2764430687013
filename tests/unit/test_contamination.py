"""The library of kinds of requests: its form, and the check that it holds nothing of a data set."""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from importlib import resources
from pathlib import Path

import numpy as np

from benchmarks.contamination import Contaminated, contaminated, data_texts, library_prompts

PROMPTS = ("Close account!", "book a table", "sing a song")
NORTH, EAST, NEAR_NORTH = (1.0, 0.0), (0.0, 1.0), (0.95, 0.3122)


def test_the_library_has_many_tasks_with_three_prompts_each() -> None:
    file = resources.files("headrace.catalog").joinpath("routing", "library.toml")
    tasks = tomllib.loads(file.read_text("utf-8"))["task"]
    assert len(tasks) >= 300
    assert all(each.keys() == {"name", "description", "prompts"} for each in tasks)
    assert all(each["name"] and each["description"].endswith(".") for each in tasks)
    assert {len(each["prompts"]) for each in tasks} == {3}
    assert max(Counter(each["name"].casefold() for each in tasks).values()) == 1
    prompts = Counter(prompt.casefold() for prompt in library_prompts())
    assert max(prompts.values()) == 1
    assert all(any(map(str.isalnum, each)) for each in prompts)


def test_texts_are_read_from_lines_and_their_turns(tmp_path: Path) -> None:
    (tmp_path / "deeper").mkdir()
    lines = [{"text": "one", "task": "a"}, {"text": "one"}, {"turns": [{"text": "two"}, "x", {"text": 3}]}, {"id": 1}]
    (tmp_path / "deeper" / "train.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    (tmp_path / "notes.txt").write_text("three", encoding="utf-8")
    assert data_texts(tmp_path) == ("one", "two")


def test_the_same_words_and_close_vectors_are_found_and_the_closest_comes_first() -> None:
    vectors = np.array([NORTH, NORTH, EAST], np.float32)
    others = np.array([EAST, NEAR_NORTH], np.float32)
    found = contaminated(PROMPTS, ("SING a song...", "reserve a table"), vectors, others)
    assert [(each.prompt, each.is_same, round(each.cosine, 2)) for each in found] == [
        ("sing a song", True, 1.0),
        ("Close account!", False, 0.95),
        ("book a table", False, 0.95),
    ]


def test_the_same_words_are_found_whatever_their_vector() -> None:
    vectors = np.array([NORTH, NORTH, NORTH], np.float32)
    found = contaminated(PROMPTS, ("close account",), vectors, np.array([EAST], np.float32))
    assert found == (Contaminated("Close account!", 0.0, True),)
