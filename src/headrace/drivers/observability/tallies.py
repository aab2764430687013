"""Counters and histograms that cost an addition; the metrics library sees them when somebody looks."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

INFINITE = "+Inf"


class Tally:
    """A counter by labels; one series for each combination that was counted."""

    def __init__(self, name: str, says: str, labels: Sequence[str]) -> None:
        self._about = (name, says, list(labels))
        self._counts: dict[tuple[str, ...], int] = {}

    def add(self, place: tuple[str, ...], quantity: int = 1) -> None:
        """Add to the series of these labels."""
        self._counts[place] = self._counts.get(place, 0) + quantity

    def family(self) -> Metric:
        """Return every series as it is now."""
        name, says, labels = self._about
        family = CounterMetricFamily(name, says, labels=labels)
        for place, count in sorted(self._counts.items()):
            family.add_metric(list(place), count)
        return family


class _Spread:
    """One series of a histogram: how many fell under each bound, and their sum."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0


class Spreads:
    """A histogram of seconds by one label."""

    def __init__(self, name: str, says: str, label: str, bounds: Sequence[float]) -> None:
        self._about = (name, says, [label])
        self._bounds = tuple(bounds)
        self._series: dict[str, _Spread] = {}

    def observe(self, label: str, seconds: float) -> None:
        """Count one duration."""
        series = self._series.get(label)
        if series is None:
            series = self._series[label] = _Spread(self._bounds)
        series.counts[bisect_left(series.bounds, seconds)] += 1
        series.total += seconds

    def family(self) -> Metric:
        """Return every series as it is now."""
        name, says, labels = self._about
        family = HistogramMetricFamily(name, says, labels=labels)
        for label, series in sorted(self._series.items()):
            below, buckets = 0, list[tuple[str, float]]()
            for bound, count in zip((*map(str, series.bounds), INFINITE), series.counts, strict=True):
                below += count
                buckets.append((bound, below))
            family.add_metric([label], buckets=buckets, sum_value=series.total)
        return family


class Tallies(Collector):
    """Gives the library all families when metrics are rendered."""

    def __init__(self, tallies: Iterable[Tally | Spreads]) -> None:
        self._tallies = tuple(tallies)

    def collect(self) -> Iterable[Metric]:
        """Return the families as they are now."""
        return [each.family() for each in self._tallies]
