"""What the shipped presets offer: the public tasks and routers, by models that exist, whatever is live."""

import json
import re
from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path

import pytest

from headrace.app.adapters import ADAPTERS
from headrace.domain.candidate import Habits
from headrace.domain.catalog import Model, ModelKind
from headrace.domain.router import Preference, PresetRouter, PresetTask
from headrace.domain.snapshot import Snapshot
from headrace.drivers.catalogs.files import shipped_files
from headrace.drivers.catalogs.presets import PresetFiles
from headrace.services.availability import Surroundings
from headrace.services.catalog import build_catalog
from headrace.services.choosing import Asked, sift
from headrace.services.snapshots import compile_snapshot
from tests.fakes.nouns import a_call, a_credential

TODAY = "2026-11-25"
IN_SIX_WEEKS = "2027-01-06"
DATA = Path(__file__).parents[1] / "data/routing"
CATALOG = build_catalog(shipped_files(), ADAPTERS)
PRESETS = PresetFiles(None).read()
TASKS = list(PRESETS.tasks.values())
ROUTERS = list(PRESETS.routers.values())
EMBEDDED = ("qwen2.5-coder-1.5b", "qwen2.5-coder-0.5b", "smollm2-135m")
# The groups of the public documents, each of which is a preset router too.
GROUPS: Mapping[str, tuple[str, ...]] = {
    "general": (
        "brainstorming-ideation", "classification-labeling", "opinion-advice-recommendation",
        "planning-task-decomposition", "summarization", "text-extraction-structured-output", "translation",
    ),
    "writing": (
        "creative-writing", "email-professional-communication-drafting", "long-form-article-blog-writing",
        "rewriting-editing", "social-media-short-form-content",
    ),
    "software-engineering": (
        "bug-fixing", "code-completion-inline", "code-generation", "code-performance-optimization",
        "test-writing-code-verification",
    ),
    "knowledge-base-document": (
        "knowledge-base-customer-support", "long-context-retrieval-aggregation", "long-document-qa",
        "rag-system-quality-evaluation", "retrieval-quality-cross-domain-ir", "text-and-table-grounded-reasoning",
    ),
}  # fmt: skip
CHAT_PROVIDERS = sorted(
    {
        each.provider
        for entries in CATALOG.models.values()
        for each in entries
        if each.kind is ModelKind.CHAT and each.local is None
    }
)


def entries(name: str) -> tuple[Model, ...]:
    return CATALOG.models[name]


def slug(preset: PresetTask | PresetRouter) -> str:
    return preset.slug


def test_the_public_tasks_and_routers_are_there_and_no_others() -> None:
    assert set(PRESETS.tasks) == {slug for slugs in GROUPS.values() for slug in slugs}
    for name, slugs in GROUPS.items():
        assert tuple(each.task.slug for each in PRESETS.routers[name].router.policies) == slugs
        assert len({PRESETS.tasks[each].category for each in slugs}) == 1
    assert set(PRESETS.routers) == set(GROUPS)


@pytest.mark.parametrize("task", TASKS, ids=slug)
def test_a_task_says_what_it_is_in_one_or_two_sentences_and_by_examples(task: PresetTask) -> None:
    assert 1 <= len(re.findall(r"\.(?: |$)", task.description)) <= 2
    assert 6 <= len(task.examples) <= 8
    assert len(set(task.examples)) == len(task.examples)
    assert task.tags


def test_no_example_is_an_example_of_two_tasks_or_a_prompt_that_is_measured_with() -> None:
    examples = [example for task in TASKS for example in task.examples]
    assert len(set(examples)) == len(examples)
    measured = {text for path in DATA.glob("*.jsonl") for line in path.read_text().splitlines() for text in texts(line)}
    assert not measured & set(examples)


def texts(line: str) -> list[str]:
    row = json.loads(line)
    return [row[key] for key in ("text", "paraphrase", "typos") if key in row]


@pytest.mark.parametrize("preset", ROUTERS, ids=slug)
def test_every_model_of_a_router_is_a_chat_model_of_the_catalog_that_stays(preset: PresetRouter) -> None:
    for name in preset.router.named_models:
        assert name in CATALOG.models
        staying = [each for each in entries(name) if each.retired_on is None or each.retired_on > IN_SIX_WEEKS]
        assert [each for each in staying if each.price_on(TODAY) is not None]
        assert {each.kind for each in entries(name)} == {ModelKind.CHAT}


@pytest.mark.parametrize("task", TASKS, ids=slug)
def test_embedded_models_come_last_and_never_where_price_or_speed_would_put_them_first(task: PresetTask) -> None:
    is_local = [any(each.local is not None for each in entries(name)) for name in task.models]
    assert len(list(groupby(is_local))) == (1 if task.prefer else 2)
    assert is_local[-1] is (task.prefer is None)
    assert is_local[0] is False
    assert task.prefer is not Preference.NONE


def sifted(names: Iterable[str], snapshot: Snapshot) -> tuple[set[str], dict[str, str]]:
    """The models that can serve a call, and what is said of the others."""
    asked = Asked(a_call(), 300.0, habits=lambda target, tokens: Habits(), warm_tokens=lambda target: 0)
    found = sift(names, asked, snapshot)
    can = {each.target.model.id for each in found.candidates}
    return can, {each.model_id: each.problem.message for each in found.left_out if each.model_id not in can}


def snapshot_of(pulled: str | None, live: str | None = None) -> Snapshot:
    """What is known with the weights of one model here and one provider's key given, or neither."""
    models = () if pulled is None else entries(pulled)
    here = {file.sha256 for each in models if each.local for file in each.local.weights}
    around = Surroundings(TODAY, lambda file: file.sha256 in here)
    return compile_snapshot(1, CATALOG, (), around, lambda provider: (a_credential(),) if provider.name == live else ())


@pytest.mark.parametrize("preset", ROUTERS, ids=slug)
@pytest.mark.parametrize("pulled", EMBEDDED)
def test_one_embedded_model_alone_serves_every_router_and_the_rest_say_what_they_lack(
    preset: PresetRouter, pulled: str
) -> None:
    can, others = sifted(preset.router.fallbacks, snapshot_of(pulled))
    assert can == {pulled}
    assert set(others) == set(preset.router.fallbacks) - can
    assert all("headrace providers set-key" in each or "headrace models pull" in each for each in others.values())


@pytest.mark.parametrize("preset", ROUTERS, ids=slug)
@pytest.mark.parametrize("live", CHAT_PROVIDERS)
def test_one_provider_s_key_alone_serves_every_task_of_every_router(preset: PresetRouter, live: str) -> None:
    snapshot = snapshot_of(None, live)
    for policy in preset.router.policies:
        assert sifted(policy.models, snapshot)[0]
    assert sifted(preset.router.fallbacks, snapshot)[0]


def test_the_fallbacks_end_with_the_embedded_models_the_better_ones_first() -> None:
    assert {each.router.fallbacks[-len(EMBEDDED) :] for each in ROUTERS} == {EMBEDDED}
