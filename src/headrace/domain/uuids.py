"""How an id of ours is written where a public contract has a UUID."""

from __future__ import annotations

ID_DIGITS = 32


def uuid_of(own_id: str) -> str:
    """Return an id of ours, `prefix_` and hexadecimal digits, as a UUID.

    It begins with the time and ends with random bits, as a UUID of version 7 does.
    """
    digits = own_id.rpartition("_")[2].rjust(ID_DIGITS, "0")
    variant = "89ab"[int(digits[16], 16) % 4]
    return f"{digits[:8]}-{digits[8:12]}-7{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"
