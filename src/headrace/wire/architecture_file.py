"""Reads and writes architecture files, names what is wrong with one, joins several; where they lie is a driver's."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from msgspec import UNSET, UnsetType

from headrace.domain.architecture import Architecture, ArchitectureBook, CacheLayers
from headrace.domain.finding import Finding, config_invalid
from headrace.wire.architecture_schema import ArchitectureTable, ArchitectureTables, CacheTable
from headrace.wire.converter import Converter
from headrace.wire.toml_form import TomlFile, read_toml
from headrace.wire.toml_text import table_text

DEFAULT_ELEMENT_BYTES = 2

_TABLES = Converter(ArchitectureTables)


@dataclass(frozen=True, slots=True)
class ArchitectureText:
    """One architecture file as it was read; `file` is its path as shown to the operator."""

    file: str
    data: bytes


def architecture_book(files: Sequence[ArchitectureText]) -> ArchitectureBook:
    """Return all files as one; what stands later goes first. Raises ConfigInvalid with file, line and fix."""
    found: list[Architecture] = []
    engine = ""
    for text in files:
        read = read_toml(text.file, text.data, _TABLES)
        if isinstance(read, tuple):
            raise config_invalid(read)
        wrong = tuple(_check(read))
        if wrong:
            raise config_invalid(wrong)
        found += [_architecture(each) for each in read.tables.architectures]
        engine = engine if isinstance(read.tables.folder_engine, UnsetType) else read.tables.folder_engine
    return ArchitectureBook(tuple(found), engine)


def architecture_text(architecture: Architecture) -> str:
    """Return one architecture as the tables that a file has of it."""
    table: dict[str, object] = {
        "name": architecture.name,
        "models": list(architecture.models),
        "parameters": architecture.parameters,
        "weight_bytes": architecture.weight_bytes,
        "hidden_size": architecture.hidden_size,
        "vocabulary": architecture.vocabulary,
        "attention_heads": architecture.attention_heads,
        "context_length": architecture.context_length,
        "source": architecture.source,
        "status": architecture.status.value,
    }
    if architecture.checked_on is not None:
        table["checked_on"] = datetime.date.fromisoformat(architecture.checked_on)
    if architecture.state_bytes:
        table["state_bytes"] = architecture.state_bytes
    if architecture.is_gated:
        table["gated"] = True
    if architecture.note:
        table["note"] = architecture.note
    table["cache"] = [_layers_table(each) for each in architecture.cache]
    return table_text("architectures", table)


def _check(file: TomlFile[ArchitectureTables]) -> Iterator[Finding]:
    for index, each in enumerate(file.tables.architectures):
        for number, cache in enumerate(each.cache):
            at = ("architectures", index, "cache", number)
            has_heads = cache.kv_heads is not UNSET and cache.head_dim is not UNSET
            has_some = cache.kv_heads is not UNSET or cache.head_dim is not UNSET
            if has_heads == (cache.elements is not UNSET) or (has_some and not has_heads):
                yield file.finding(
                    at, "it does not say what is kept of a token", "Write kv_heads and head_dim, or elements."
                )


def _architecture(table: ArchitectureTable) -> Architecture:
    return Architecture(
        name=table.name,
        models=table.models,
        parameters=table.parameters,
        weight_bytes=table.weight_bytes,
        hidden_size=table.hidden_size,
        vocabulary=table.vocabulary,
        attention_heads=table.attention_heads,
        context_length=table.context_length,
        cache=tuple(_layers(each) for each in table.cache),
        source=table.source,
        status=table.status,
        checked_on=None if isinstance(table.checked_on, UnsetType) else table.checked_on.isoformat(),
        state_bytes=table.state_bytes,
        is_gated=table.gated,
        note="" if isinstance(table.note, UnsetType) else table.note,
    )


def _layers(table: CacheTable) -> CacheLayers:
    heads = 1 if isinstance(table.kv_heads, UnsetType) else table.kv_heads
    dimensions = 0 if isinstance(table.head_dim, UnsetType) else table.head_dim
    return CacheLayers(
        layers=table.layers,
        elements=2 * heads * dimensions if isinstance(table.elements, UnsetType) else table.elements,
        heads=heads,
        window=None if isinstance(table.window, UnsetType) else table.window,
        tokens_per_entry=table.tokens_per_entry,
        element_bytes=table.element_bytes,
    )


def _layers_table(layers: CacheLayers) -> dict[str, object]:
    table: dict[str, object] = {"layers": layers.layers}
    if layers.heads > 1 or layers.elements % 2 == 0:
        table |= {"kv_heads": layers.heads, "head_dim": layers.elements // (2 * layers.heads)}
    else:
        table["elements"] = layers.elements
    if layers.window is not None:
        table["window"] = layers.window
    if layers.tokens_per_entry > 1:
        table["tokens_per_entry"] = layers.tokens_per_entry
    if layers.element_bytes != DEFAULT_ELEMENT_BYTES:
        table["element_bytes"] = layers.element_bytes
    return table
