"""Merges catalog files into providers and models; whether one can be called is availability's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from headrace.domain.catalog import (
    DEFAULT_IMAGE_TOKENS,
    NO_QUIRKS,
    AuthScheme,
    Capability,
    LocalRunning,
    Model,
    ModelKind,
    Provider,
    Quirks,
    WeightsFile,
)
from headrace.domain.finding import Finding, config_invalid
from headrace.domain.names import did_you_mean
from headrace.ports.catalogs import CatalogSource
from headrace.services.price_versions import price_version
from headrace.wire.catalog_file import CatalogFile, CatalogText, read_catalog_file
from headrace.wire.catalog_schema import LocalTable, ModelTable, PriceTable, ProviderTable, QuirksTable
from headrace.wire.toml_lines import KeyPath

T = TypeVar("T")
S = TypeVar("S", bound=Struct)

DEFAULT_OUTPUT_TOKENS = 4096
READS_TOKENS = frozenset({ModelKind.CHAT, ModelKind.EMBEDDING})
LOCAL_URL = "local:"
RESERVED = ("router:",)
CALLED_PATHS = ("/chat/completions", "/embeddings", "/models", "/completions")


@dataclass(frozen=True, slots=True)
class Catalog:
    """All providers and models of one reading, before anybody asked whether they can be called.

    `models` maps a model id to its entries: the operator's own providers first, then by provider's name.
    """

    providers: Mapping[str, Provider]
    models: Mapping[str, tuple[Model, ...]]


@dataclass(frozen=True, slots=True)
class _Entry:
    """A merged model with the places that it came from, the last one being the one that counts most."""

    table: ModelTable
    places: tuple[tuple[CatalogFile, int], ...]

    def finding(self, key: str, problem: str, fix: str) -> Finding:
        for file, index in reversed(self.places):
            path: KeyPath = ("models", index, key)
            if path in file.lines:
                return file.finding(path, problem, fix)
        file, index = self.places[-1]
        return file.finding(("models", index), problem, fix)

    def price_finding(self, price: PriceTable, problem: str, fix: str) -> Finding:
        file, path = next(
            (file, ("models", index, "prices", number))
            for file, index in self.places
            for number, each in enumerate(file.tables.models[index].prices or ())
            if each is price
        )
        return file.finding(path, problem, fix)


@dataclass(frozen=True, slots=True)
class _Merged:
    """A merged provider with its files and models."""

    table: ProviderTable
    files: tuple[CatalogFile, ...]
    entries: Mapping[str, _Entry]

    def finding(self, key: str, problem: str, fix: str) -> Finding:
        for file in reversed(self.files):
            if ("provider", key) in file.lines:
                return file.finding(("provider", key), problem, fix)
        return self.files[-1].finding(("provider",), problem, fix)


def load_catalog(source: CatalogSource, adapters: frozenset[str] | None = None) -> Catalog:
    """Read, check and merge all files; blocks, so call it off the loop; raises ConfigInvalid."""
    return build_catalog(source.read(), adapters)


def build_catalog(texts: Iterable[CatalogText], adapters: frozenset[str] | None = None) -> Catalog:
    """Check and merge catalog files, shipped ones first; raises ConfigInvalid with every finding.

    `adapters` are the names of adapters and engines that exist; with None they are not checked.
    """
    merged, findings = _merge(texts)
    findings += [each for one in merged for each in _check(one, adapters)]
    if findings:
        raise config_invalid(findings)
    return _compile(merged)


def check_catalog(texts: Iterable[CatalogText], adapters: frozenset[str] | None = None) -> tuple[Finding, ...]:
    """Return everything wrong with catalog files, shipped ones given first, ordered by file and line."""
    merged, findings = _merge(texts)
    findings += [each for one in merged for each in _check(one, adapters)]
    return tuple(sorted(set(findings)))


def price_versions(catalog: Catalog) -> tuple[str, ...]:
    """Return the ids of all price versions in a catalog, in order."""
    return tuple(sorted(price.id for entries in catalog.models.values() for each in entries for price in each.prices))


def _merge(texts: Iterable[CatalogText]) -> tuple[list[_Merged], list[Finding]]:
    found: list[Finding] = []
    by_name: dict[str, list[CatalogFile]] = {}
    broken: set[str] = set()
    for text in texts:
        file = read_catalog_file(text)
        if isinstance(file, CatalogFile):
            by_name.setdefault(file.tables.provider.name, []).append(file)
        else:
            found.extend(file)
            broken.add(text.name)
    merged = [_merge_provider(files) for name, files in by_name.items() if name not in broken]
    return merged, found


def _merge_provider(files: Sequence[CatalogFile]) -> _Merged:
    table = files[0].tables.provider
    entries: dict[str, _Entry] = {}
    for file in files:
        table = _overlay(table, file.tables.provider)
        for index, model in enumerate(file.tables.models):
            earlier = entries.get(model.id)
            entries[model.id] = _merge_model(earlier, model, (file, index))
    return _Merged(table, tuple(files), MappingProxyType(entries))


def _merge_model(earlier: _Entry | None, model: ModelTable, place: tuple[CatalogFile, int]) -> _Entry:
    if earlier is None:
        return _Entry(model, (place,))
    dated = {each.effective: each for each in (*(earlier.table.prices or ()), *(model.prices or ()))}
    prices = tuple(dated[day] for day in sorted(dated))
    table = replace(_overlay(earlier.table, model), prices=prices)
    return _Entry(table, (*earlier.places, place))


def _overlay(base: S, over: S) -> S:
    given = {name: getattr(over, name) for name in over.__struct_fields__}
    return replace(base, **{name: value for name, value in given.items() if value is not UNSET})


def _check(merged: _Merged, adapters: frozenset[str] | None) -> Iterator[Finding]:
    yield from _check_provider(merged)
    if adapters is not None:
        yield from _check_adapters(merged, adapters)
    shipped = merged.files[0].origin == "shipped"
    for entry in merged.entries.values():
        yield from _check_model(entry, merged.table.base_url == LOCAL_URL)
        if shipped and entry.places[0][0].origin == "shipped":
            yield from _check_shipped(entry)


def _check_provider(merged: _Merged) -> Iterator[Finding]:
    table = merged.table
    if table.base_url is UNSET:
        fix = 'Write base_url = "https://host/v1" in [provider].'
        yield merged.finding("base_url", f'"{table.name}" has no base_url', fix)
    else:
        yield from _check_url(merged, table.base_url)
    if table.auth == "header" and table.auth_header is UNSET:
        yield merged.finding("auth", "which header carries the key is not said", 'Add auth_header = "x-api-key".')


def _check_adapters(merged: _Merged, adapters: frozenset[str]) -> Iterator[Finding]:
    one_of = f"One of: {', '.join(sorted(adapters))}."
    adapter = merged.table.adapter
    if adapter is not UNSET and adapter not in adapters:
        fix = f"{did_you_mean(adapter, adapters)} {one_of}".strip()
        yield merged.finding("adapter", f'no adapter is named "{adapter}"', fix)
    for entry in merged.entries.values():
        local = entry.table.local
        # What runs from a folder is reached as a deployment, whatever its engine: operators name those in files.
        if local is not UNSET and local.source is UNSET and local.engine not in adapters:
            fix = f"{did_you_mean(local.engine, adapters)} {one_of}".strip()
            yield entry.finding("local", f'no engine is named "{local.engine}"', fix)


def _check_url(merged: _Merged, base_url: str) -> Iterator[Finding]:
    bare = base_url.rstrip("/")
    rest = bare.partition("://")[2]
    for path in CALLED_PATHS:
        if bare.endswith(path):
            fix = f'Write what stands before it: base_url = "{bare.removesuffix(path)}".'
            yield merged.finding("base_url", f'"{base_url}" holds "{path}", which is added to it', fix)
            return
    if "?" in rest or "#" in rest:
        yield merged.finding("base_url", f'"{base_url}" holds a query or fragment', "Write scheme, host and path only.")
    elif "@" in rest.partition("/")[0]:
        fix = f"Leave it out and run `headrace providers set-key {merged.table.name}`."
        yield merged.finding("base_url", "a user name or password stands in the address", fix)


def _check_model(entry: _Entry, on_this_machine: bool) -> Iterator[Finding]:
    table = entry.table
    for reserved in RESERVED:
        if table.id.startswith(reserved):
            yield entry.finding("id", f'names that begin with "{reserved}" are taken', "Choose another name.")
    if table.context_length is UNSET:
        fix = "Write context_length, the most tokens that prompt and answer may have together."
        yield entry.finding("context_length", f'"{table.id}" has no context_length', fix)
    if _kind(table) is ModelKind.CHAT:
        yield from _check_chat(entry)
    yield from _check_priced(entry)
    if table.local is UNSET and on_this_machine:
        fix = f'Add [models.local] with an engine, or give the provider an address instead of "{LOCAL_URL}".'
        yield entry.finding("local", f'"{table.id}" is said to run on this machine, but not how', fix)
    elif table.local is not UNSET and not on_this_machine:
        fix = f'Write base_url = "{LOCAL_URL}" in [provider], or leave [models.local] out.'
        yield entry.finding("local", f'"{table.id}" runs on this machine, but its provider has an address', fix)
    if table.local is not UNSET and bool(table.local.weights) == (table.local.source is not UNSET):
        fix = "Write [[models.local.weights]] tables, or source = with a folder."
        yield entry.finding("local", f'"{table.id}" has no weights, or has them twice', fix)


def _check_chat(entry: _Entry) -> Iterator[Finding]:
    table = entry.table
    if table.max_output_tokens is UNSET:
        fix = "Write max_output_tokens, the most tokens that one answer may have."
        yield entry.finding("max_output_tokens", f'"{table.id}" has no max_output_tokens', fix)
    elif table.context_length is not UNSET and table.max_output_tokens > table.context_length:
        problem = f"{table.max_output_tokens} is more than the context of {table.context_length} tokens"
        yield entry.finding("max_output_tokens", problem, f"Write at most {table.context_length}.")
    limit = table.max_output_tokens
    if table.default_output_tokens is not UNSET and limit is not UNSET and table.default_output_tokens > limit:
        problem = f"{table.default_output_tokens} is more than max_output_tokens, {limit}"
        yield entry.finding("default_output_tokens", problem, f"Write at most {limit}.")
    both = set(table.capabilities or ()) & set(table.best_effort or ())
    for each in sorted(both):
        yield entry.finding("best_effort", f'"{each}" stands in capabilities too', "Keep it in one of the two lists.")
    for price in table.prices or ():
        if price.output is UNSET:
            problem = f"the price of {price.effective} has no output"
            yield entry.price_finding(price, problem, 'Write output = "…": a chat model answers.')


def _check_priced(entry: _Entry) -> Iterator[Finding]:
    table = entry.table
    for price in table.prices or ():
        if price.input is UNSET and _kind(table) in READS_TOKENS:
            problem = f"the price of {price.effective} has no input"
            yield entry.price_finding(price, problem, 'Write input = "…": what it reads is priced by tokens.')
        draws = price.output is not UNSET or price.output_image is not UNSET
        if draws and _kind(table) is ModelKind.IMAGE and table.max_output_tokens is UNSET:
            fix = "Write max_output_tokens, the most tokens that one image is made of: a hold needs it."
            yield entry.price_finding(price, f"images of {table.id} are priced by tokens without a limit", fix)


def _check_shipped(entry: _Entry) -> Iterator[Finding]:
    for key in ("display_name", "owned_by", "kind", "released_on", "source", "checked_on"):
        if not getattr(entry.table, key):
            yield entry.finding(key, f'"{entry.table.id}" has no {key}', f"A shipped model needs {key}.")


def _compile(merged: Sequence[_Merged]) -> Catalog:
    providers = {one.table.name: _provider(one.table) for one in merged}
    order = sorted(merged, key=lambda one: (one.files[0].origin == "shipped", one.table.name))
    models: dict[str, list[Model]] = {}
    for one in order:
        for entry in one.entries.values():
            models.setdefault(entry.table.id, []).append(_model(entry.table, providers[one.table.name]))
    return Catalog(
        MappingProxyType(dict(sorted(providers.items()))),
        MappingProxyType({name: tuple(models[name]) for name in sorted(models)}),
    )


def _provider(table: ProviderTable) -> Provider:
    auth: AuthScheme = "bearer" if table.auth is UNSET else table.auth
    wire_format = _or(table.wire_format, "openai")
    return Provider(
        name=table.name,
        display_name=_or(table.display_name, table.name),
        adapter=_or(table.adapter, wire_format),
        base_url=_or(table.base_url, "").rstrip("/"),
        auth=auth,
        auth_header=_or(table.auth_header, "" if auth == "none" else "authorization").lower(),
        docs_url=_or(table.docs_url, ""),
        checked_on=_day(table.checked_on),
        key_variable=_or(table.key_variable, None),
        quirks=NO_QUIRKS if table.quirks is UNSET else _quirks(table.quirks),
    )


def _quirks(table: QuirksTable) -> Quirks:
    return Quirks(
        chat_path=_or(table.chat_path, NO_QUIRKS.chat_path),
        embeddings_path=_or(table.embeddings_path, NO_QUIRKS.embeddings_path),
        cap_field=_or(table.cap_field, None),
        usage_unasked=table.usage_unasked,
        reasoning_apart=table.reasoning_apart,
        headers=tuple((name.lower(), value) for name, value in table.headers.items()),
        renamed_fields=MappingProxyType(table.renamed_fields),
        dropped_fields=frozenset(table.dropped_fields),
        dropped_message_fields=frozenset(table.dropped_message_fields),
        refused_fields=frozenset(table.refused_fields),
    )


def _model(table: ModelTable, provider: Provider) -> Model:
    limit = _or(table.max_output_tokens, 0)
    streaming = (Capability.STREAMING,) if _kind(table) is ModelKind.CHAT else ()
    return Model(
        id=table.id,
        provider=provider.name,
        upstream_name=_or(table.upstream_name, table.id),
        display_name=_or(table.display_name, table.id),
        owned_by=_or(table.owned_by, provider.name),
        kind=_kind(table),
        capabilities=frozenset(_or(table.capabilities, streaming)),
        context_length=_or(table.context_length, 0),
        max_output_tokens=limit,
        default_output_tokens=_or(table.default_output_tokens, _default_cap(table, limit)),
        released_on=_day(table.released_on),
        prices=tuple(price_version(each, table.id, provider.name) for each in _or(table.prices, ())),
        source=_or(table.source, provider.docs_url),
        checked_on=_day(table.checked_on) or provider.checked_on,
        description=_or(table.description, ""),
        licence=_or(table.licence, ""),
        dimensions=_or(table.dimensions, None),
        max_image_tokens=_or(table.max_image_tokens, DEFAULT_IMAGE_TOKENS),
        max_audio_tokens=_or(table.max_audio_tokens, None),
        max_file_tokens=_or(table.max_file_tokens, None),
        best_effort=frozenset(_or(table.best_effort, ())),
        local=None if table.local is UNSET else _local(table.local),
        retired_on=None if table.retired_on is UNSET else _day(table.retired_on),
        refused_fields=frozenset(_or(table.refused_fields, ())),
    )


def _default_cap(table: ModelTable, limit: int) -> int:
    """An image takes no cap of the caller's, so nothing less than the limit is a bound."""
    return limit if _kind(table) is ModelKind.IMAGE else min(DEFAULT_OUTPUT_TOKENS, limit)


def _local(table: LocalTable) -> LocalRunning:
    weights = tuple(
        WeightsFile(each.name, each.sha256, each.size_bytes, each.licence, each.sources) for each in table.weights
    )
    memory = table.memory_mib * 1024 * 1024
    return LocalRunning(table.engine, weights, memory, table.slots, table.idle_seconds, _or(table.source, ""))


def _kind(table: ModelTable) -> ModelKind:
    return _or(table.kind, ModelKind.CHAT)


def _or(value: T | UnsetType, fallback: T) -> T:
    return fallback if isinstance(value, UnsetType) else value


def _day(value: object) -> str:
    return "" if value is UNSET else str(value)
