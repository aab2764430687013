"""Models' sizes and files of models for tests: architectures by name, GGUF files byte by byte."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from headrace.domain.architecture import Architecture, ArchitectureBook, CacheLayers

Value = str | int | float | bool | Sequence[str] | Sequence[float]
STRING, ARRAY = 8, 9


def an_architecture(
    *models: str,
    weight_bytes: int = 16_000_000_000,
    heads: int = 32,
    context_length: int = 131_072,
    cache: tuple[CacheLayers, ...] = (CacheLayers(32, 2 * 8 * 128, 8),),
) -> Architecture:
    return Architecture(
        name="Acme 8B",
        models=models or ("acme/one-8b", "one"),
        parameters=weight_bytes // 2,
        weight_bytes=weight_bytes,
        hidden_size=4096,
        vocabulary=128_256,
        attention_heads=heads,
        context_length=context_length,
        cache=cache,
        source="https://example.com/config.json",
        checked_on="2026-11-28",
    )


@dataclass(slots=True)
class MemoryArchitectures:
    """Architectures that a test gives; a failure is raised when they are read."""

    book: ArchitectureBook = field(default_factory=lambda: ArchitectureBook((an_architecture(),), "folders"))
    failure: Exception | None = None

    def read(self) -> ArchitectureBook:
        if self.failure is not None:
            raise self.failure
        return self.book


GGUF_KEYS: Mapping[str, Value] = {
    "general.architecture": "toy",
    "general.name": "Toy",
    "general.license": "mit",
    "general.file_type": 15,
    "toy.block_count": 4,
    "toy.embedding_length": 64,
    "toy.attention.head_count": 8,
    "toy.attention.head_count_kv": 2,
    "toy.context_length": 2048,
    "tokenizer.ggml.tokens": ["a", "b", "c"],
    "tokenizer.ggml.scores": [1.5, 2.5],
    "tokenizer.chat_template": "{% if tools %}{% endif %}",
    "toy.rope.freq_base": 10000.0,
    "toy.flag": True,
}


def gguf_bytes(keys: Mapping[str, Value] = GGUF_KEYS, *, tensors: Sequence[Sequence[int]] = ((64, 3),)) -> bytes:
    """Return a whole GGUF file with these keys and tensors of these dimensions, all zero."""
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys))
    body = b"".join(_text(key) + _value(value) for key, value in keys.items())
    infos, offset = b"", 0
    for number, dimensions in enumerate(tensors):
        infos += _text(f"t{number}") + struct.pack("<I", len(dimensions))
        infos += b"".join(struct.pack("<Q", each) for each in dimensions) + struct.pack("<IQ", 0, offset)
        offset += 32
    header = head + body + infos
    return header + bytes(-len(header) % 32) + bytes(offset)


def _value(value: Value) -> bytes:
    match value:
        case bool():
            return struct.pack("<I?", 7, value)
        case int():
            return struct.pack("<II", 4, value)
        case float():
            return struct.pack("<If", 6, value)
        case str():
            return struct.pack("<I", STRING) + _text(value)
        case _:
            return struct.pack("<I", ARRAY) + _items(value)


def _items(values: Sequence[str] | Sequence[float]) -> bytes:
    kind = {str: STRING, int: 5, float: 6}[type(values[0])]
    items = b"".join(
        _text(each) if isinstance(each, str) else struct.pack("<f" if kind == 6 else "<i", each) for each in values
    )
    return struct.pack("<IQ", kind, len(values)) + items


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data
