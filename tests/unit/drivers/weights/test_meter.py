"""Progress reports: rare, forwards only, and always the last one."""

from collections.abc import Callable

from headrace.domain.catalog import WeightsFile
from headrace.drivers.weights.meter import Meter
from headrace.ports.fleet import Progress
from headrace.testing.clock import FakeClock

FILE = WeightsFile("m", "00", 100, "", ())


def test_reports_are_spaced_never_go_back_and_end_at_the_total() -> None:
    clock, seen = FakeClock(), list[Progress]()
    meter = Meter(FILE, [seen.append], clock)
    meter.show(10)
    meter.show(20)
    clock.advance(1)
    meter.show(30)
    clock.advance(1)
    meter.show(25)
    meter.show(500)
    meter.show(100)
    assert [each.done for each in seen] == [10, 30, 100]


def test_everybody_who_listens_at_the_time_hears_it() -> None:
    first, second = list[Progress](), list[Progress]()
    listeners: list[Callable[[Progress], None]] = []
    meter = Meter(FILE, listeners, FakeClock())
    listeners += [first.append, second.append]
    meter.show(100)
    assert first == second == [Progress("m", 100, 100, "bytes")]
