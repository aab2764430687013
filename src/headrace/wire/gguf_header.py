"""Reads the header of a GGUF file, bounded and trusting no length in it; where the file lies is a driver's.

Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (read 2026-11-28).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import BinaryIO, TypeAlias

from headrace.domain.errors import ConfigInvalid

Scalar: TypeAlias = int | float | bool | str
Value: TypeAlias = Scalar | tuple[int, ...] | None

MAGIC, VERSIONS = b"GGUF", (2, 3)
UNREADABLE = "model_unreadable"
MOST_HEADER_BYTES = 256 * 1024 * 1024
MOST_KEYS, MOST_TENSORS, MOST_DIMENSIONS = 65_536, 1_000_000, 8
MOST_ITEMS, MOST_KEPT_ITEMS = 16_000_000, 4_096
MOST_TEXT_BYTES, MOST_KEY_BYTES = 16 * 1024 * 1024, 65_535

_STRING, _ARRAY, _BOOL = 8, 9, 7
_FORMATS: Mapping[int, struct.Struct] = MappingProxyType(
    {number: struct.Struct(f"<{letter}") for number, letter in enumerate("BbHhIif?")}
    | {10: struct.Struct("<Q"), 11: struct.Struct("<q"), 12: struct.Struct("<d")}
)
_WHOLE = frozenset({0, 1, 2, 3, 4, 5, 10, 11})
_U32, _U64 = _FORMATS[4], _FORMATS[10]
_TOKENS = "tokenizer.ggml.tokens"
# Numbers of general.file_type; others exist and are shown by number.
_FILE_TYPES: Mapping[int, str] = MappingProxyType(
    {
        0: "F32",
        1: "F16",
        2: "Q4_0",
        3: "Q4_1",
        7: "Q8_0",
        8: "Q5_0",
        9: "Q5_1",
        10: "Q2_K",
        11: "Q3_K_S",
        12: "Q3_K_M",
        13: "Q3_K_L",
        14: "Q4_K_S",
        15: "Q4_K_M",
        16: "Q5_K_S",
        17: "Q5_K_M",
        18: "Q6_K",
        32: "BF16",
        38: "MXFP4",
    }
)


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """What a GGUF file says of itself.

    `kv_heads` has one number for each layer, 0 for a layer that keeps no keys. `latent_elements` is what a layer keeps
    of a token in compressed form, None for keys and values. `window` is how far windowed layers look back; which ones
    they are is not said. `parts` is into how many files the model is divided.
    """

    architecture: str
    name: str
    licence: str
    layers: int
    hidden_size: int
    heads: int
    kv_heads: tuple[int, ...]
    key_length: int
    value_length: int
    context_length: int
    vocabulary: int
    parameters: int
    quantisation: str
    chat_template: str | None
    window: int | None = None
    latent_elements: int | None = None
    is_embedding: bool = False
    parts: int = 1


def read_gguf(stream: BinaryIO, size_bytes: int, name: str) -> GgufHeader:
    """Return the header of a file of so many bytes, read from its start; raises ConfigInvalid with the reason."""
    return _facts(*_Reader(stream, size_bytes, name).read(), name)


class _Reader:
    """Reads one header; counts every byte against the file's size and the bound."""

    def __init__(self, stream: BinaryIO, size_bytes: int, name: str) -> None:
        self._stream = stream
        self._name = name
        self._left = min(size_bytes, MOST_HEADER_BYTES)
        self._is_bounded = size_bytes > MOST_HEADER_BYTES
        self._size_bytes = size_bytes
        self._position = 0
        self._last_offset = 0

    def read(self) -> tuple[Mapping[str, Value], int]:
        """Return the metadata and the number of parameters."""
        if self._take(4) != MAGIC:
            raise self._broken("it does not begin with GGUF, so it is no such file")
        version = self._number(_U32)
        if version not in VERSIONS:
            raise self._broken(f"its version is {version}; versions {VERSIONS[0]} and {VERSIONS[1]} can be read")
        tensors = self._count(MOST_TENSORS, "tensors")
        keys = self._count(MOST_KEYS, "keys")
        values: dict[str, Value] = {}
        for _ in range(keys):
            key = self._text(MOST_KEY_BYTES)
            if key in values:
                raise self._broken(f'its key "{key[:80]}" stands there twice')
            values[key] = self._value(self._number(_U32))
        parameters = sum(self._tensor() for _ in range(tensors))
        self._check_whole(values, tensors)
        return values, parameters

    def _value(self, kind: int) -> Value:
        if kind == _STRING:
            return self._text(MOST_TEXT_BYTES)
        if kind == _ARRAY:
            return self._array()
        form = self._form(kind)
        (value,) = form.unpack(self._take(form.size))
        return value

    def _array(self) -> Value:
        """Return short lists of whole numbers; of all others the length, which is what vocabularies are read for."""
        kind, items = self._number(_U32), self._count(MOST_ITEMS, "items of a list")
        if kind == _STRING:
            for _ in range(items):
                self._skip(self._length(MOST_TEXT_BYTES))
            return items
        if kind == _ARRAY:
            raise self._broken("it has lists within lists")
        form = self._form(kind)
        if kind not in _WHOLE or items > MOST_KEPT_ITEMS:
            self._skip(items * form.size)
            return items
        return tuple(int(value) for (value,) in form.iter_unpack(self._take(items * form.size)))

    def _tensor(self) -> int:
        self._skip(self._length(MOST_KEY_BYTES))
        dimensions = self._number(_U32)
        if dimensions > MOST_DIMENSIONS:
            raise self._broken(f"a tensor has {dimensions} dimensions")
        size = 1
        for _ in range(dimensions):
            size *= self._number(_U64)
        self._number(_U32)
        self._last_offset = max(self._last_offset, self._number(_U64))
        return size

    def _check_whole(self, values: Mapping[str, Value], tensors: int) -> None:
        alignment = values.get("general.alignment", 32)
        if tensors and isinstance(alignment, int) and alignment > 0:
            begins = -(-self._position // alignment) * alignment
            if begins + self._last_offset >= self._size_bytes:
                raise self._broken(
                    f"it ends after {self._size_bytes:,} bytes, before its last tensor begins: fetch it again"
                )

    def _count(self, most: int, what: str) -> int:
        count = self._number(_U64)
        if count > most:
            raise self._broken(f"it says that it has {count:,} {what}, and {most:,} are read at most")
        return count

    def _length(self, most: int) -> int:
        length = self._number(_U64)
        if length > most:
            raise self._broken(f"a text in it is said to have {length:,} bytes")
        return length

    def _text(self, most: int) -> str:
        return self._take(self._length(most)).decode("utf-8", "replace")

    def _number(self, form: struct.Struct) -> int:
        return int.from_bytes(self._take(form.size), "little")

    def _form(self, kind: int) -> struct.Struct:
        form = _FORMATS.get(kind)
        if form is None:
            raise self._broken(f"it has a value of the unknown type {kind}")
        return form

    def _skip(self, size: int) -> None:
        while size > 0:
            size -= len(self._take(min(size, MOST_TEXT_BYTES)))

    def _take(self, size: int) -> bytes:
        if size > self._left:
            if self._is_bounded:
                raise self._broken(f"its header has more than {MOST_HEADER_BYTES:,} bytes")
            raise self._broken("it ends within its header: fetch it again")
        data = self._stream.read(size)
        self._left -= size
        self._position += size
        if len(data) != size:
            raise self._broken("it ends within its header: fetch it again")
        return data

    def _broken(self, why: str) -> ConfigInvalid:
        return ConfigInvalid(f"{self._name} cannot be read as a GGUF file: {why}.", code=UNREADABLE)


def _facts(values: Mapping[str, Value], parameters: int, name: str) -> GgufHeader:
    kind = values.get("general.architecture")
    if not isinstance(kind, str) or not kind:
        raise ConfigInvalid(f"{name} does not say its architecture, so it is no model.", code=UNREADABLE)
    found = _Found(values, kind, name)
    layers, heads = found.most("block_count"), found.most("attention.head_count")
    hidden = found.most("embedding_length")
    vocabulary = values.get(_TOKENS)
    file_type = values.get("general.file_type")
    template = values.get("tokenizer.chat_template")
    latent = found.optional("attention.kv_lora_rank")
    head_dim = hidden // heads
    return GgufHeader(
        architecture=kind,
        name=found.text("general.name"),
        licence=found.text("general.license"),
        layers=layers,
        hidden_size=hidden,
        heads=heads,
        kv_heads=found.by_layer("attention.head_count_kv", layers, heads),
        key_length=found.optional("attention.key_length") or head_dim,
        value_length=found.optional("attention.value_length") or head_dim,
        context_length=found.most("context_length"),
        vocabulary=vocabulary if isinstance(vocabulary, int) else found.optional("vocab_size") or 0,
        parameters=parameters,
        quantisation=_FILE_TYPES.get(file_type, f"type {file_type}") if isinstance(file_type, int) else "unknown",
        chat_template=template if isinstance(template, str) else None,
        window=found.optional("attention.sliding_window"),
        latent_elements=None if latent is None else latent + (found.optional("rope.dimension_count") or 0),
        is_embedding=f"{kind}.pooling_type" in values,
        parts=found.whole("split.count") or 1,
    )


@dataclass(frozen=True, slots=True)
class _Found:
    """Metadata by the keys of one architecture; what is missing or absurd is named."""

    values: Mapping[str, Value]
    kind: str
    name: str

    def text(self, key: str) -> str:
        value = self.values.get(key)
        return value[:200] if isinstance(value, str) else ""

    def whole(self, key: str) -> int | None:
        value = self.values.get(key)
        if isinstance(value, tuple):
            value = max(value, default=None)
        return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= 1 << 31 else None

    def optional(self, key: str) -> int | None:
        return self.whole(f"{self.kind}.{key}")

    def most(self, key: str) -> int:
        value = self.optional(key)
        if value is None:
            raise ConfigInvalid(
                f'{self.name} does not say its "{self.kind}.{key}", so headrace cannot tell its size.',
                code=UNREADABLE,
            )
        return value

    def by_layer(self, key: str, layers: int, otherwise: int) -> tuple[int, ...]:
        value = self.values.get(f"{self.kind}.{key}")
        if isinstance(value, tuple) and len(value) == layers and all(0 <= each <= 1 << 20 for each in value):
            return value
        return (self.optional(key) or otherwise,)
