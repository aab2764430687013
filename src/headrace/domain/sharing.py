"""How a replica's time is shared among its requests: each moment evenly among those that it then has; pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from headrace.domain.money import divide_half_even

PICOS_PER_MICRO = 1_000_000


@dataclass(frozen=True, slots=True)
class SharedTime:
    """A replica's time until `at_micros`, a moment of a clock that never goes back.

    `served_picos` is what one request would have got that had been there all the time: the integral of one over the
    number of requests, in picoseconds, so that what division loses stays far below a microsecond. A request's share is
    the difference between its end and its beginning. `idle_micros` is the time without any.
    """

    at_micros: int
    requests: int = 0
    served_picos: int = 0
    idle_micros: int = 0

    def until(self, now_micros: int) -> SharedTime:
        """Return the same at a later moment; an earlier one changes nothing."""
        passed = max(0, now_micros - self.at_micros)
        if not passed:
            return self
        if not self.requests:
            return replace(self, at_micros=now_micros, idle_micros=self.idle_micros + passed)
        served = self.served_picos + passed * PICOS_PER_MICRO // self.requests
        return replace(self, at_micros=now_micros, served_picos=served)

    def with_one_more(self, now_micros: int) -> SharedTime:
        """Return it with a request that begins then."""
        then = self.until(now_micros)
        return replace(then, requests=then.requests + 1)

    def with_one_less(self, now_micros: int) -> SharedTime:
        """Return it with a request that ends then; raises ValueError when there is none."""
        then = self.until(now_micros)
        if not then.requests:
            raise ValueError("no request is there that could end")
        return replace(then, requests=then.requests - 1)

    def share_micros(self, since_picos: int) -> int:
        """Return the share of a request that began when `served_picos` was that, rounded half to even."""
        return divide_half_even(self.served_picos - since_picos, PICOS_PER_MICRO)
