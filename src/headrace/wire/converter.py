"""Turns values that were read elsewhere, as from TOML or a row, into structs and dataclasses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar, cast

import msgspec
from msgspec.structs import FieldInfo

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Converter(Generic[T_co]):
    """What msgspec's `Decoder` is for bytes: a type that is described when the converter is made.

    msgspec describes a class when it is first read and keeps that before all of it is filled; two threads that
    first read a class with classes in it at once crash the process (0.22 on CPython 3.11, 2026-11-29). So every
    type is given to a Converter or a Decoder where its module is imported, and `make check` looks for others.
    """

    kind: type[T_co]

    def __post_init__(self) -> None:
        """Describe the type and the types in it."""
        msgspec.json.Decoder(self.kind)

    def convert(self, value: object) -> T_co:
        """Return the value as the type; raises msgspec.ValidationError saying where it is wrong."""
        return msgspec.convert(value, self.kind)


def convert_field(field: FieldInfo, value: object) -> object:
    """Return a value as one field of a described struct has it; raises msgspec.ValidationError."""
    return msgspec.convert(value, cast("type[object]", field.type))
