"""Owns how values pass to and from PostgreSQL, so that statements written for SQLite mean the same there."""

from __future__ import annotations

from typing import Any

from psycopg.adapt import AdaptersMap, Buffer, Dumper, Loader
from psycopg.types.numeric import Int8BinaryDumper
from psycopg.types.string import StrDumperUnknown

REPLACEMENT = "\ufffd"


class _WholeNumber(Int8BinaryDumper):
    """Every number is a bigint: with a type of its own for each size, one statement would be many prepared ones."""

    def dump(self, obj: Any) -> Buffer | None:
        """Write a number; a truth value is 0 or 1, as in SQLite."""
        return super().dump(int(obj))


class _Text(StrDumperUnknown):
    """A text without a type of its own: the server takes it as what stands beside it."""

    def dump(self, obj: str) -> Buffer | None:
        """Write a text; PostgreSQL has no NUL in texts, and none is worth a lost settlement."""
        return super().dump(obj.replace("\0", REPLACEMENT) if "\0" in obj else obj)


class _NoFloat(Dumper):
    def dump(self, obj: Any) -> Buffer | None:
        """Refuse: PostgreSQL would round a fraction into a whole number."""
        raise TypeError(f"{obj!r} is not a whole number, and no money is a fraction")


class _Sum(Loader):
    """The sum of bigints is a numeric; ours are whole."""

    def load(self, data: Buffer) -> int:
        """Read a whole number; raises ValueError for a fraction."""
        return int(bytes(data))


def adapt_values(adapters: AdaptersMap) -> None:
    """Make a connection's values those of SQLite: int, str, bytes and None."""
    adapters.register_dumper(int, _WholeNumber)
    adapters.register_dumper(bool, _WholeNumber)
    adapters.register_dumper(float, _NoFloat)
    adapters.register_dumper(str, _Text)
    adapters.register_loader("numeric", _Sum)
