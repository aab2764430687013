"""The model list in Anthropic's shape: chat models only, in pages."""

from dataclasses import replace
from typing import cast

import pytest

from headrace.domain.alias import Alias
from headrace.domain.catalog import AVAILABLE, Availability, Listed, ModelKind
from headrace.domain.errors import InvalidRequest, NotFound
from headrace.domain.json_value import JsonObject
from headrace.domain.snapshot import Snapshot
from headrace.http.messages_models import messages_model, messages_model_list, one_messages_model
from headrace.http.models import model_list
from tests.fakes.nouns import CALLER, PROVIDER, a_model, a_price

NAMES = ("a", "b", "c", "d")
LISTED = {name: (Listed(a_model(name), a_price(), AVAILABLE),) for name in NAMES}
VECTORS = Listed(a_model("v", kind=ModelKind.EMBEDDING), a_price(), AVAILABLE)
AWAY = Listed(a_model("w"), None, Availability(False, "no_credential"))
SNAPSHOT = Snapshot(1, {**LISTED, "v": (VECTORS,), "w": (AWAY,)}, {"acme": PROVIDER}, {})


def page(limit: int = 20, after_id: str | None = None, before_id: str | None = None) -> tuple[list[str], bool]:
    found = messages_model_list(SNAPSHOT, CALLER, limit, after_id, before_id)
    data = cast("list[JsonObject]", found["data"])
    names = [str(each["id"]) for each in data]
    assert (found["first_id"], found["last_id"]) == ((names[0], names[-1]) if names else (None, None))
    return names, found["has_more"] is True


def test_pages_go_forwards_and_backwards() -> None:
    assert page() == (list(NAMES), False)
    assert page(2) == (["a", "b"], True)
    assert page(2, after_id="b") == (["c", "d"], False)
    assert page(1, after_id="b") == (["c"], True)
    assert page(2, after_id="d") == ([], False)
    assert page(2, before_id="d") == (["b", "c"], True)
    assert page(3, before_id="d") == (["a", "b", "c"], False)


def test_a_key_sees_its_own_models() -> None:
    narrow = replace(CALLER, models=frozenset({"b"}))
    assert messages_model_list(SNAPSHOT, narrow, 20, None, None)["last_id"] == "b"


def test_an_alias_is_listed_under_its_own_name() -> None:
    aliases = {name: Alias(name, to, (), 0, 0) for name, to in (("app", "b"), ("a", "c"), ("gone", "x"), ("e", "v"))}
    found = messages_model_list(replace(SNAPSHOT, aliases=aliases), CALLER, 20, None, None)
    data = cast("list[JsonObject]", found["data"])
    assert [each["id"] for each in data] == [*NAMES, "app"]
    assert (data[-1]["display_name"], data[-1]["max_tokens"]) == ("app", 1024)
    assert (data[-1]["points_to"], data[-1]["fallbacks"]) == ("b", [])
    assert all("points_to" not in each for each in data[:-1])


def test_one_alias_shows_what_it_points_at_and_a_models_id_goes_before_it() -> None:
    aliases = {"app": Alias("app", "b", ("c",), 0, 0), "a": Alias("a", "c", (), 0, 0)}
    snapshot = replace(SNAPSHOT, aliases=aliases)
    shown = one_messages_model(snapshot, CALLER, "app")
    assert (shown["id"], shown["points_to"], shown["fallbacks"]) == ("app", "b", ["c"])
    assert one_messages_model(snapshot, CALLER, "a") == messages_model(LISTED["a"][0])
    with pytest.raises(NotFound):
        one_messages_model(snapshot, CALLER, "gone")


def test_both_shapes_list_the_same_aliases() -> None:
    aliases = {name: Alias(name, to, (), 0, 0) for name, to in (("app", "b"), ("a", "c"), ("gone", "x"), ("f", "w"))}
    snapshot = replace(SNAPSHOT, aliases=aliases)
    ours = cast("list[JsonObject]", model_list(snapshot, CALLER)["data"])
    theirs = cast("list[JsonObject]", messages_model_list(snapshot, CALLER, 20, None, None)["data"])
    assert [each["id"] for each in ours if each["type"] == "alias"] == ["app"]
    assert [each["id"] for each in theirs if "points_to" in each] == ["app"]


@pytest.mark.parametrize(("after_id", "before_id", "param"), [("x", None, "after_id"), ("a", "b", "before_id")])
def test_a_cursor_that_leads_nowhere_is_refused(after_id: str, before_id: str | None, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        messages_model_list(SNAPSHOT, CALLER, 20, after_id, before_id)
    assert caught.value.param == param


def test_a_model_has_anthropics_fields_first_and_ours_behind() -> None:
    shown = messages_model(LISTED["a"][0])
    assert list(shown)[:8] == [
        "type",
        "id",
        "display_name",
        "created_at",
        "lifecycle",
        "max_input_tokens",
        "max_tokens",
        "capabilities",
    ]
    assert (shown["type"], shown["created_at"], shown["max_tokens"]) == ("model", "2026-01-02T00:00:00Z", 1024)
    assert shown["provider"] == "acme" and "object" not in shown
    retiring = replace(LISTED["a"][0], model=replace(a_model("a"), retired_on="2027-01-01", released_on=""))
    old = messages_model(retiring)
    assert (old["lifecycle"], old["created_at"]) == ("deprecated", "1970-01-01T00:00:00Z")
