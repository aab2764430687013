"""Reads fields of a reply whose form the server answers for; a missing field shows as nothing, never as a crash."""

from __future__ import annotations

from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.money import format_nano
from headrace.wire.json_strict import is_object


def text(item: JsonObject, name: str, missing: str = "") -> str:
    """Return a field as text."""
    value = item.get(name)
    return missing if value is None or isinstance(value, dict | list) else str(value)


def number(item: JsonObject, name: str) -> int:
    """Return a field as a whole number, 0 when there is none."""
    value = item.get(name)
    return int(value) if isinstance(value, int | float) else 0


def part(item: JsonObject, name: str) -> JsonObject:
    """Return a field that is an object, empty when there is none."""
    value = item.get(name)
    return value if is_object(value) else {}


def parts(item: JsonObject, name: str) -> list[JsonObject]:
    """Return the objects of a field that is a list."""
    value = item.get(name)
    return [each for each in value if is_object(each)] if isinstance(value, list) else []


def words(value: JsonValue) -> list[str]:
    """Return the texts of a list."""
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def dollars(amount_nano: int) -> str:
    """Return an amount to the nano-dollar, and plain $0 for nothing."""
    if amount_nano == 0:
        return "$0"
    sign = "-" if amount_nano < 0 else ""
    return f"{sign}${format_nano(abs(amount_nano))}"


def short_dollars(item: JsonObject, name: str) -> str:
    """Return the amount NAME_nano_usd of a reply with its cents, and with more places only where they say something."""
    value = item.get(f"{name}_nano_usd")
    if not isinstance(value, int):
        return "-"
    whole, _, places = format_nano(abs(value)).partition(".")
    return f"{'-' if value < 0 else ''}${whole}.{places.rstrip('0').ljust(2, '0')}"


def moment(iso: str) -> str:
    """Return an ISO time of UTC in words, to the second."""
    return f"{iso[:10]} {iso[11:19]} UTC" if len(iso) >= 19 else iso


def size(size_bytes: int) -> str:
    """Return a size in megabytes, as downloads are announced."""
    return f"{size_bytes / 1_000_000:.0f} MB" if size_bytes >= 1_000_000 else f"{size_bytes / 1000:.0f} kB"
