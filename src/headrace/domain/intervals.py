"""Confidence intervals of shares, means and quantiles, 95 %; drawing samples is not done here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

# The normal quantile of a two-sided interval of 95 %.
Z = 1.959964
ADDED = 2


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with the bounds of its 95 % interval."""

    value: float
    low: float
    high: float


def share_interval(hits: int, total: int) -> Interval | None:
    """Return a share with Wilson's interval, or None where nothing was counted.

    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927).
    """
    if total == 0:
        return None
    share, z2 = hits / total, Z * Z
    centre = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = Z / (1 + z2 / total) * math.sqrt(share * (1 - share) / total + z2 / (4 * total * total))
    return Interval(share, max(0.0, centre - half), min(1.0, centre + half))


def mean_interval(values: Sequence[float], least: float = 0.0, most: float = 1.0) -> Interval | None:
    """Return a mean of values between two bounds with its interval, or None of no values.

    The interval is the normal one with two more values at either bound: few values that are all alike prove little.
    Source: A. Agresti, B. A. Coull, "Approximate is better than 'exact' for interval estimation of binomial
    proportions", The American Statistician 52 (1998).
    """
    if not values:
        return None
    mean = math.fsum(values) / len(values)
    more = [*values, *(least, most) * ADDED]
    centre = math.fsum(more) / len(more)
    half = Z * math.sqrt(math.fsum((each - centre) ** 2 for each in more)) / len(more)
    return Interval(mean, max(least, min(mean, centre - half)), min(most, max(mean, centre + half)))


def quantile_interval(values: Sequence[float], share: float) -> Interval | None:
    """Return a quantile (`share` from 0 to 1) with the interval between order statistics, or None of no values."""
    if not values:
        return None
    ordered, last = sorted(values), len(values) - 1
    half = Z * math.sqrt(len(values) * share * (1 - share))
    place = share * len(values)
    low, high = math.floor(place - half), math.ceil(place + half)
    return Interval(
        ordered[min(last, math.floor(place))], ordered[min(last, max(0, low))], ordered[min(last, max(0, high))]
    )
