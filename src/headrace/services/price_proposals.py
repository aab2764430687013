"""Compares others' prices with those in force, proposes dated entries, and adds reviewed ones to an operator's file.

Nothing here is in force by itself: a proposal is a catalog file in a folder that nobody reads, until it is applied.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from headrace.domain.catalog import Model
from headrace.domain.errors import ConfigInvalid
from headrace.domain.money import PPM, format_usd_each, format_usd_per_mtok
from headrace.domain.price import PriceVersion, Rates, ServiceTier, rate_of
from headrace.domain.usage import UsageClass
from headrace.services.catalog import Catalog
from headrace.services.price_versions import price_version
from headrace.wire.catalog_file import CatalogFile
from headrace.wire.catalog_prices import PRICE_KEYS, check_price_value, check_prices, rates_given
from headrace.wire.catalog_schema import PriceTable
from headrace.wire.converter import Converter
from headrace.wire.offered import Offered
from headrace.wire.price_json import PER_MILLION, window_text
from headrace.wire.price_sources import plain_table
from headrace.wire.toml_lines import show
from headrace.wire.toml_text import Table, table_text

MOST_TIMES = 10
_PRICE = Converter(PriceTable)


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that a proposed price changes; `per_mille` is by how much, None where that says nothing."""

    what: str
    before: str | None
    after: str | None
    per_mille: int | None = None


@dataclass(frozen=True, slots=True)
class Proposed:
    """A new dated price of one model, what it changes, and what looks wrong about it."""

    provider: str
    model_id: str
    table: Table
    current: str | None
    changes: tuple[Change, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a source would change: `same` models stay, `elsewhere` is how many it names that are not in the catalog."""

    proposed: tuple[Proposed, ...]
    same: int
    elsewhere: int


def compare(catalog: Catalog, offered: Iterable[Offered], day: str, source: str) -> Comparison:
    """Return what a source would change from a day on; a model is found by its provider's name and by its own."""
    by_name = {name: each for each in _models(catalog) for name in _names(each)}
    proposed: dict[tuple[str, str], Proposed] = {}
    same: set[tuple[str, str]] = set()
    elsewhere = 0
    for offer in offered:
        models = {
            by_name[name].id: by_name[name] for each in offer.names if (name := (offer.provider, each)) in by_name
        }
        elsewhere += not models
        for model in models.values():
            found = _propose(model, offer, day, source)
            if found.changes or found.warnings:
                proposed[model.provider, model.id] = found
            else:
                same.add((model.provider, model.id))
    ordered = tuple(proposed[key] for key in sorted(proposed))
    return Comparison(ordered, len(same - proposed.keys()), elsewhere)


def proposal_texts(comparison: Comparison) -> Mapping[str, str]:
    """Return one proposal for each provider: a catalog file with nothing but the new prices."""
    texts: dict[str, list[str]] = {}
    for each in comparison.proposed:
        parts = texts.setdefault(each.provider, [f'[provider]\nname = "{each.provider}"'])
        remarks = "".join(f"# {line}\n" for line in (*_remarks(each), *each.warnings))
        parts.append(
            f"{remarks}{table_text('models', {'id': each.model_id})}\n\n{table_text('models.prices', each.table)}"
        )
    return {provider: "\n\n".join(parts) + "\n" for provider, parts in texts.items()}


def check_new(proposal: CatalogFile, catalog: Catalog) -> None:
    """Raise ConfigInvalid unless every price of a proposal is a later one of a model that there is."""
    known = {(each.provider, each.id): each for each in _models(catalog)}
    provider = proposal.tables.provider.name
    for model in proposal.tables.models:
        existing = known.get((provider, model.id))
        if existing is None:
            raise ConfigInvalid(
                f'{proposal.file}: "{model.id}" is not in the catalog at {provider}. Add the model to the catalog '
                "first, or take it out of the proposal."
            )
        for price in model.prices or ():
            last = existing.prices[-1].effective if existing.prices else ""
            if price.effective.isoformat() <= last:
                raise ConfigInvalid(
                    f"{proposal.file}: {model.id} has a price of {last} already, and a price is never edited. Write a "
                    f"later date than {last} for effective."
                )


def with_prices(text: str | None, proposal: CatalogFile, own: CatalogFile | None) -> str:
    """Return an operator's file with a proposal's prices below those that it has; without a file, a new one."""
    provider = proposal.tables.provider.name
    lines = ["[provider]", f'name = "{provider}"'] if text is None else text.rstrip("\n").split("\n")
    present = {} if own is None else {model.id: index for index, model in enumerate(own.tables.models)}
    additions = [(_end_of(own, present.get(model.id), lines), model) for model in proposal.tables.models]
    for place, model in sorted(additions, key=lambda each: each[0], reverse=True):
        block = [] if model.id in present else ["", table_text("models", {"id": model.id})]
        for price in model.prices or ():
            block += ["", table_text("models.prices", _table_of(price))]
        lines[place:place] = block
    return "\n".join(lines).rstrip("\n") + "\n"


def _models(catalog: Catalog) -> Iterator[Model]:
    for entries in catalog.models.values():
        yield from (each for each in entries if each.local is None)


def _names(model: Model) -> set[tuple[str, str]]:
    return {(model.provider, model.id), (model.provider, model.upstream_name)}


def _propose(model: Model, offer: Offered, day: str, source: str) -> Proposed:
    current = model.price_on(day)
    table: Table = {"effective": _next_day(model, day), "source": source, **offer.table}
    if current is not None:
        table = {**_unsaid(current, offer), **table}
    warnings = [f"the source also has {_on_a_line(name)}, which a price here cannot say" for name in offer.left_out]
    problems = [_on_a_line(each) for each in _problems(table)]
    if problems:
        return Proposed(model.provider, model.id, table, current and current.id, (), (*problems, *warnings))
    proposed = price_version(_PRICE.convert(table), model.id, model.provider)
    changes = tuple(_changes(current, proposed))
    jumps = [
        f"{each.what} changes {MOST_TIMES} times or more: is it another unit?" for each in changes if _is_jump(each)
    ]
    return Proposed(
        model.provider, model.id, table, current and current.id, changes, (*jumps, *warnings) if changes else ()
    )


def _unsaid(current: PriceVersion, offer: Offered) -> Table:
    """Return what stays because a source says nothing of it: the markup, what a batch pays, service tiers."""
    kept = {"markup": current.markup_ppm, "batch_multiplier": PPM if offer.says_batch else current.batch_ppm}
    unsaid: dict[str, object] = {key: format_usd_per_mtok(ppm) for key, ppm in kept.items() if ppm != PPM}
    tiers = {name: format_usd_per_mtok(each.multiplier_ppm) for name, each in current.service_tiers.items()}
    if tiers and not offer.says_service_tiers:
        unsaid["service_tiers"] = tiers
    return unsaid


def _next_day(model: Model, day: str) -> datetime.date:
    """Return the day, or the one after the model's last price where that is later: no price is edited."""
    today = datetime.date.fromisoformat(day)
    last = datetime.date.fromisoformat(model.prices[-1].effective) if model.prices else None
    return today if last is None or last < today else last + datetime.timedelta(days=1)


def _problems(table: Table) -> Iterator[str]:
    """Yield what a catalog check would say of a table: first of its values, then of the whole."""
    tables = [table, *table.get("tiers", ()), *table.get("windows", ())]
    wrong = [
        f"{name}: {found.problem}. {found.fix}"
        for each in tables
        for name, value in each.items()
        if isinstance(value, str) and name in PRICE_KEYS
        if (found := check_price_value(name, value)) is not None
    ]
    if wrong:
        yield from wrong
        return
    try:
        price = _PRICE.convert(table)
    except msgspec.ValidationError as error:
        yield str(error)
        return
    for each in check_prices([price]):
        yield f"{show(each.path[1:]) or 'price'}: {each.problem}. {each.fix}"


def _changes(before: PriceVersion | None, after: PriceVersion) -> Iterator[Change]:
    old: Rates = {} if before is None else before.rates_pico
    yield from _rate_changes("", old, after.rates_pico)
    tiers_before = {} if before is None else {each.over_input_tokens: each.rates_pico for each in before.tiers}
    tiers_after = {each.over_input_tokens: each.rates_pico for each in after.tiers}
    for start in sorted({*tiers_before, *tiers_after}):
        yield from _rate_changes(f" over {start:,} tokens", tiers_before.get(start, {}), tiers_after.get(start, {}))
    windows_before = () if before is None else before.windows
    if windows_before != after.windows:
        hours = [
            ", ".join(window_text(each) for each in windows) or None for windows in (windows_before, after.windows)
        ]
        yield Change("hours", hours[0], hours[1])
    batch = [PPM if each is None else each.batch_ppm for each in (before, after)]
    if batch[0] != batch[1]:
        shown = [f"times {format_usd_per_mtok(ppm)}" for ppm in batch]
        yield Change("in a batch", shown[0], shown[1])
    nothing: Mapping[str, ServiceTier] = {}
    asked = [nothing if each is None else each.service_tiers for each in (before, after)]
    for name in sorted({*asked[0], *asked[1]}):
        paid = [f"times {format_usd_per_mtok(each[name].multiplier_ppm)}" if name in each else None for each in asked]
        if paid[0] != paid[1]:
            yield Change(f"service tier {name}", paid[0], paid[1])


def _rate_changes(suffix: str, before: Rates, after: Rates) -> Iterator[Change]:
    for each in dict.fromkeys((*before, *after)):
        old, new = rate_of(before, each), rate_of(after, each)
        if old != new:
            per_mille = ((new - old) * 1_000 + old // 2) // old if old and new is not None else None
            yield Change(f"{each.value}{suffix}", _shown(each, old), _shown(each, new), per_mille)


def _shown(each: UsageClass, pico: int | None) -> str | None:
    if pico is None:
        return None
    return f"{format_usd_per_mtok(pico)}/M" if each in PER_MILLION else f"{format_usd_each(pico)} each"


def _is_jump(change: Change) -> bool:
    most = (MOST_TIMES - 1) * 1_000
    return change.per_mille is not None and (
        change.per_mille >= most or change.per_mille <= -1_000 + 1_000 // MOST_TIMES
    )


def _remarks(proposed: Proposed) -> Iterator[str]:
    yield f"In force: {proposed.current or 'no price'}"
    for each in proposed.changes:
        yield f"{each.what}: {each.before or 'none'} -> {each.after or 'none'}"


def _on_a_line(text: str) -> str:
    """What a source names must not end the remark that it stands in, nor steer a terminal."""
    return text if text.isprintable() else text.encode("unicode_escape").decode()


def _end_of(own: CatalogFile | None, index: int | None, lines: Sequence[str]) -> int:
    """Return the line after the last of a model's own: where the next model begins, with the remarks above it."""
    following = None if own is None or index is None else own.lines.get(("models", index + 1))
    if following is None:
        return len(lines)
    place = following - 1
    while lines[place - 1].startswith("#"):
        place -= 1
    while not lines[place - 1].strip():
        place -= 1
    return place


def _table_of(price: PriceTable) -> Table:
    given: dict[str, object] = {"effective": price.effective, "source": price.source, **rates_given(price)}
    for key in ("currency", "markup", "batch_multiplier", "service_tiers", "tiers", "windows"):
        value = getattr(price, key)
        if value:
            given[key] = value if isinstance(value, str | dict) else [plain_table(each) for each in value]
    return given
