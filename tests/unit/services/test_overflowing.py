"""Who is asked first: a deployment or the model that helps it out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from headrace.domain.access import Caller, Role
from headrace.domain.alias import Alias
from headrace.domain.call import Call
from headrace.domain.dedicated import Deployment, Standing, WhenAsleep
from headrace.domain.errors import Forbidden
from headrace.domain.plan import Plan
from headrace.domain.snapshot import Snapshot
from headrace.services.overflowing import Order, Overflowing, order_of
from headrace.services.resolve import authorise, plan_call
from tests.fakes.deployed import a_deployed_snapshot, a_deployment, a_wanted
from tests.fakes.nouns import CALLER, a_call
from tests.fakes.planning import ids

AWAKE = Standing(ready=2)
WAIT, OVERFLOW, REFUSE = WhenAsleep.WAIT, WhenAsleep.OVERFLOW, WhenAsleep.REFUSE


class Live:
    """How deployments stand, and which of them were woken."""

    def __init__(self, standings: Mapping[str, Standing] | None = None) -> None:
        self.standings = standings or {}
        self.woken: list[str] = []
        self.overflowing = Overflowing(self.standings.get, self._wake)

    def _wake(self, deployment: Deployment) -> None:
        self.woken.append(deployment.name)

    def plan(self, call: Call, snapshot: Snapshot) -> Plan:
        plan = plan_call(call, snapshot, helps=self.overflowing.helps)
        return self.overflowing.arranged(plan, snapshot)


def asked(model: str = "prod-llm", caller: Caller = CALLER) -> Call:
    return a_call(caller, model=model)


def there(when_asleep: WhenAsleep = WAIT, overflow: str | None = "two", limit: int = 4) -> Snapshot:
    return a_deployed_snapshot(a_deployment(a_wanted(overflow, limit, when_asleep)))


def test_the_overflow_stands_behind_the_deployment_with_its_reason() -> None:
    plan = Live({"dep_1": AWAKE}).plan(asked(), there())
    assert ids(plan) == ["prod-llm", "two"]
    assert plan.targets[1].reason == 'the overflow of the deployment "prod-llm"'
    assert ids(Live().plan(asked(), there(overflow=None))) == ["prod-llm"]


def test_who_wants_no_substitute_gets_the_deployment_only() -> None:
    for standing in (AWAKE, Standing()):
        live = Live({"dep_1": standing})
        assert ids(live.plan(replace(asked(), may_substitute=False), there(OVERFLOW))) == ["prod-llm"]


@pytest.mark.parametrize(
    ("when_asleep", "order", "woken"),
    [(WAIT, ["prod-llm", "two"], []), (OVERFLOW, ["two", "prod-llm"], ["prod-llm"]), (REFUSE, ["prod-llm"], [])],
)
@pytest.mark.parametrize("standings", [{}, {"dep_1": Standing(starting=1)}])
def test_asleep_the_deployment_waits_is_helped_out_or_refuses(
    when_asleep: WhenAsleep, order: list[str], woken: list[str], standings: Mapping[str, Standing]
) -> None:
    live = Live(standings)
    plan = live.plan(asked(), there(when_asleep))
    assert (ids(plan), live.woken) == (order, woken)
    excluded = [(each.model_id, each.code) for each in plan.excluded]
    left_out = {WAIT: [], OVERFLOW: [("prod-llm", "deployment_asleep")], REFUSE: [("two", "deployment_asleep")]}
    assert excluded == left_out[when_asleep]


@pytest.mark.parametrize(
    ("standing", "is_over"),
    [
        (Standing(ready=2, in_flight=11), False),
        (Standing(ready=2, in_flight=12), True),
        (Standing(ready=2, in_flight=4, waiting=8), True),
        (Standing(ready=1, in_flight=6), True),
        (Standing(ready=1, in_flight=5), False),
        (Standing(starting=1, waiting=3), False),
        (Standing(starting=1, waiting=4), True),
    ],
)
def test_too_many_waiting_for_each_replica_go_to_the_overflow(standing: Standing, is_over: bool) -> None:
    live = Live({"dep_1": standing})
    assert ids(live.plan(asked(), there(limit=4))) == (["two", "prod-llm"] if is_over else ["prod-llm", "two"])
    assert live.woken == (["prod-llm"] if is_over and not standing.ready else [])


def test_the_receipt_is_told_why_the_overflow_was_asked_first() -> None:
    [busy] = Live({"dep_1": Standing(ready=2, in_flight=10, waiting=2)}).plan(asked(), there(limit=4)).excluded
    assert (busy.model_id, busy.provider, busy.code) == ("prod-llm", "dedicated", "deployment_busy")
    assert busy.reason == "Its slots are taken and 8 requests wait for 2 of its replicas; its overflow is asked first."
    [asleep] = Live().plan(asked(), there(OVERFLOW)).excluded
    assert asleep.reason == "It sleeps; its overflow is asked first."


def test_without_room_for_a_queue_the_overflow_takes_what_has_no_slot() -> None:
    for in_flight, order in ((3, ["prod-llm", "two"]), (4, ["two", "prod-llm"])):
        live = Live({"dep_1": Standing(ready=2, in_flight=in_flight)})
        assert ids(live.plan(asked(), there(limit=0))) == order


def test_without_an_overflow_no_queue_is_too_long() -> None:
    assert order_of(a_deployment(), Standing(ready=1, in_flight=1_000)) is Order.DEPLOYMENT


def test_the_overflow_needs_the_callers_rights_like_any_target() -> None:
    narrow = Caller("k", "web", "shop", Role.KEY, frozenset({"prod-llm"}))
    live = Live()
    plan = live.plan(asked(caller=narrow), there(OVERFLOW))
    assert ids(plan) == ["prod-llm"]
    assert [(each.model_id, each.code) for each in plan.excluded] == [("two", "model_forbidden")]
    with pytest.raises(Forbidden):
        live.plan(asked(caller=replace(narrow, models=frozenset({"one"}))), there(overflow=None))


def test_a_token_of_the_deployment_is_served_by_its_overflow_and_calls_it_by_no_name() -> None:
    snapshot = replace(there(OVERFLOW), aliases={"app": Alias("app", "two", ("prod-llm",), 1, 1)})
    token = Caller("k", "web", "shop", Role.KEY, frozenset({"prod-llm"}), deployment="dep_1")
    plan = Live().plan(asked(caller=token), snapshot)
    assert (ids(plan), [each.overflow_of for each in plan.targets]) == (["two", "prod-llm"], ["dep_1", None])
    for target in plan.targets:
        authorise(asked(caller=token), target)
    for name in ("two", "three"):
        with pytest.raises(Forbidden):
            Live().plan(asked(name, token), snapshot)
    plan = Live({"dep_1": AWAKE}).plan(asked("app", token), snapshot)
    assert (ids(plan), plan.excluded[0].code) == (["prod-llm", "two"], "model_forbidden")
    assert ids(Live().plan(replace(asked(caller=token), fallbacks=("three",)), snapshot)) == ["two", "prod-llm"]


def test_a_token_of_another_deployment_has_no_right_to_an_overflow() -> None:
    [_, overflow] = Live({"dep_1": AWAKE}).plan(asked(), there()).targets
    other = Caller("k", "web", "shop", Role.KEY, frozenset({"other"}), deployment="dep_2")
    with pytest.raises(Forbidden):
        authorise(asked(caller=other), overflow)


def test_a_fallback_that_is_a_deployment_has_its_overflow_behind_it() -> None:
    snapshot = replace(there(), aliases={"app": Alias("app", "three", ("prod-llm", "one"), 1, 1)})
    assert ids(Live({"dep_1": AWAKE}).plan(asked("app"), snapshot)) == ["three", "prod-llm", "two", "one"]


def test_a_deployment_that_refuses_leaves_what_is_named_beside_it_alone() -> None:
    snapshot = replace(there(REFUSE), aliases={"app": Alias("app", "prod-llm", ("two",), 1, 1)})
    plan = Live().plan(asked("app"), snapshot)
    assert (ids(plan), plan.excluded) == (["prod-llm", "two"], ())
    assert plan.targets[1].overflow_of is None
    assert ids(Live().plan(replace(asked("two"), fallbacks=("prod-llm",)), snapshot)) == ["two", "prod-llm"]


def test_an_alias_of_a_deployment_has_its_overflow_before_its_own_fallbacks() -> None:
    snapshot = replace(there(OVERFLOW), aliases={"app": Alias("app", "prod-llm", ("three",), 1, 1)})
    assert ids(Live({"dep_1": AWAKE}).plan(asked("app"), snapshot)) == ["prod-llm", "two", "three"]
    assert ids(Live().plan(asked("app"), snapshot)) == ["two", "prod-llm", "three"]


def test_what_the_caller_named_before_stays_before() -> None:
    call = replace(asked("three"), fallbacks=("prod-llm", "one"))
    assert ids(Live().plan(call, there(OVERFLOW))) == ["three", "two", "prod-llm", "one"]


def test_an_alias_may_be_the_overflow() -> None:
    snapshot = replace(there(OVERFLOW, "spare"), aliases={"spare": Alias("spare", "two", ("three",), 1, 1)})
    assert ids(Live().plan(asked(), snapshot)) == ["two", "three", "prod-llm"]


def test_an_overflow_that_is_gone_is_left_out_with_the_reason() -> None:
    plan = Live().plan(asked(), there(OVERFLOW, "gone"))
    assert ids(plan) == ["prod-llm"]
    assert [(each.model_id, each.code) for each in plan.excluded] == [("gone", "model_not_found")]


def test_a_deployment_does_not_help_itself_out() -> None:
    assert ids(Live().plan(asked(), there(REFUSE, "prod-llm"))) == ["prod-llm"]


def test_nothing_is_known_of_a_deployment_that_nobody_watches() -> None:
    snapshot = there(OVERFLOW)
    assert ids(Overflowing().arranged(plan_call(asked(), snapshot), snapshot)) == ["two", "prod-llm"]
