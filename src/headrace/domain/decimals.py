"""Plain decimal text and whole numbers of its smallest part; nothing is rounded and no float is in between."""

from __future__ import annotations

import re

_PLAIN = re.compile(r"(0|[1-9][0-9]{0,11})(?:\.([0-9]+))?\Z")


def parse_scaled(text: str, places: int) -> int:
    """Return a decimal times 10 to the power of `places`; raises ValueError for anything but a plain decimal.

    No sign, no exponent, no needless zero in front, no more digits after the point than `places`.
    """
    found = _PLAIN.match(text)
    if found is None or len(found[2] or "") > places:
        raise ValueError(text)
    return int(found[1]) * 10**places + int((found[2] or "").ljust(places, "0") or "0")


def format_scaled(value: int, places: int) -> str:
    """Return the shortest decimal text of a whole number of 10 to the power of minus `places`."""
    sign = "-" if value < 0 else ""
    whole, fraction = divmod(abs(value), 10**places)
    digits = f"{fraction:0{places}d}".rstrip("0") if places else ""
    return f"{sign}{whole}.{digits}" if digits else f"{sign}{whole}"
