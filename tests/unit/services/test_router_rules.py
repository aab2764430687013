"""What a router may be: everything that can be wrong is told with its place and with what was meant."""

from __future__ import annotations

from dataclasses import replace

import pytest

from headrace.domain.alias import Alias
from headrace.domain.catalog import AVAILABLE, Listed, ModelKind
from headrace.domain.errors import Conflict, InvalidRequest
from headrace.domain.router import Policy, Preference, Router, Task
from headrace.domain.router_draft import PolicyDraft, RouterDraft
from headrace.domain.snapshot import Snapshot
from headrace.services.router_rules import check_content, check_draft, router_of
from tests.fakes.nouns import PROVIDER, a_model, a_price
from tests.fakes.routers import GENERAL, PRESETS, SUPPORT

KINDS = {"one": ModelKind.CHAT, "two": ModelKind.CHAT, "vectors": ModelKind.EMBEDDING}
MODELS = {name: (Listed(a_model(name, kind=kind), a_price(), AVAILABLE),) for name, kind in KINDS.items()}
POINTS = {
    "daily": "one",
    "gone": "no-more",
    "search": "vectors",
    "desk": "router:support",
    "me": "router:mine",
    "auto": "inference-router",
}
ALIASES = {name: Alias(name, points_to, (), 1, 1) for name, points_to in POINTS.items()}
SNAPSHOT = Snapshot(
    1,
    MODELS,
    {"acme": PROVIDER},
    {},
    ALIASES,
    routers={"support": SUPPORT, "general": GENERAL.router},
    presets=PRESETS,
)
REFUND = Task("refund", "Customer wants money back.", ("I want a refund.",))
GOOD = RouterDraft("mine", (PolicyDraft(("one",), custom_task=REFUND),), ("two",))


def with_task(task: Task | None = None, slug: str | None = None, examples: tuple[str, ...] = ()) -> RouterDraft:
    return replace(GOOD, policies=(PolicyDraft(("one",), slug, task, examples),))


def with_pool(*models: str) -> RouterDraft:
    return replace(GOOD, policies=(PolicyDraft(models, custom_task=REFUND),))


def with_examples(*examples: str) -> RouterDraft:
    return with_task(replace(REFUND, examples=examples))


def said_of(draft: RouterDraft) -> tuple[str, str, str | None]:
    with pytest.raises((InvalidRequest, Conflict)) as caught:
        check_draft(draft, SNAPSHOT)
    return caught.value.message, caught.value.code, caught.value.param


@pytest.mark.parametrize(
    "draft",
    [
        GOOD,
        replace(GOOD, name="a" * 255, description="x" * 4_000, min_score=0, max_cost_nano=0),
        replace(GOOD, name="-0-", min_score=1.0),
        with_task(slug="bug-fixing", examples=("Why?",)),
        with_pool("daily", "one", "two", "gone"),
        with_task(Task("Refund / dispute?", "x" * 4_000, ("y" * 4_000,) * 50)),
        replace(GOOD, policies=tuple(PolicyDraft(("one",), custom_task=Task(f"t{n}", "d")) for n in range(200))),
        replace(GOOD, policies=(*GOOD.policies, PolicyDraft(("one",), "summarization"))),
    ],
)
def test_what_can_be_is_silent(draft: RouterDraft) -> None:
    check_draft(draft, SNAPSHOT)


@pytest.mark.parametrize(
    ("name", "said", "code"),
    [
        (None, "name is required", "invalid_request"),
        ("", "name is required", "invalid_request"),
        ("Support", '"name" must be 1 to 255 of a-z, 0-9 and hyphen, not "Support".', "invalid_request"),
        ("a_b", "must be 1 to 255", "invalid_request"),
        ("a\n", "must be 1 to 255", "invalid_request"),
        ("a" * 256, "must be 1 to 255", "invalid_request"),
        ("general", '"general" is a router of the catalog; choose another name.', "router_exists"),
        ("inference-router", '"inference-router" is a router of the catalog; choose another name.', "router_exists"),
        ("support", f'A router named "support" exists already: {SUPPORT.uuid}.', "router_exists"),
    ],
)
def test_a_name_that_cannot_be_is_told(name: str | None, said: str, code: str) -> None:
    message, found, param = said_of(replace(GOOD, name=name))
    assert said in message
    assert (found, param) == (code, "name")


def test_a_router_may_keep_its_own_name() -> None:
    check_draft(replace(GOOD, name="support"), SNAPSHOT, SUPPORT)
    with pytest.raises(Conflict):
        check_draft(replace(GOOD, name="support"), SNAPSHOT, replace(SUPPORT, uuid="another"))


@pytest.mark.parametrize(
    ("draft", "said", "param"),
    [
        (with_task(), "policy 0 task is required", "policies[0]"),
        (with_task(REFUND, "bug-fixing"), "policy 0 has both task_slug and custom_task", "policies[0]"),
        (
            with_task(REFUND, examples=("x",)),
            "put them into custom_task.examples",
            "policies[0].examples",
        ),
        (with_task(replace(REFUND, slug="")), '"policies[0].custom_task.name" must be', "policies[0].custom_task.name"),
        (with_task(replace(REFUND, slug="é")), "it stands in a header", "policies[0].custom_task.name"),
        (with_task(replace(REFUND, slug="a  b")), "it stands in a header", "policies[0].custom_task.name"),
        (with_task(replace(REFUND, slug="a\r\nb")), "it stands in a header", "policies[0].custom_task.name"),
        (with_task(replace(REFUND, slug="a" * 129)), "must be 1 to 128", "policies[0].custom_task.name"),
        (
            with_task(replace(REFUND, description=" ")),
            '"policies[0].custom_task.description" is required',
            "policies[0].custom_task.description",
        ),
        (
            with_task(replace(REFUND, description="x" * 4_001)),
            "has 4001 characters; at most 4000 are taken.",
            "policies[0].custom_task.description",
        ),
        (with_examples(*"x" * 51), "has 51 examples; at most 50", "policies[0].custom_task.examples"),
        (with_examples("x", " \n"), "is empty: leave it out.", "policies[0].custom_task.examples[1]"),
        (with_examples("x" * 4_001), "has 4001 characters", "policies[0].custom_task.examples[0]"),
        (with_task(slug="bug-fixing", examples=("",)), "is empty", "policies[0].examples[0]"),
        (with_pool(), "policy 0 models is required: name at least one model.", "policies[0].models"),
        (with_pool(*(f"m{n}" for n in range(51))), "has 51 models; at most 50", "policies[0].models"),
        (with_pool("one", "two", "one"), '"one" stands twice in "policies[0].models"', "policies[0].models[2]"),
        (replace(GOOD, policies=()), "policies is required", "policies"),
        (replace(GOOD, policies=GOOD.policies * 201), "A router has at most 200 policies, not 201.", "policies"),
        (replace(GOOD, fallbacks=()), "At least one fallback model is required", "fallback_models"),
        (replace(GOOD, fallbacks=("",)), "At least one fallback model is required", "fallback_models"),
        (replace(GOOD, fallbacks=("one", "one")), '"one" stands twice in "fallback_models"', "fallback_models[1]"),
        (replace(GOOD, description="x" * 4_001), '"description" has 4001 characters', "description"),
        (replace(GOOD, min_score=1.01), '"min_score" must be from 0 to 1, not 1.01.', "min_score"),
        (replace(GOOD, min_score=-0.1), '"min_score" must be from 0 to 1', "min_score"),
        (replace(GOOD, min_score=float("nan")), '"min_score" must be from 0 to 1', "min_score"),
    ],
)
def test_what_cannot_be_is_told_with_its_place(draft: RouterDraft, said: str, param: str) -> None:
    message, code, found = said_of(draft)
    assert said in message
    assert (code, found) == ("invalid_request", param)


@pytest.mark.parametrize(
    ("draft", "said", "code", "param"),
    [
        (
            with_pool("one", "ones"),
            'No model named "ones" (policies[0].models[1]). Did you mean "one"?',
            "model_not_found",
            "policies[0].models[1]",
        ),
        (
            replace(GOOD, fallbacks=("two", "???")),
            'No model named "???" (fallback_models[1]). `headrace models --all` lists them.',
            "model_not_found",
            "fallback_models[1]",
        ),
        (
            with_pool("vectors"),
            '"vectors" (policies[0].models[0]) is a model for embedding, not for chat',
            "wrong_model_kind",
            "policies[0].models[0]",
        ),
        (
            with_pool("search"),
            '"search" (policies[0].models[0]) is a model for embedding',
            "wrong_model_kind",
            "policies[0].models[0]",
        ),
        (
            with_task(slug="bug-fixin"),
            'No task of the catalog has the slug "bug-fixin" (policies[0].task_slug). Did you mean "bug-fixing"?',
            "task_not_found",
            "policies[0].task_slug",
        ),
        (
            with_task(slug="xyz"),
            "`headrace routers tasks` lists them.",
            "task_not_found",
            "policies[0].task_slug",
        ),
        (
            replace(GOOD, policies=(*GOOD.policies, PolicyDraft(("two",), custom_task=replace(REFUND, slug="Refund")))),
            'policy 1 has the task "Refund" of policy 0 again',
            "task_duplicate",
            "policies[1]",
        ),
        (
            replace(GOOD, policies=(PolicyDraft(("two",), "bug-fixing"),) * 2),
            'policy 1 has the task "bug-fixing" of policy 0 again',
            "task_duplicate",
            "policies[1]",
        ),
    ],
)
def test_unknown_and_doubled_names_are_told(draft: RouterDraft, said: str, code: str, param: str) -> None:
    message, found, place = said_of(draft)
    assert said in message
    assert (found, place) == (code, param)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("router:support", '"router:support" (policies[0].models[1]) is a router: '),
        ("router:nobody", '"router:nobody" (policies[0].models[1]) is a router: '),
        ("inference-router", '"inference-router" (policies[0].models[1]) is a router: '),
        ("desk", '"desk" (policies[0].models[1]) is an alias that points at the router, "router:support": '),
        ("auto", '"auto" (policies[0].models[1]) is an alias that points at the router, "inference-router": '),
        ("me", '"me" (policies[0].models[1]) is an alias that points at the router itself, "router:mine": '),
    ],
)
def test_a_router_sends_no_request_to_a_router(name: str, said: str) -> None:
    message, code, param = said_of(with_pool("one", name))
    assert message.startswith(said)
    assert (code, param) == ("router_in_router", "policies[0].models[1]")
    message, code, param = said_of(replace(GOOD, fallbacks=(name,)))
    assert message.startswith(said.replace("policies[0].models[1]", "fallback_models[0]"))
    assert (code, param) == ("router_in_router", "fallback_models[0]")


def test_a_draft_without_a_name_can_be_checked_too() -> None:
    check_content(replace(GOOD, name=None), SNAPSHOT)


def test_a_draft_becomes_a_router() -> None:
    draft = replace(
        GOOD,
        policies=(*GOOD.policies, PolicyDraft(("one",), "bug-fixing", None, ("Why?",), Preference.CHEAPEST)),
        description="Desk",
        min_score=0.5,
        max_cost_nano=7,
    )
    assert router_of(draft, "u-1", 5, 6) == Router(
        "u-1",
        "mine",
        "Desk",
        (
            Policy(REFUND, ("one",)),
            Policy(Task("bug-fixing", "", ("Why?",), preset=True), ("one",), Preference.CHEAPEST),
        ),
        ("two",),
        0.5,
        7,
        5,
        6,
    )
