"""Measures matching and writes docs/routing-quality.md: `make bench-routing ARGS="--data DIR"`.

Deciding is the product's own code on the real encoder; coefficients are fitted without what is scored.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.routing import page
from benchmarks.routing.baselines import baselines, judged
from benchmarks.routing.calibrate import SHOTS
from benchmarks.routing.data import Case, read_cases, read_dialogues, rows_of
from benchmarks.routing.dial import SETS
from benchmarks.routing.dial import measured as measured_dial
from benchmarks.routing.dialogues import Decided, Services, decide
from benchmarks.routing.figures import Judged, best_threshold
from benchmarks.routing.fit import COLUMNS, Outcome, left_out
from benchmarks.routing.reading import many_vectors, open_reader
from benchmarks.routing.scoring import outcomes, shipped_background
from headrace.domain.conversation import Conversation, Turn
from headrace.domain.router import Task
from headrace.domain.routing import Match, TaskSet
from headrace.drivers.scorers.background import Background
from headrace.drivers.scorers.calibration import FILE as CALIBRATION
from headrace.drivers.scorers.calibration import bucket_of, read_calibration
from headrace.drivers.scorers.difficulty import FILE as DIFFICULTY
from headrace.drivers.scorers.difficulty import read_difficulty
from headrace.drivers.scorers.library import shipped, shipped_text
from headrace.drivers.scorers.matcher import Matcher
from headrace.drivers.scorers.vectors import Vectors

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "routing-quality.md"
OWN_DATA = ROOT / "tests" / "data" / "routing"
SHOWN_SHOTS = (0, 1, 5, 20)
FOLDS = 7


def main(arguments: Sequence[str]) -> int:
    """Measure and write the page; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.routing", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with task-matching/ and cost-quality/")
    parser.add_argument("--home", type=Path, default=Path("~/.headrace"), help="home with the encoder's weights")
    parser.add_argument("--out", type=Path, default=PAGE)
    given = parser.parse_args(arguments)
    reader = open_reader(given.home.expanduser())
    vectors = many_vectors(reader)
    background = shipped_background(vectors)
    cases = read_cases(given.data)
    matcher = _matchers(vectors, background)
    measured = (
        lambda: page.matching(*_matching(cases, vectors, background)),
        lambda: page.dialogues(_dialogues(given.data, matcher)),
        lambda: page.robustness(_robustness(matcher())),
        lambda: page.languages(_languages(matcher())),
        lambda: page.against(_against(cases, vectors, background)),
        lambda: page.dial([line for name in SETS for line in measured_dial(given.data / "cost-quality" / name)]),
    )
    parts: list[str] = []
    for part in measured:
        parts.append(part())
        reader.save()
    page.write(given.out, parts)
    return 0


def _matchers(vectors: Vectors, background: Background) -> Callable[[], Matcher]:
    calibration, difficulty = read_calibration(shipped_text(CALIBRATION)), read_difficulty(shipped(DIFFICULTY))
    return lambda: Matcher(vectors, background, calibration, difficulty)


def _matching(
    cases: Sequence[Case], vectors: Vectors, background: Background
) -> tuple[Mapping[int, Sequence[Judged]], Mapping[int, Sequence[Judged]]]:
    """Return the judged routers by shots, by coefficients of other routers, and by those of other data sets."""
    fold = {each.name: str(number % FOLDS) for number, each in enumerate(cases)}
    every = sorted({*SHOWN_SHOTS, *(each for shots in SHOTS.values() for each in shots)})
    by_shots = {each: outcomes(cases, each, vectors, background) for each in every}
    in_family = {each: _cross_validated(by_shots, each, lambda case: fold[case.name]) for each in SHOWN_SHOTS}
    new_family = {each: _cross_validated(by_shots, each, lambda case: case.dataset) for each in SHOWN_SHOTS}
    return in_family, new_family


def _cross_validated(by_shots: Mapping[int, list[Outcome]], shots: int, group: Callable[[Case], str]) -> list[Judged]:
    bucket = bucket_of(shots)
    fits = left_out([each for fitted in SHOTS[bucket] for each in by_shots[fitted]], COLUMNS[bucket], group)
    return [
        Judged(each.case, each.is_right, fits[group(each.case)].probabilities(each.scored.features))
        for each in by_shots[shots]
    ]


def _against(
    cases: Sequence[Case], vectors: Vectors, background: Background
) -> Mapping[str, Mapping[int, Sequence[Judged]]]:
    """Return the baselines by name and shots; each one's threshold is the best of the other data sets."""
    found: dict[str, dict[int, Sequence[Judged]]] = {}
    for name, scores in baselines(vectors, background).items():
        for shots in (0, 5):
            all_judged = [judged(case, scores(case, tasks)) for case in cases if (tasks := case.shown(shots))]
            found.setdefault(name, {})[shots] = [
                Judged(each.case, each.is_right, each.score, best_threshold(_others(all_judged, each)))
                for each in all_judged
            ]
    nobody = [Judged(case, np.zeros(len(case.right), np.bool_), np.zeros(len(case.right)), 1.0) for case in cases]
    return {"always abstains": {0: nobody, 5: nobody}, **found}


def _others(all_judged: Sequence[Judged], one: Judged) -> Sequence[Judged]:
    return [each for each in all_judged if each.case.dataset != one.case.dataset]


def _dialogues(folder: Path, matcher: Callable[[], Matcher]) -> Mapping[str, Sequence[Decided]]:
    dialogues, tasks = read_dialogues(folder)
    services = Services(tasks)
    return {
        "its own services": list(decide(dialogues, lambda each: services.of(services.own(each)), matcher)),
        "services of other topics": list(decide(dialogues, lambda each: services.of(services.others(each)), matcher)),
    }


def _asked(matcher: Matcher, tasks: TaskSet, texts: Sequence[str]) -> list[Match]:
    index = matcher.index(tasks)
    return [
        matcher.match(index, Conversation((Turn("user", each),), "", in_tool_loop=False, prompt_tokens=0))
        for each in texts
    ]


def _own_tasks() -> TaskSet:
    rows = rows_of(OWN_DATA / "languages-tasks.jsonl")
    return TaskSet("", tuple(Task(row["task"], f"{row['name']}. {row['description']}") for row in rows))


def _robustness(matcher: Matcher) -> Mapping[str, Sequence[tuple[str | None, Match]]]:
    rows, tasks = rows_of(OWN_DATA / "robustness.jsonl"), _own_tasks()
    right = [row["task"] for row in rows]
    return {
        name: list(zip(right, _asked(matcher, tasks, [row[name] for row in rows]), strict=True))
        for name in ("text", "paraphrase", "typos")
    }


def _languages(matcher: Matcher) -> Mapping[str, Sequence[tuple[str | None, Match]]]:
    rows, tasks = rows_of(OWN_DATA / "languages.jsonl"), _own_tasks()
    found = zip(rows, _asked(matcher, tasks, [row["text"] for row in rows]), strict=True)
    by_language: dict[str, list[tuple[str | None, Match]]] = {}
    for row, match in found:
        by_language.setdefault(row["language"], []).append((row["task"], match))
    return by_language
