"""Made-up traffic for simulations: random arrivals at a steady rate or over a day's curve; a seed makes one trace.

Gaps between arrivals are exponential, and so are the tokens of a request around their means.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from headrace.domain.simulation import MICROS, Arrival

DAY_MICROS = 86_400 * MICROS
PPM = 1_000_000
# How far the day's curve goes up and down around its mean: nearly nothing at night, nearly twice as much at noon.
SWING = 0.9
_MASK = 2**64 - 1


@dataclass(frozen=True, slots=True)
class TrafficShape:
    """How many requests come and how large they are.

    `per_second_ppm` is the mean rate in millionths of a request per second. `prefixes` is how many different prompt
    beginnings there are, the first of them the most frequent; 0 for none.
    """

    per_second_ppm: int
    micros: int
    input_tokens: int = 1200
    output_tokens: int = 300
    is_daily: bool = False
    prefixes: int = 0


class SplitMix:
    """A small generator of numbers that look random and repeat with the seed.

    Source: https://prng.di.unimi.it/splitmix64.c (read 2026-11-28).
    """

    def __init__(self, seed: int) -> None:
        self._state = seed & _MASK

    def uniform(self) -> float:
        """Return the next number above 0 and up to 1."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        mixed = self._state
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        return ((mixed ^ (mixed >> 31)) + 1) / 2**64

    def exponential(self, mean: float) -> float:
        """Return the next number of an exponential distribution."""
        return -math.log(self.uniform()) * mean


def made_traffic(shape: TrafficShape, seed: int) -> Iterator[Arrival]:
    """Yield arrivals in ascending order of time; the day's curve begins at its lowest, at midnight."""
    random = SplitMix(seed)
    peak_ppm = shape.per_second_ppm * ((1 + SWING) if shape.is_daily else 1)
    gap, at = MICROS * PPM / peak_ppm, 0.0
    while True:
        at += random.exponential(gap)
        if at >= shape.micros:
            return
        if not shape.is_daily or random.uniform() <= _share_of_peak(at):
            yield _arrival(shape, round(at), random)


def spread(hours: list[tuple[int, int, int, int]], seed: int) -> Iterator[Arrival]:
    """Yield arrivals at random within spans; each has a start, requests, and input and output tokens of all of them."""
    random = SplitMix(seed)
    for start, requests, input_tokens, output_tokens in hours:
        times = sorted(start + int(random.uniform() * 3600 * MICROS) for _ in range(requests))
        for at in times:
            yield Arrival(at, input_tokens // requests, max(1, output_tokens // requests))


def _arrival(shape: TrafficShape, at: int, random: SplitMix) -> Arrival:
    prefix = b""
    if shape.prefixes:
        number = int(shape.prefixes * random.uniform() ** 2)
        prefix = f"prefix-{min(number, shape.prefixes - 1)}".encode()
    read = max(1, round(random.exponential(shape.input_tokens)))
    return Arrival(at, read, max(1, round(random.exponential(shape.output_tokens))), prefix)


def _share_of_peak(at: float) -> float:
    phase = math.cos(2 * math.pi * (at % DAY_MICROS) / DAY_MICROS)
    return (1 - SWING * phase) / (1 + SWING)
