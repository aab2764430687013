"""What a deployment cost over some time: its replicas' seconds, how much of them requests had, and its serverless twin.

Amounts are nano-dollars, times microseconds since 1970 UTC; pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from headrace.domain.money import PICO_PER_NANO, divide_half_even, line_nano
from headrace.domain.price import PriceVersion
from headrace.domain.replica_run import ReplicaRun
from headrace.domain.usage import TokenClass


@dataclass(frozen=True, slots=True)
class Served:
    """What a deployment's settled attempts of some time used, and their shares of its replicas' time."""

    attempts: int = 0
    input_fresh: int = 0
    input_cache_read: int = 0
    input_cache_write_5m: int = 0
    input_cache_write_1h: int = 0
    output_text: int = 0
    output_reasoning: int = 0
    share_micros: int = 0
    share_nano: int = 0

    @property
    def input_tokens(self) -> int:
        """Tokens that were read, in caches or not."""
        return self.input_fresh + self.input_cache_read + self.input_cache_write_5m + self.input_cache_write_1h

    @property
    def output_tokens(self) -> int:
        """Tokens that were written, reasoning among them."""
        return self.output_text + self.output_reasoning


@dataclass(frozen=True, slots=True)
class Twin:
    """The same tokens at a model that is paid by the token; `is_overflow` says that the deployment names it itself."""

    model: str
    provider: str
    price_version: str
    is_overflow: bool
    amount_nano: int


@dataclass(frozen=True, slots=True)
class DeploymentCosts:
    """A deployment's replicas and requests over a span of time.

    What the replicas cost is a busy part, the sum of the shares of its requests, and the idle rest. A request counts
    where it ended, so at the edges of a short span the rest may be below nothing.
    """

    deployment_id: str
    name: str
    since_micros: int
    until_micros: int
    runs: int
    replica_micros: int
    amount_nano: int
    served: Served
    twin: Twin | None = None

    @property
    def idle_micros(self) -> int:
        """The time that no request had."""
        return self.replica_micros - self.served.share_micros

    @property
    def idle_nano(self) -> int:
        """What that time cost."""
        return self.amount_nano - self.served.share_nano

    @property
    def pico_per_token(self) -> int | None:
        """What one token came to, read or written; None without any."""
        tokens = self.served.input_tokens + self.served.output_tokens
        return divide_half_even(self.amount_nano * PICO_PER_NANO, tokens) if tokens else None

    @property
    def twin_pico_per_token(self) -> int | None:
        """What one of the same tokens comes to at the twin."""
        tokens = self.served.input_tokens + self.served.output_tokens
        return (
            None if self.twin is None or not tokens else divide_half_even(self.twin.amount_nano * PICO_PER_NANO, tokens)
        )

    @property
    def saved_nano(self) -> int | None:
        """What the twin would have cost more, below nothing when it would have cost less; None without one."""
        return None if self.twin is None else self.twin.amount_nano - self.amount_nano


def run_sums(runs: Sequence[ReplicaRun], since_micros: int, until_micros: int) -> tuple[int, int]:
    """Return how many microseconds of a span all runs were paid for, and what they cost."""
    micros = sum(run.micros_between(since_micros, until_micros) for run in runs)
    return micros, sum(run.between_nano(since_micros, until_micros) for run in runs)


def tokens_nano(served: Served, price: PriceVersion) -> int:
    """Return what the tokens cost at a price's own rates, without tiers, hours and markup.

    A class without a rate takes that of fresh input or of text; where there is none either, it is free.
    """
    read, written = TokenClass.INPUT_FRESH, TokenClass.OUTPUT_TEXT
    quantities = (
        (TokenClass.INPUT_FRESH, read, served.input_fresh),
        (TokenClass.INPUT_CACHE_READ, read, served.input_cache_read),
        (TokenClass.INPUT_CACHE_WRITE_5M, read, served.input_cache_write_5m),
        (TokenClass.INPUT_CACHE_WRITE_1H, read, served.input_cache_write_1h),
        (TokenClass.OUTPUT_TEXT, written, served.output_text),
        (TokenClass.OUTPUT_REASONING, written, served.output_reasoning),
    )
    rates = price.rates_pico
    return sum(line_nano(quantity, rates.get(each, rates.get(near, 0))) for each, near, quantity in quantities)
