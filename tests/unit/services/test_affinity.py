"""Sessions as a process keeps them: whose they are, how long, how many, and what they learn from who served."""

import hashlib
from dataclasses import replace

import pytest

from headrace.domain.access import Caller, Role
from headrace.domain.call import Call
from headrace.domain.conversation import Conversation, Turn
from headrace.domain.plan import Target
from headrace.domain.session import Choice, Offer
from headrace.domain.switching import DEFAULT_CAP_PPM
from headrace.domain.usage import Usage
from headrace.ports.observer import AttemptEnd, RequestEnd
from headrace.services.affinity import MAX_SESSIONS, TTL_SECONDS, Affinity, Held
from headrace.testing.clock import FakeClock
from tests.fakes.nouns import CALLER, a_call, a_model, a_price, a_target

CHEAP, DEAR = a_target(a_model("cheap"), a_price(input_pico=10)), a_target(a_model("dear"), a_price(input_pico=10_000))
HELLO = Turn("user", "Hello")
OPENING = Conversation((HELLO,), "system\nHello", in_tool_loop=False, prompt_tokens=1_000)
FOLLOW_UP = replace(OPENING, turns=(HELLO, Turn("assistant", "Hi"), Turn("user", "And now?")))
TOOL_RESULT = replace(OPENING, in_tool_loop=True)


class Bench:
    """An Affinity under a clock of its own, with what a gateway does around one request."""

    def __init__(self, **limits: int) -> None:
        self.clock = FakeClock()
        self.affinity = Affinity(self.clock, lambda content: hashlib.sha256(content).hexdigest(), **limits)
        self._number = 0
        self._call = a_call()

    def call(self, affinity: str | None = "s-1", caller: Caller = CALLER, cap_ppm: int | None = None) -> Call:
        self._number += 1
        request_id = f"req_{self._number}"
        return replace(self._call, caller=caller, request_id=request_id, affinity=affinity, switch_spend_ppm=cap_ppm)

    def find(self, call: Call, conversation: Conversation = OPENING, router: str = "support") -> Held | None:
        return self.affinity.find(call, router, conversation)

    def ask(
        self, call: Call, *pool: Target, conversation: Conversation = OPENING, served_by: Target | None = None
    ) -> Choice:
        held = self.find(call, conversation)
        choice = self.affinity.order(held, Offer("refund", pool, (), lambda _target: False))
        self.affinity.planned(call, held, choice)
        self.affinity.attempt_ended(an_end(call, served_by or choice.targets[0]))
        self.affinity.request_ended(ended(call))
        return choice


def an_end(call: Call, target: Target, ending: str = "complete", usage: Usage | None = None) -> AttemptEnd:
    used = Usage(input_fresh=1_000, output_text=10) if usage is None else usage
    model, provider = target.model.id, target.provider.name
    settled = None if ending == "voided" else used
    return AttemptEnd(call.request_id, "att", "chat", model, provider, ending, None, 0.1, 0.2, settled, 1, 1)


def ended(call: Call) -> RequestEnd:
    return RequestEnd(call.request_id, "POST", "/v1/chat/completions", 200, 0.2)


def first(choice: Choice) -> str:
    return choice.targets[0].model.id


def test_a_named_session_holds_on_to_who_served() -> None:
    bench = Bench()
    assert first(bench.ask(bench.call(), CHEAP, DEAR)) == "cheap"
    held = bench.find(bench.call())
    assert held is not None
    assert (held.name, held.is_decided, held.route, held.replays) == ("s-1", True, "refund", False)
    assert first(bench.ask(bench.call(), DEAR, CHEAP)) == "cheap"
    assert bench.affinity.verdicts == {"over_cap": 1}
    assert bench.affinity.count == 1


@pytest.mark.parametrize(("cap_ppm", "served"), [(None, "cheap"), (0, "cheap"), (1_000_000, "dear")])
def test_the_callers_cap_decides_what_leaving_may_cost(cap_ppm: int | None, served: str) -> None:
    bench = Bench()
    nearly = a_target(a_model("dear"), a_price(input_pico=12))
    bench.ask(bench.call(), CHEAP)
    held = bench.find(bench.call(cap_ppm=cap_ppm))
    assert held is not None
    assert held.asking.cap_ppm == (DEFAULT_CAP_PPM if cap_ppm is None else cap_ppm)
    assert first(bench.ask(bench.call(cap_ppm=cap_ppm), nearly, CHEAP)) == served


def test_a_request_that_wants_no_session_has_none_and_teaches_none() -> None:
    bench = Bench()
    bench.ask(bench.call("none"), CHEAP)
    assert bench.find(bench.call("none")) is None
    assert bench.affinity.count == 0
    assert bench.ask(bench.call("none"), DEAR, CHEAP).switch is None


def test_a_prompt_without_an_opening_has_no_session_unless_it_names_one() -> None:
    bench = Bench()
    silent = replace(OPENING, opening="", turns=())
    assert bench.find(bench.call(None), silent) is None
    assert bench.find(bench.call("s-1"), silent) is not None


def test_sessions_are_not_shared_between_keys_teams_or_routers() -> None:
    bench = Bench()
    bench.ask(bench.call(), CHEAP)
    strangers = (
        replace(CALLER, key_id="key2"),
        replace(CALLER, account="other"),
        Caller("key2", "web", "other", Role.KEY, None),
    )
    for stranger in strangers:
        held = bench.find(bench.call(caller=stranger))
        assert held is not None
        assert not held.is_decided
    elsewhere = bench.find(bench.call(), router="code")
    assert elsewhere is not None
    assert not elsewhere.is_decided


def test_a_session_without_a_name_is_known_by_its_opening() -> None:
    bench = Bench()
    bench.ask(bench.call(None), CHEAP)
    held = bench.find(bench.call(None), FOLLOW_UP)
    assert held is not None
    assert held.is_decided
    assert held.name.startswith("implicit:")
    assert len(held.name) == len("implicit:") + 16
    assert "Hello" not in held.name
    by_name = bench.find(bench.call(held.name))
    assert by_name is not None
    assert by_name.is_decided, "what the reply says can be sent back"


@pytest.mark.parametrize(
    "different", [{"opening": "system\nHallo"}, {"router": "code"}, {"caller": replace(CALLER, key_id="key2")}]
)
def test_another_opening_router_or_key_makes_another_name(different: dict[str, object]) -> None:
    bench = Bench()
    mine, router = bench.call(None), "support"
    conversation = OPENING
    if "opening" in different:
        conversation = replace(OPENING, opening=str(different["opening"]))
    elif "router" in different:
        router = str(different["router"])
    other = bench.call(None, caller=replace(CALLER, key_id="key2")) if "caller" in different else bench.call(None)
    one, two = bench.find(mine), bench.find(other, conversation, router)
    assert one is not None
    assert two is not None
    assert one.name != two.name


def test_whoever_opens_a_conversation_in_the_same_words_begins_a_session_of_its_own() -> None:
    bench = Bench()
    bench.ask(bench.call(None), CHEAP)
    again = bench.find(bench.call(None))
    assert again is not None
    assert not again.is_decided
    bench.ask(bench.call(None), DEAR)
    assert first(bench.ask(bench.call(None), CHEAP, DEAR, conversation=FOLLOW_UP)) == "cheap", "leaving dear is free"
    assert bench.affinity.count == 1


def test_a_tool_result_replays_the_decision() -> None:
    bench = Bench()
    nobody = bench.find(bench.call(), TOOL_RESULT)
    assert nobody is not None
    assert (nobody.replays, nobody.route) == (False, None)
    bench.ask(bench.call(), CHEAP)
    held = bench.find(bench.call(), TOOL_RESULT)
    assert held is not None
    assert held.replays
    choice = bench.ask(bench.call(), DEAR, CHEAP, conversation=TOOL_RESULT)
    assert (first(choice), choice.basis) == ("cheap", "tool_loop")


def test_after_a_failover_the_session_is_where_it_was_served() -> None:
    bench = Bench()
    bench.ask(bench.call(), DEAR, CHEAP, served_by=CHEAP)
    assert first(bench.ask(bench.call(), DEAR, CHEAP)) == "cheap"


@pytest.mark.parametrize("ending", ["voided", "upstream_truncated"])
def test_a_failure_teaches_nothing(ending: str) -> None:
    bench = Bench()
    call = bench.call()
    held = bench.find(call)
    bench.affinity.planned(call, held, bench.affinity.order(held, Offer(None, (CHEAP,), (), lambda _target: False)))
    bench.affinity.attempt_ended(an_end(call, CHEAP, ending))
    bench.affinity.request_ended(ended(call))
    bench.affinity.attempt_ended(an_end(call, CHEAP))
    assert bench.affinity.count == 0


def test_what_was_not_planned_teaches_nothing() -> None:
    bench = Bench()
    bench.affinity.attempt_ended(an_end(bench.call(), CHEAP))
    bench.affinity.planned(bench.call("none"), None, Choice(None, (CHEAP,)))
    assert bench.affinity.count == 0


def test_a_session_is_forgotten_when_it_is_not_used() -> None:
    bench = Bench()
    bench.ask(bench.call(), CHEAP)
    bench.clock.advance(TTL_SECONDS - 1)
    bench.ask(bench.call(), CHEAP)
    bench.clock.advance(TTL_SECONDS - 1)
    assert bench.affinity.count == 1
    bench.clock.advance(1)
    held = bench.find(bench.call())
    assert held is not None
    assert not held.is_decided
    assert bench.affinity.count == 0


def test_a_session_whose_answer_takes_longer_than_it_lives_begins_anew() -> None:
    bench = Bench()
    bench.ask(bench.call(), CHEAP)
    call = bench.call()
    held = bench.find(call)
    choice = bench.affinity.order(held, Offer("refund", (DEAR, CHEAP), (), lambda _target: False))
    bench.affinity.planned(call, held, choice)
    bench.clock.advance(TTL_SECONDS)
    assert bench.affinity.count == 0
    bench.affinity.attempt_ended(an_end(call, CHEAP))
    assert bench.affinity.count == 1


def test_the_ones_used_last_are_kept() -> None:
    bench = Bench()
    for number in range(MAX_SESSIONS):
        bench.ask(bench.call(f"s-{number}"), CHEAP)
    bench.ask(bench.call("s-0"), CHEAP)
    bench.ask(bench.call("one more"), CHEAP)
    assert bench.affinity.count == MAX_SESSIONS

    def is_known(name: str) -> bool:
        held = bench.find(bench.call(name))
        return held is not None and held.is_decided

    assert [is_known(name) for name in ("s-0", "s-1", "s-2", "one more")] == [True, False, True, True]


def test_requests_whose_end_nobody_tells_do_not_pile_up() -> None:
    bench = Bench(max_sessions=2)
    calls = [bench.call(f"s-{number}") for number in range(3)]
    for call in calls:
        held = bench.find(call)
        bench.affinity.planned(call, held, Choice("refund", (CHEAP,)))
    for call in calls:
        bench.affinity.attempt_ended(an_end(call, CHEAP))
    known = [bench.find(bench.call(f"s-{number}")) for number in range(3)]
    assert [held is not None and held.is_decided for held in known] == [False, True, True]
