"""The model list in OpenAI's shape."""

from dataclasses import replace
from typing import cast

import pytest

from headrace.domain.catalog import AVAILABLE, Availability, Capability, Listed
from headrace.domain.errors import NotFound
from headrace.domain.json_value import JsonObject
from headrace.domain.snapshot import Snapshot
from headrace.http.models import model_list, model_object, one_model
from tests.fakes.deployed import a_deployed_snapshot, a_deployment, a_wanted
from tests.fakes.nouns import CALLER, PROVIDER, a_model, a_price

AWAY = Availability(False, "no_credential", "Its provider has no key.", "Set one.")
HERE = Listed(a_model("one", capabilities=frozenset({Capability.TOOLS, Capability.SEED})), a_price(), AVAILABLE)
GONE = Listed(a_model("two"), None, AWAY)
SNAPSHOT = Snapshot(1, {"one": (HERE, GONE), "two": (GONE,)}, {"acme": PROVIDER}, {})
SCOPED = replace(CALLER, models=frozenset({"two"}))


def ids(listing: JsonObject) -> list[str]:
    return [str(entry["id"]) for entry in cast("list[JsonObject]", listing["data"])]


def test_the_list_holds_what_this_caller_can_call_now() -> None:
    listing = model_list(SNAPSHOT, CALLER)
    assert listing["object"] == "list"
    assert ids(listing) == ["one", "inference-router"]
    assert ids(model_list(SNAPSHOT, SCOPED)) == []


def test_a_model_in_the_public_shape_with_additive_fields() -> None:
    assert model_object(HERE) == {
        "id": "one",
        "object": "model",
        "created": 1_767_312_000,
        "owned_by": "acme",
        "type": "chat",
        "name": "One",
        "provider": "acme",
        "runs_here": False,
        "context_length": 4096,
        "max_output_tokens": 1024,
        "capabilities": ["seed", "tools"],
        "best_effort_capabilities": [],
        "prices_usd_per_mtok": {
            "input_fresh": "0.001",
            "input_cache_read": "0.001",
            "input_cache_write_5m": "0.001",
            "input_cache_write_1h": "0.001",
            "output_text": "0.004",
            "output_reasoning": "0.004",
        },
        "prices_usd_each": None,
        "price_version": "acme/one@2026-11-01#1",
        "licence": None,
        "available": True,
        "unavailable_reason": None,
        "unavailable_fix": None,
    }


def test_a_model_that_cannot_be_called_says_why() -> None:
    entry = one_model(SNAPSHOT, CALLER, "two")
    assert (entry["available"], entry["unavailable_reason"], entry["unavailable_fix"]) == (
        False,
        "Its provider has no key.",
        "Set one.",
    )
    assert (entry["prices_usd_per_mtok"], entry["price_version"]) == (None, None)


def test_a_model_without_a_date_was_created_at_no_time() -> None:
    assert model_object(replace(HERE, model=replace(HERE.model, released_on="")))["created"] == 0


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("on", 'No model named "on". Did you mean "one"?'),
        ("zzz", 'No model named "zzz". GET /v1/models lists what this key can call.'),
    ],
)
def test_an_unknown_model_is_answered_with_the_closest(name: str, said: str) -> None:
    with pytest.raises(NotFound) as caught:
        one_model(SNAPSHOT, CALLER, name)
    assert (caught.value.message, caught.value.code, caught.value.param) == (said, "model_not_found", "model")


def test_a_model_out_of_scope_does_not_exist() -> None:
    with pytest.raises(NotFound) as caught:
        one_model(SNAPSHOT, SCOPED, "one")
    assert caught.value.message == 'No model named "one". GET /v1/models lists what this key can call.'


def test_a_deployment_is_listed_to_whom_it_is_open_with_how_it_runs() -> None:
    snapshot = a_deployed_snapshot(a_deployment(a_wanted("two")))
    assert "prod-llm" in ids(model_list(snapshot, CALLER))
    assert "prod-llm" not in ids(model_list(snapshot, SCOPED))
    shown = one_model(snapshot, replace(CALLER, models=frozenset({"prod-llm"})), "prod-llm")
    assert (shown["owned_by"], shown["provider"], shown["type"]) == ("shop", "dedicated", "chat")
    assert shown["deployment"] == {
        "id": "dep_1",
        "model": "one",
        "status": "active",
        "min_scale": 0,
        "max_scale": 2,
        "when_asleep": "wait",
        "overflow": "two",
    }
    alone = one_model(a_deployed_snapshot(a_deployment()), CALLER, "prod-llm")
    assert alone["deployment"] == {**cast("JsonObject", shown["deployment"]), "overflow": None}
