"""Integer money: pico-dollars per token or unit for prices, nano-dollars for amounts; no float anywhere.

A price of micro-dollars per million tokens is the same number as pico-dollars per token, so "0.0375" dollars
per million tokens is 37,500.
"""

from __future__ import annotations

import re

PICO_PER_NANO = 1_000
NANO_PER_USD = 1_000_000_000
PICO_PER_USD = 1_000_000_000_000
PPM = 1_000_000
SECONDS_PER_MINUTE = 60
MAX_NANO = 2**62

_PRICE = re.compile(r"(0|[1-9][0-9]{0,8})(?:\.([0-9]{1,6}))?\Z")
_PRICE_EACH = re.compile(r"(0|[1-9][0-9]{0,5})(?:\.([0-9]{1,12}))?\Z")


def parse_usd_per_mtok(text: str) -> int:
    """Return pico-dollars per token for a price in dollars per million tokens.

    Raises ValueError when the text is not a plain decimal with at most six decimal places.
    """
    found = _PRICE.match(text)
    if found is None:
        raise ValueError(f'"{text}" is not a price: write dollars per million tokens as a plain decimal, like "0.0375"')
    whole, fraction = found.group(1), found.group(2) or ""
    return int(whole) * 1_000_000 + int(fraction.ljust(6, "0"))


def format_usd_per_mtok(pico_per_token: int) -> str:
    """Return the shortest decimal string of a price in dollars per million tokens."""
    whole, fraction = divmod(pico_per_token, 1_000_000)
    digits = f"{fraction:06d}".rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)


def parse_usd_each(text: str) -> int:
    """Return pico-dollars for a price in dollars of one thing, like an image or a search.

    Raises ValueError when the text is not a plain decimal with at most twelve decimal places.
    """
    found = _PRICE_EACH.match(text)
    if found is None:
        raise ValueError(f'"{text}" is not a price: write dollars as a plain decimal, like "0.04"')
    whole, fraction = found.group(1), found.group(2) or ""
    return int(whole) * PICO_PER_USD + int(fraction.ljust(12, "0"))


def parse_usd_per_minute(text: str) -> int:
    """Return pico-dollars per second for a price in dollars per minute, rounded half to even.

    Raises ValueError like parse_usd_each.
    """
    return divide_half_even(parse_usd_each(text), SECONDS_PER_MINUTE)


def parse_ppm(text: str) -> int:
    """Return parts per million for a multiplier written as a plain decimal, like "0.5"; raises ValueError."""
    return parse_usd_per_mtok(text)


def format_usd_each(pico: int) -> str:
    """Return the shortest decimal string of a price of one thing in dollars."""
    whole, fraction = divmod(pico, PICO_PER_USD)
    digits = f"{fraction:012d}".rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)


def divide_half_even(numerator: int, denominator: int) -> int:
    """Return numerator / denominator rounded half to even, for non-negative numerators."""
    quotient, remainder = divmod(numerator, denominator)
    twice = remainder * 2
    if twice > denominator or (twice == denominator and quotient & 1):
        return quotient + 1
    return quotient


def line_nano(quantity: int, pico_each: int, ppm: int = PPM) -> int:
    """Return the amount of one ledger line in nano-dollars, rounded once, half to even.

    `ppm` is a multiplier in parts per million (markup, batch discount). Raises OverflowError past MAX_NANO.
    """
    if ppm == PPM:
        amount = divide_half_even(quantity * pico_each, PICO_PER_NANO)
    else:
        amount = divide_half_even(quantity * pico_each * ppm, PICO_PER_NANO * PPM)
    if amount > MAX_NANO:
        raise OverflowError(f"an amount of {amount} nano-dollars passes the ledger's range")
    return amount


def format_nano(amount_nano: int) -> str:
    """Return an amount as a decimal string of dollars with nine decimal places."""
    sign = "-" if amount_nano < 0 else ""
    whole, fraction = divmod(abs(amount_nano), NANO_PER_USD)
    return f"{sign}{whole}.{fraction:09d}"
