"""Bodies of routers: what is read, what is refused and where, and what is shown."""

from __future__ import annotations

from dataclasses import replace

import pytest

from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.router import Policy, Preference, Task
from headrace.domain.router_draft import PolicyDraft, RouterDraft
from headrace.wire.router_json import draft_object, preset_object, preset_task_object, read_draft, router_object
from tests.fakes.routers import BUG_FIXING, GENERAL, SUMMARY, SUPPORT

REFUND: JsonObject = {"name": "refund", "description": "Money back.", "examples": ["I want it back."]}


def body(**policy: JsonValue) -> JsonObject:
    return {"name": "support", "policies": [{"models": ["a"], **policy}], "fallback_models": ["b"]}


def test_a_whole_body_is_read() -> None:
    policies: list[JsonValue] = [
        {"task_slug": "bug-fixing", "examples": ["Why?"], "models": ["a", "b"], "selection_policy": {"prefer": "none"}},
        {"task_slug": "", "custom_task": REFUND, "models": ["c"]},
    ]
    draft = read_draft(
        {
            "name": "support",
            "description": "Desk",
            "policies": policies,
            "fallback_models": ["b", "a"],
            "regions": ["all"],
            "min_score": 1,
            "max_cost_usd": "0.003",
        }
    )
    assert draft == RouterDraft(
        name="support",
        description="Desk",
        policies=(
            PolicyDraft(("a", "b"), "bug-fixing", None, ("Why?",), Preference.NONE),
            PolicyDraft(("c",), None, Task("refund", "Money back.", ("I want it back.",))),
        ),
        fallbacks=("b", "a"),
        min_score=1,
        max_cost_nano=3_000_000,
    )


def test_what_is_left_out_or_null_is_nothing() -> None:
    nothing: JsonObject = dict.fromkeys(("name", "description", "policies", "fallback_models", "regions"))
    assert read_draft({}) == RouterDraft(None, (), ())
    assert read_draft({**nothing, "min_score": None, "max_cost_usd": None}) == RouterDraft(None, (), ())
    empty: JsonObject = dict.fromkeys(("task_slug", "custom_task", "examples", "models", "selection_policy"))
    assert read_draft({"policies": [empty, {"selection_policy": {"prefer": None}}]}).policies == (PolicyDraft(()),) * 2
    assert read_draft(body(custom_task={})).policies[0].custom_task == Task("", "")


@pytest.mark.parametrize(
    ("given", "nano"),
    [
        ("0.5", 500_000_000),
        (1, 1_000_000_000),
        (0.003, 3_000_000),
        (1e-9, 1),
        (0, 0),
        (0.1, 100_000_000),
        (2.0, 2 * 10**9),
    ],
)
def test_an_amount_is_text_or_a_number(given: JsonValue, nano: int) -> None:
    assert read_draft({"max_cost_usd": given}).max_cost_nano == nano


@pytest.mark.parametrize(
    ("fields", "param", "said"),
    [
        ({"nam": "x"}, "nam", 'The field "nam" is not known. Did you mean "name"? Known are: description'),
        ({"name": 5}, "name", '"name" must be a string, not 5.'),
        ({"regions": ["eu"]}, "regions", '"regions" must be ["all"]: a router is everywhere'),
        ({"policies": {}}, "policies", '"policies" must be a list, not {}.'),
        ({"policies": ["x"]}, "policies[0]", '"policies[0]" must be an object with a task and its models, not "x".'),
        ({"fallback_models": ["a", 1]}, "fallback_models[1]", '"fallback_models[1]" must be a string, not 1.'),
        ({"min_score": True}, "min_score", '"min_score" must be a number from 0 to 1, not true.'),
        ({"min_score": "1"}, "min_score", '"min_score" must be a number from 0 to 1, not "1".'),
        ({"max_cost_usd": True}, "max_cost_usd", '"max_cost_usd" must be US dollars'),
        ({"max_cost_usd": "-1"}, "max_cost_usd", '"max_cost_usd" must be US dollars'),
        ({"max_cost_usd": -0.5}, "max_cost_usd", '"max_cost_usd" must be US dollars'),
        ({"max_cost_usd": 1e-10}, "max_cost_usd", '"max_cost_usd" must be US dollars'),
        ({"max_cost_usd": 1e300}, "max_cost_usd", '"max_cost_usd" must be US dollars'),
        (body(modles=[]), "policies[0].modles", 'The field "policies[0].modles" is not known. Did you mean "models"?'),
        (body(models="a"), "policies[0].models", '"policies[0].models" must be a list, not "a".'),
        (body(models=[None]), "policies[0].models[0]", '"policies[0].models[0]" must be a string, not null.'),
        (body(task_slug=1), "policies[0].task_slug", '"policies[0].task_slug" must be a string'),
        (body(custom_task="x"), "policies[0].custom_task", '"policies[0].custom_task" must be an object with a name'),
        (body(custom_task={"names": 1}), "policies[0].custom_task.names", 'Did you mean "name"?'),
        (body(custom_task={"name": 1}), "policies[0].custom_task.name", "must be a string, not 1."),
        (body(custom_task={"examples": [1]}), "policies[0].custom_task.examples[0]", "must be a string, not 1."),
        (body(selection_policy="x"), "policies[0].selection_policy", 'must be an object like {"prefer": "cheapest"}'),
        (body(selection_policy={"by": 1}), "policies[0].selection_policy.by", "is not known"),
        (
            body(selection_policy={"prefer": "best"}),
            "policies[0].selection_policy.prefer",
            'must be one of "none", "cheapest", "fastest", not "best".',
        ),
        (body(selection_policy={"prefer": 1}), "policies[0].selection_policy.prefer", "must be one of"),
    ],
)
def test_what_is_no_router_is_told_with_its_place(fields: JsonObject, param: str, said: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_draft(fields)
    assert caught.value.param == param
    assert said in caught.value.message


def test_a_router_is_shown_as_the_public_contract_has_it() -> None:
    whole = replace(
        SUPPORT,
        policies=(
            Policy(Task("refund", "Money back."), ("tiny",), Preference.FASTEST),
            Policy(Task("bug-fixing", "", ("Why?",), preset=True), ("tiny", "daily")),
            Policy(Task("summarization", "", preset=True), ("tiny",)),
        ),
        min_score=0.5,
        max_cost_nano=1_500_000_000,
        created_at_micros=1,
    )
    config: JsonObject = {
        "policies": [
            {
                "custom_task": {"name": "refund", "description": "Money back."},
                "models": ["tiny"],
                "selection_policy": {"prefer": "fastest"},
            },
            {"task_slug": "bug-fixing", "examples": ["Why?"], "models": ["tiny", "daily"]},
            {"task_slug": "summarization", "models": ["tiny"]},
        ],
        "fallback_models": ["tiny"],
    }
    assert router_object(whole) == {
        "uuid": SUPPORT.uuid,
        "name": "support",
        "description": "",
        "regions": ["all"],
        "config": config,
        "created_at": "1970-01-01T00:00:00.000001Z",
        "updated_at": "1970-01-01T00:00:00.000000Z",
        "min_score": 0.5,
        "max_cost_usd": "1.5",
    }
    assert draft_object(whole) == {"name": "support", "min_score": 0.5, "max_cost_usd": "1.5", **config}
    assert {"min_score", "max_cost_usd"}.isdisjoint(router_object(SUPPORT))


def test_what_is_shown_makes_the_same_router_again() -> None:
    whole = replace(SUPPORT, description="Desk", min_score=0.25, max_cost_nano=3_000_000_000)
    draft = read_draft(draft_object(whole))
    [policy] = draft.policies
    assert (draft.name, draft.description, draft.fallbacks) == ("support", "Desk", ("tiny",))
    assert (draft.min_score, draft.max_cost_nano) == (0.25, 3_000_000_000)
    assert (policy.custom_task, policy.models, policy.prefer) == (whole.policies[0].task, ("tiny",), None)


def test_presets_are_shown_with_what_is_proposed_for_them() -> None:
    assert preset_object(GENERAL) == {
        "slug": "general",
        "display_name": "General",
        "short_description": "Everyday work",
        "long_description": "Everyday work, by task.",
        "config": {"policies": [{"task_slug": "summarization", "models": ["tiny"]}], "fallback_models": ["tiny"]},
    }
    assert preset_task_object(BUG_FIXING) == {
        "task_slug": "bug-fixing",
        "name": "Bug fixing",
        "category": "Software engineering",
        "description": "Finding and repairing what is wrong in a program.",
        "examples": ["Why does this raise?"],
        "models": ["acme/chat:large"],
        "tags": ["code"],
        "selection_policy": {"prefer": "cheapest"},
    }
    assert preset_task_object(SUMMARY)["selection_policy"] == {"prefer": "none"}
