"""Task sets: the catalog's words, the operator's examples and corrections, and a digest that tells them apart."""

from __future__ import annotations

from dataclasses import replace

from headrace.domain.router import Correction, Policy, Presets, Task
from headrace.domain.routing import TaskSet
from headrace.services.router_tasks import in_words, routers_by_name, task_set, task_sets
from tests.fakes.routers import GENERAL, PRESETS, SUPPORT

BUGS = Task("bug-fixing", "", ("It crashes.",), preset=True)
MIXED = replace(SUPPORT, policies=(*SUPPORT.policies, Policy(BUGS, ("tiny",))))
CORRECTION = Correction(SUPPORT.uuid, "refund", "req_1", b"\x00\x01", 1)


def digest_of(found: TaskSet) -> str:
    return found.digest


def test_a_task_of_the_catalog_has_its_words_and_both_kinds_of_examples() -> None:
    assert in_words(BUGS, PRESETS) == Task(
        "bug-fixing",
        "Bug fixing. Finding and repairing what is wrong in a program.",
        ("Why does this raise?", "It crashes."),
        preset=True,
    )
    own = SUPPORT.policies[0].task
    assert in_words(own, PRESETS) is own


def test_a_task_that_the_catalog_has_no_more_is_described_by_its_slug() -> None:
    assert in_words(BUGS, Presets()) == replace(BUGS, description="bug fixing")


def test_corrections_belong_to_one_router_and_to_the_tasks_that_it_has() -> None:
    others = (replace(CORRECTION, router_uuid="other"), replace(CORRECTION, slug="gone", request_id="req_2"))
    sets = task_sets({"support": SUPPORT, "general": GENERAL.router}, PRESETS, (CORRECTION, *others))
    assert sets["support"].corrections == (("refund", b"\x00\x01"),)
    assert sets["general"].corrections == ()
    assert [each.slug for each in sets["general"].tasks] == ["summarization"]


def test_the_digest_names_words_examples_and_corrections_only() -> None:
    first = task_set(MIXED, PRESETS)
    assert task_set(replace(MIXED, uuid="x", name="y", fallbacks=("z",), min_score=0.1), PRESETS).digest == first.digest
    [own, bugs] = MIXED.policies
    changed = (
        task_set(MIXED, PRESETS, (CORRECTION,)),
        task_set(MIXED, PRESETS, (replace(CORRECTION, features=b"\x01\x00"),)),
        task_set(MIXED, Presets()),
        task_set(replace(MIXED, policies=(bugs, own)), PRESETS),
        task_set(replace(MIXED, policies=(own,)), PRESETS),
        task_set(replace(MIXED, policies=(replace(own, task=replace(own.task, slug="r")), bugs)), PRESETS),
        task_set(replace(MIXED, policies=(replace(own, task=replace(own.task, description="r")), bugs)), PRESETS),
        task_set(replace(MIXED, policies=(replace(own, task=replace(own.task, examples=())), bugs)), PRESETS),
    )
    digests = {first.digest, *map(digest_of, changed)}
    assert len(digests) == len(changed) + 1


def test_a_stored_router_goes_before_a_preset_that_came_later() -> None:
    own = replace(SUPPORT, name="general")
    assert routers_by_name((own,), PRESETS) == {"general": own}
    assert routers_by_name((SUPPORT,), PRESETS) == {"support": SUPPORT, "general": GENERAL.router}
