"""A sink that remembers."""

import pytest

from headrace.services.kept_sink import MAX_KEPT_BYTES, KeptSink, Outcome
from tests.fakes.turn_world import FakeSink

pytestmark = pytest.mark.anyio


class Kept:
    """A kept sink around a fake one, and the order in which things happened."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.inner = FakeSink(self.events)
        self.sink = KeptSink(self.inner, self.keep)

    async def keep(self) -> None:
        self.events.append("keep")


async def test_what_passes_is_remembered_and_kept_before_the_end_leaves() -> None:
    kept = Kept()
    assert (kept.sink.started, kept.sink.gone, kept.sink.departure) == (False, False, None)
    assert kept.sink.outcome() is None
    await kept.sink.start(200, (("a", "b"),))
    await kept.sink.write(b"one")
    await kept.sink.end(b"two")
    assert kept.events == ["start", "write", "keep", "end"]
    assert (kept.inner.status, kept.inner.headers, kept.inner.body) == (200, {"a": "b"}, b"onetwo")
    assert kept.sink.started
    assert kept.sink.outcome() == Outcome(200, (("a", "b"),), (b"one", b"two"))
    assert kept.sink.outcome("code", "why") == Outcome(200, (("a", "b"),), (b"one", b"two"), "code", "why")


async def test_a_caller_who_has_left_gets_nothing_more() -> None:
    kept = Kept()
    kept.sink.detach()
    await kept.sink.start(200, ())
    await kept.sink.write(b"one")
    await kept.sink.end(b"two")
    await kept.sink.break_off(b"three")
    assert kept.events == ["keep"]
    assert kept.sink.outcome() == Outcome(200, (), (b"one", b"two"))


async def test_a_breaking_off_is_passed_on_and_not_kept() -> None:
    kept = Kept()
    await kept.sink.start(200, ())
    await kept.sink.break_off(b"error")
    assert kept.inner.body == b"error"
    assert kept.sink.outcome() == Outcome(200, (), ())


async def test_too_much_is_passed_on_and_not_kept() -> None:
    kept = Kept()
    await kept.sink.start(200, ())
    await kept.sink.write(b"x" * MAX_KEPT_BYTES)
    assert kept.sink.outcome() is not None
    await kept.sink.write(b"x")
    await kept.sink.end(b"x")
    assert kept.sink.outcome() is None
    assert len(kept.inner.body) == MAX_KEPT_BYTES + 2
