"""The prompts that routing is measured with have the form that tests/data/routing/README.md describes."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "data/routing"
LANGUAGES = ("en", "de", "fr", "es", "pt", "it", "nl", "pl", "tr", "ja", "zh")


def rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (FOLDER / name).read_text(encoding="utf-8").splitlines()]


TASKS = [each["task"] for each in rows("languages-tasks.jsonl")]
PROMPTS = rows("languages.jsonl")


def test_eight_tasks_are_described() -> None:
    assert len(set(TASKS)) == 8
    assert all(each.keys() == {"task", "name", "description"} for each in rows("languages-tasks.jsonl"))


def test_each_language_has_four_prompts_of_each_task_and_six_that_fit_none() -> None:
    assert Counter((each["language"], each["task"]) for each in PROMPTS) == {
        (language, task): 6 if task is None else 4 for language in LANGUAGES for task in (*TASKS, None)
    }


def test_each_prompt_translates_one_of_english_with_the_same_task() -> None:
    english = {each["id"]: each for each in PROMPTS if each["language"] == "en"}
    assert len({each["id"] for each in PROMPTS}) == len(PROMPTS)
    for each in PROMPTS:
        original = english[each["original"]]
        assert each["id"].removeprefix(each["language"]) == original["id"].removeprefix("en")
        assert each["task"] == original["task"]
        assert (each["text"] == original["text"]) is (each["language"] == "en")


def test_sixty_prompts_have_a_paraphrase_and_typing_errors() -> None:
    found = rows("robustness.jsonl")
    assert len(found) == 60
    assert set(Counter(each["task"] for each in found).values()) == {7, 8}
    english = {each["id"].removeprefix("en-"): each["text"] for each in PROMPTS if each["language"] == "en"}
    for each in found:
        assert len({each["text"], each["paraphrase"], each["typos"]}) == 3
        assert english.get(each["id"], each["text"]) == each["text"]


def test_three_prompts_of_each_shipped_task_are_none_of_its_examples() -> None:
    assert set(Counter(each["task"] for each in rows("presets.jsonl")).values()) == {3}
