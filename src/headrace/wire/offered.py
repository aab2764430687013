"""What a published list offers for one model, in the words of our catalog; reading each list is its own module's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from headrace.wire.toml_text import Table

_ENORMOUS = Decimal(10) ** 12


@dataclass(frozen=True, slots=True)
class Offered:
    """What a source says of one model at one provider: the names that it may go by, and its price as a table of ours.

    `left_out` names what the source prices and a table cannot say; `says_batch` and `says_service_tiers` whether it
    says what these pay.
    """

    provider: str
    names: frozenset[str]
    table: Table
    left_out: tuple[str, ...] = ()
    says_batch: bool = False
    says_service_tiers: bool = False


def decimal_text(value: Decimal) -> str:
    """Return a plain decimal of at most twelve places, without a needless zero; what is no price stays as it is.

    So a check of the table can show it: not a number, infinite, enormous, negative.
    """
    if not value.is_finite() or abs(value) >= _ENORMOUS:
        return str(value)
    return f"{round(value, 12).normalize():f}"


def multiplier_of(rates: Mapping[str, str], base: Mapping[str, str]) -> str | None:
    """Return what every one of these rates is of its base, or None where they differ or one is missing."""
    ratios = {Decimal(rate) / Decimal(base[key]) for key, rate in rates.items() if Decimal(base.get(key, "0"))}
    missing = [key for key, rate in base.items() if Decimal(rate) and key not in rates and not key.startswith("usd_")]
    if len(ratios) != 1 or missing:
        return None
    text = decimal_text(ratios.pop())
    return text if len(text.partition(".")[2]) <= 6 else None
