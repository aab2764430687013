"""Routers in the model list: who sees them, and what is said of them."""

from __future__ import annotations

from dataclasses import replace

from headrace.domain.alias import Alias
from headrace.domain.catalog import AVAILABLE, Availability, Capability, Listed, ModelKind
from headrace.domain.router import Policy, Router, Task
from headrace.domain.snapshot import Snapshot
from headrace.http.models import model_list, one_model
from headrace.http.router_models import find_router_object, router_objects
from tests.fakes.nouns import CALLER, PROVIDER, a_model, a_price

SMALL = Listed(
    replace(a_model("small", capabilities=frozenset({Capability.SEED})), context_length=1_000), a_price(), AVAILABLE
)
ABLE = a_model("large", capabilities=frozenset({Capability.TOOLS}))
LARGE = Listed(replace(ABLE, context_length=9_000), a_price(), AVAILABLE)
DRAWS = Listed(replace(a_model("draws"), kind=ModelKind.IMAGE), a_price(), AVAILABLE)
SUPPORT = Router(
    "u-1",
    "support",
    "Desk",
    (Policy(Task("refund", "Money back"), ("small", "best")),),
    ("small",),
    None,
    None,
    5_000_000,
)
BEST = Alias("best", "large", (), 0, 0)
FRONT = Alias("front", "router:support", (), 0, 0)
SNAPSHOT = Snapshot(
    1,
    {"small": (SMALL,), "large": (LARGE,), "draws": (DRAWS,)},
    {"acme": PROVIDER},
    {},
    aliases={"best": BEST, "front": FRONT},
    routers={"support": SUPPORT},
)


def test_routers_and_their_aliases_are_listed_with_what_their_best_model_can() -> None:
    found = {str(each["id"]): each for each in router_objects(SNAPSHOT, CALLER)}
    assert list(found) == ["inference-router", "router:support", "front"]
    support = found["router:support"]
    assert (support["type"], support["created"], support["context_length"]) == ("router", 5, 9_000)
    assert support["capabilities"] == ["seed", "tools"]
    assert support["prices_usd_per_mtok"] is None
    assert "points_to" not in support
    assert (found["front"]["points_to"], found["front"]["context_length"]) == ("router:support", 9_000)


def test_a_router_that_can_serve_nothing_to_this_key_is_not_listed() -> None:
    narrow = replace(CALLER, models=frozenset({"draws"}))
    assert list(router_objects(SNAPSHOT, narrow)) == []
    only_small = replace(CALLER, models=frozenset({"small"}))
    assert [each["context_length"] for each in router_objects(SNAPSHOT, only_small)] == [1_000] * 3


def test_the_fallbacks_of_aliases_serve_too() -> None:
    away = replace(LARGE, availability=Availability(False, "no_credential", "No key.", "Give one."))
    pool = replace(BEST, fallbacks=("small",))
    router = replace(SUPPORT, policies=(replace(SUPPORT.policies[0], models=("best",)),), fallbacks=("best",))
    front = replace(FRONT, fallbacks=("small",))
    for best, alias in ((pool, FRONT), (BEST, front)):
        snapshot = replace(
            SNAPSHOT,
            models={**SNAPSHOT.models, "large": (away,)},
            aliases={"best": best, "front": alias},
            routers={"support": router},
        )
        found = {str(each["id"]): each for each in router_objects(snapshot, CALLER)}
        assert ("router:support" in found) == (best is pool)
        assert (found["front"]["context_length"], found["front"]["fallbacks"]) == (1_000, [*alias.fallbacks])
        assert one_model(snapshot, CALLER, "front") == found["front"]


def test_one_router_is_found_by_its_name_or_an_alias() -> None:
    assert one_model(SNAPSHOT, CALLER, "router:support")["id"] == "router:support"
    assert one_model(SNAPSHOT, CALLER, "front")["points_to"] == "router:support"
    assert find_router_object(SNAPSHOT, CALLER, "small") is None
    assert find_router_object(SNAPSHOT, CALLER, "router:none") is None


def test_a_model_of_the_same_name_goes_before_an_alias() -> None:
    shadowed = replace(SNAPSHOT, aliases={"small": replace(FRONT, name="small")})
    assert find_router_object(shadowed, CALLER, "small") is None
    assert "small" not in [each["id"] for each in router_objects(shadowed, CALLER)]
    listing = model_list(shadowed, CALLER)["data"]
    assert isinstance(listing, list)
    assert len(listing) == len({str(each["id"]) for each in listing if isinstance(each, dict)})
