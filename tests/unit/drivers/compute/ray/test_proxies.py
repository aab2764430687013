"""Which proxy a request goes through."""

from headrace.drivers.compute.ray.proxies import Proxies
from headrace.testing.clock import FakeClock

A, B = "http://192.0.2.2:8000", "http://192.0.2.3:8000"


def test_a_replicas_own_node_is_asked_first_and_another_while_it_rests() -> None:
    clock = FakeClock()
    proxies = Proxies(clock)
    assert proxies.choose("a") is None
    proxies.update({"a": A, "b": B})
    assert (proxies.choose("a"), proxies.choose("b"), proxies.choose("unknown")) == (A, B, A)
    proxies.failed(A)
    assert proxies.choose("a") == B
    clock.advance(2.0)
    assert proxies.choose("a") == A


def test_one_that_goes_on_failing_rests_longer_until_it_answers() -> None:
    clock = FakeClock()
    proxies = Proxies(clock)
    proxies.update({"a": A, "b": B})
    for rest_seconds in (2.0, 4.0, 8.0):
        proxies.failed(A)
        clock.advance(rest_seconds - 0.5)
        assert proxies.choose("a") == B
        clock.advance(0.5)
        assert proxies.choose("a") == A
    proxies.answered(A)
    proxies.failed(A)
    clock.advance(2.0)
    assert proxies.choose("a") == A


def test_while_all_rest_the_one_that_rests_no_longer_soonest_is_asked() -> None:
    clock = FakeClock()
    proxies = Proxies(clock)
    proxies.update({"a": A, "b": B})
    proxies.failed(A)
    clock.advance(1.0)
    proxies.failed(B)
    assert proxies.choose("b") == A


def test_a_proxy_that_is_gone_is_forgotten() -> None:
    proxies = Proxies(FakeClock())
    proxies.update({"a": A, "b": B})
    proxies.failed(A)
    proxies.update({"b": B})
    assert proxies.choose("a") == B
    proxies.update({"a": A, "b": B})
    assert proxies.choose("a") == A
